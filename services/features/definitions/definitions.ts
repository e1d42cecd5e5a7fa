// What teams define, as it is stored: all definitions of a workspace in one document, so that an
// apply is one atomic write and a reader needs no second look. Versions are immutable; views and
// services keep all of theirs.

import type { Document } from "../../common/documents/port.ts";
import type { Cell, Field, ValueType } from "../value.ts";

/** `_id` is the workspace's id. */
export interface Definitions extends Document {
  readonly entities: Readonly<Record<string, Entity>>;
  readonly featureViews: Readonly<Record<string, Versioned<FeatureView>>>;
  readonly onDemandFeatureViews: Readonly<Record<string, Versioned<OnDemandFeatureView>>>;
  readonly featureServices: Readonly<Record<string, Versioned<FeatureService>>>;
  /**
   * By id of a feature service that was deleted: the highest number it ever gave out. Who defines it
   * again goes on from there, so that a version's name never means two things.
   */
  readonly retiredNumbers?: Readonly<Record<string, number>>;
  /** Deleted already, with rows that may still be in the stores. */
  readonly leaving?: readonly Leaving[];
}

/** A history of something that is no longer defined. */
export interface Leaving {
  /** The view's uid, or that of kept reads. */
  readonly uid: string;
  /** The view's id, or that of kept reads. */
  readonly view: string;
  /** Whether online documents have rows of it too. */
  readonly online: boolean;
}

/** What people say of a definition; no version depends on it. */
export interface About {
  readonly description: string;
  readonly owner: string;
  readonly tags: readonly (readonly [string, string])[];
}

/** What every definition has; its id is its key in the document. */
interface Definition {
  readonly uid: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly about: About;
}

/** What features describe; rows are of one by its join keys. */
export interface Entity extends Definition {
  readonly joinKeys: readonly Field[];
}

/** A definition with its versions, ascending; the last one is the newest. Deleted ones are gone. */
export interface Versioned<T> extends Definition {
  readonly versions: readonly T[];
  /** The highest number ever given out. */
  readonly latestNumber: number;
  /** Feature services only: share of online reads that are kept. */
  readonly loggingSampleRate?: number;
}

interface Version {
  readonly number: number;
  readonly createTime: Date;
}

/** One version of a view: what its rows hold and how long they are good. */
export interface FeatureView extends Version {
  readonly entities: readonly string[];
  /** Of all its entities, sorted by name; together they name a row. */
  readonly joinKeys: readonly Field[];
  readonly features: readonly Feature[];
  /** Microseconds; 0: rows are good forever. */
  readonly ttlUs: number;
  readonly source: BatchSource;
  readonly online: boolean;
  readonly offline: boolean;
}

/** A column of a view. */
export interface Feature extends Field {
  readonly description: string;
  /** Null: none declared. INT64 beyond the safe integers as text. */
  readonly defaultValue: Exclude<Cell, bigint>;
}

/** How files are read as rows of the view. */
export interface BatchSource {
  readonly eventTimestampColumn: string;
  /** Empty: `created_timestamp` where the file has it. */
  readonly createdTimestampColumn: string;
  /** Column of the file to field. */
  readonly fieldMapping: readonly (readonly [string, string])[];
}

/** One version of a view that is computed when it is asked for. */
export interface OnDemandFeatureView extends Version {
  readonly inputs: readonly Field[];
  readonly features: readonly OnDemandFeature[];
}

/** A computed column. */
export interface OnDemandFeature extends Field {
  /** CEL. */
  readonly expression: string;
  readonly description: string;
}

/** One version of what a model takes. */
export interface FeatureService extends Version {
  readonly projections: readonly Projection[];
}

/** Features of one view, pinned to a version of it. */
export interface Projection {
  /** Id of a feature view or of an on-demand feature view. */
  readonly view: string;
  readonly kind: "view" | "on-demand";
  readonly version: number;
  /** Feature to output name, in order. */
  readonly features: readonly (readonly [feature: string, output: string])[];
  /** Join key of the view to request column, those that differ. */
  readonly joinKeys: readonly (readonly [joinKey: string, column: string])[];
}

/** One version of a view, with what names it and its rows. */
export interface ViewVersion {
  /** The view's id in its workspace. */
  readonly view: string;
  /** The view's uid, to which stored rows belong. */
  readonly uid: string;
  readonly version: FeatureView;
}

/** Types whose values another type takes without loss. */
const WIDENINGS: Readonly<Partial<Record<ValueType, readonly ValueType[]>>> = {
  INT32: ["INT64", "DOUBLE"],
  FLOAT: ["DOUBLE"],
};

/** Whether values stored as `from` can be read as `to`. */
export function isReadableAs(from: ValueType, to: ValueType): boolean {
  return from === to || (WIDENINGS[from]?.includes(to) ?? false);
}
