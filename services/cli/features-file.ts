// What a file of definitions may say, as types: a TypeScript module that exports such an array is
// checked by the editor, and `plinth features apply` reads it. YAML says the same, one document a
// definition.
//
//   import type { DefinitionFile } from "<plinth>/services/cli/features-file.ts";
//   export default [
//     { kind: "Entity", name: "airport", joinKeys: { airport: "string" } },
//     {
//       kind: "FeatureView",
//       name: "airport_delays",
//       entities: ["airport"],
//       ttl: "7d",
//       features: { mean_delay: "double", flights: { type: "int64", default: 0 } },
//     },
//   ] satisfies DefinitionFile;

/** What a module exports, as its default or as `definitions`. */
export type DefinitionFile = readonly Definition[];

/** One definition; `kind` says which. */
export type Definition =
  | EntityDefinition
  | FeatureViewDefinition
  | OnDemandFeatureViewDefinition
  | FeatureServiceDefinition;

/** A type of keys, features and request data. */
export type TypeName =
  | "bool"
  | "int32"
  | "int64"
  | "float"
  | "double"
  | "string"
  | "bytes"
  | "timestamp";

/** "7d", "12h", "90m", "30s", "1d12h"; 0 is none. */
export type DurationText = string | 0;

interface About {
  readonly name: string;
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** What features describe. */
export interface EntityDefinition extends About {
  readonly kind: "Entity";
  /**
   * {airport: "string"}, or the names where `valueType` gives their type. Absent: one join key
   * called as the entity, of type `valueType`.
   */
  readonly joinKeys?: Readonly<Record<string, TypeName>> | readonly string[];
  readonly valueType?: TypeName;
}

/** Features of the same entities that come in the same rows. */
export interface FeatureViewDefinition extends About {
  readonly kind: "FeatureView";
  readonly entities: readonly string[];
  readonly features:
    | Readonly<Record<string, TypeName | FeatureDefinition>>
    | readonly (FeatureDefinition & { readonly name: string })[];
  /** How long after its event time a row is good. Absent: forever. */
  readonly ttl?: DurationText;
  /** How files are read, where their columns have other names. */
  readonly source?: {
    readonly eventTimestampColumn?: string;
    readonly createdTimestampColumn?: string;
    /** Column of the file to field of the view. */
    readonly fieldMapping?: Readonly<Record<string, string>>;
  };
  /** Absent: true. */
  readonly online?: boolean;
  /** Absent: true. */
  readonly offline?: boolean;
}

/** A feature that is more than its type. */
export interface FeatureDefinition {
  readonly type: TypeName;
  readonly description?: string;
  /** What a model gets where the value is missing. Absent: the row cannot be predicted. */
  readonly default?: string | number | boolean;
}

/** Features computed by CEL expressions when they are asked for. */
export interface OnDemandFeatureViewDefinition extends About {
  readonly kind: "OnDemandFeatureView";
  /** Features of the service, by their names there, and request data. */
  readonly inputs?: Readonly<Record<string, TypeName>>;
  readonly expressions: Readonly<
    Record<
      string,
      { readonly type: TypeName; readonly expression: string; readonly description?: string }
    >
  >;
}

/** What one model takes. */
export interface FeatureServiceDefinition extends About {
  readonly kind: "FeatureService";
  /** Names of views ("airport_delays", "airport_delays@3"), or more exactly. */
  readonly projections: readonly (string | ProjectionDefinition)[];
  /** Share of online reads that are kept for check-skew, 0 to 1. */
  readonly loggingSampleRate?: number;
}

/** Features of one view, as a service takes them. */
export interface ProjectionDefinition {
  readonly view: string;
  /** Absent: the newest. */
  readonly version?: number;
  /** Names, or name to name in the output. Absent: all. */
  readonly features?: readonly string[] | Readonly<Record<string, string>>;
  /** Join key of the view to column of the request, where they differ. */
  readonly joinKeys?: Readonly<Record<string, string>>;
}
