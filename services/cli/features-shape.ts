// From what a file says to the messages of ApplyDefinitions: the short forms written out, every
// fault of shape noted with its place. What definitions mean (names, types that fit, features that
// exist) is the server's to check; features-places.ts finds its findings in the file.

import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { EntitySchema } from "../../gen/plinth/features/v1/entity_pb.js";
import type { FeatureServiceSchema } from "../../gen/plinth/features/v1/feature_service_pb.js";
import type { FeatureViewSchema } from "../../gen/plinth/features/v1/feature_view_pb.js";
import type { OnDemandFeatureViewSchema } from "../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import type { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import {
  durationValueOf,
  type Fields,
  fieldsOf,
  flagOf,
  type Keys,
  missing,
  numberOf,
  textMapOf,
  textOf,
  textsOf,
  typeOf,
  typeOfEntry,
} from "./features-fields.ts";
import { PROJECTION, projectionsOf, SELECTED } from "./features-projections.ts";
import { type Entry, type Fault, type Tree, whatCame } from "./features-tree.ts";

/** What a file's definitions are, before and after. */
export type Shaped = { readonly tree: Tree; readonly name: string } & (
  | { readonly list: "entities"; readonly value: MessageInitShape<typeof EntitySchema> }
  | { readonly list: "featureViews"; readonly value: MessageInitShape<typeof FeatureViewSchema> }
  | {
      readonly list: "onDemandFeatureViews";
      readonly value: MessageInitShape<typeof OnDemandFeatureViewSchema>;
    }
  | {
      readonly list: "featureServices";
      readonly value: MessageInitShape<typeof FeatureServiceSchema>;
    }
);

const KINDS = ["Entity", "FeatureView", "OnDemandFeatureView", "FeatureService"] as const;
type Kind = (typeof KINDS)[number];

const ABOUT: Keys = { kind: [], name: [], description: [], owner: [], tags: [] };

const KEYS: Readonly<Record<Kind, Keys>> = {
  Entity: { ...ABOUT, joinKeys: ["joinKey"], valueType: ["type"] },
  FeatureView: {
    ...ABOUT,
    entities: ["entity"],
    features: ["schema"],
    ttl: [],
    source: ["batchSource"],
    online: [],
    offline: [],
  },
  OnDemandFeatureView: { ...ABOUT, inputs: [], features: ["expressions"] },
  FeatureService: { ...ABOUT, projections: ["features"], loggingSampleRate: [] },
};

/** What `describe --json` shows and Apply does not take: passed over, so that it can be applied. */
const SET_BY_SERVER = [
  "uid",
  "createTime",
  "updateTime",
  "version",
  "status",
  "requestColumns",
  "outputFeatures",
];

const FEATURE: Keys = {
  name: [],
  valueType: ["type", "dtype"],
  defaultValue: ["default"],
  description: [],
};
const EXPRESSION: Keys = {
  name: [],
  valueType: ["type", "dtype"],
  expression: [],
  description: [],
};
const FIELD: Keys = { name: [], valueType: ["type", "dtype"] };
const SOURCE: Keys = {
  eventTimestampColumn: ["timestampField"],
  createdTimestampColumn: [],
  fieldMapping: [],
};

/** What each key of a definition may be called as well, by the name that the request has for it. */
export const SPELLINGS: ReadonlyMap<string, readonly string[]> = spellingsOf([
  ...Object.values(KEYS),
  ...[FEATURE, EXPRESSION, FIELD, SOURCE, PROJECTION, SELECTED],
]);

function spellingsOf(all: readonly Keys[]): ReadonlyMap<string, readonly string[]> {
  const spellings = new Map<string, string[]>();
  for (const [name, others] of all.flatMap((keys) => Object.entries(keys))) {
    spellings.set(name, [...(spellings.get(name) ?? []), ...others]);
  }
  return spellings;
}

/** One definition, or undefined where it is none; its faults are noted. */
export function shapeOf(tree: Tree, faults: Fault[]): Shaped | undefined {
  const kind = kindOf(tree, faults);
  if (kind === undefined) {
    return undefined;
  }
  const article = /^[AEIOU]/.test(kind) ? "an" : "a";
  const what = { what: `${article} ${kind}`, keys: KEYS[kind], ignored: SET_BY_SERVER };
  const fields = fieldsOf(tree, what, faults) ?? new Map<string, Entry>();
  const name =
    textOf(fields.get("name"), faults) ??
    (fields.has("name") ? undefined : missing(tree.at, `the ${kind} has no name`, faults));
  if (name === undefined) {
    return undefined;
  }
  const about = {
    name,
    description: textOf(fields.get("description"), faults) ?? "",
    owner: textOf(fields.get("owner"), faults) ?? "",
    tags: textMapOf(fields.get("tags"), faults) ?? {},
  };
  switch (kind) {
    case "Entity": {
      const joinKeys = joinKeysOf(fields, { tree, name }, faults);
      return { tree, name, list: "entities", value: { ...about, joinKeys } };
    }
    case "FeatureView":
      return { tree, name, list: "featureViews", value: viewOf(about, fields, faults) };
    case "OnDemandFeatureView": {
      const inputs = membersOf(fields.get("inputs"), FIELD, faults).map(fieldOf);
      const features = membersOf(fields.get("features"), EXPRESSION, faults).map((member) => ({
        ...fieldOf(member),
        expression: expressionOf(member, faults),
        description: textOf(member.fields.get("description"), faults) ?? "",
      }));
      return { tree, name, list: "onDemandFeatureViews", value: { ...about, inputs, features } };
    }
    case "FeatureService": {
      const projections = projectionsOf(fields.get("projections"), faults);
      const rate = numberOf(fields.get("loggingSampleRate"), { whole: false }, faults);
      const value = { ...about, projections, loggingSampleRate: rate ?? 0 };
      return { tree, name, list: "featureServices", value };
    }
  }
}

function kindOf(tree: Tree, faults: Fault[]): Kind | undefined {
  const known = KINDS.join(", ");
  if (tree.kind !== "map") {
    const text = `expected a definition with kind (${known}) and name, got ${whatCame(tree)}`;
    return missing(tree.at, text, faults);
  }
  const entry = tree.entries.find(({ key }) => key === "kind");
  if (entry === undefined) {
    return missing(tree.at, `the definition has no kind; it is one of ${known}`, faults);
  }
  const said = textOf(entry, faults);
  const kind = KINDS.find((one) => one === said);
  if (kind === undefined && said !== undefined) {
    const hint = didYouMean(said, KINDS) || ` Kinds are ${known}`;
    return missing(entry.value.at, `there is no kind "${said}".${hint}`, faults);
  }
  return kind;
}

/** Written out, as names of one type, or left out where the entity's own name will do. */
function joinKeysOf(
  fields: Fields,
  entity: { readonly tree: Tree; readonly name: string },
  faults: Fault[],
) {
  const entry = fields.get("joinKeys");
  const type = typeOfEntry(fields.get("valueType"), faults);
  const named = entry?.value.kind === "list" || entry?.value.kind === "scalar";
  const items = entry?.value.kind === "list" ? entry.value.items : [];
  if (entry !== undefined && (!named || items.some((item) => item.kind === "map"))) {
    return membersOf(entry, FIELD, faults).map(fieldOf);
  }
  if (!fields.has("valueType")) {
    const example = "joinKeys: {airport: string}";
    const text =
      entry === undefined
        ? `the Entity has no joinKeys; write ${example}`
        : `${entry.key}: the type is missing; write ${example}, or add valueType`;
    missing(entry?.at ?? entity.tree.at, text, faults);
  }
  const names = entry === undefined ? [entity.name] : (textsOf(entry, faults) ?? []);
  return names.map((name) => fieldOf({ name, type, fields: new Map() }));
}

function viewOf(about: { readonly name: string }, fields: Fields, faults: Fault[]) {
  const features = membersOf(fields.get("features"), FEATURE, faults).map((member) => {
    const value = member.fields.get("defaultValue");
    const defaultValue = value === undefined ? undefined : defaultOf(value, faults);
    return {
      ...fieldOf(member),
      description: textOf(member.fields.get("description"), faults) ?? "",
      ...(defaultValue === undefined ? {} : { defaultValue }),
    };
  });
  const ttl = durationValueOf(fields.get("ttl"), faults);
  const source = sourceOf(fields.get("source"), faults);
  const online = flagOf(fields.get("online"), faults);
  const offline = flagOf(fields.get("offline"), faults);
  return {
    ...about,
    entities: textsOf(fields.get("entities"), faults) ?? [],
    features,
    ...(ttl === undefined ? {} : { ttl }),
    ...(source === undefined ? {} : { source }),
    ...(online === undefined ? {} : { online }),
    ...(offline === undefined ? {} : { offline }),
  };
}

function sourceOf(entry: Entry | undefined, faults: Fault[]) {
  const fields = entry && fieldsOf(entry.value, { what: "a source", keys: SOURCE }, faults);
  return (
    fields && {
      eventTimestampColumn: textOf(fields.get("eventTimestampColumn"), faults) ?? "",
      createdTimestampColumn: textOf(fields.get("createdTimestampColumn"), faults) ?? "",
      fieldMapping: textMapOf(fields.get("fieldMapping"), faults) ?? {},
    }
  );
}

/** NaN and the infinities are words, as protobuf's JSON has no such numbers. */
function defaultOf(entry: Entry, faults: Fault[]) {
  const { value } = entry;
  if (value.kind !== "scalar") {
    const came = whatCame(value);
    return missing(value.at, `${entry.key}: expected one value, got ${came}`, faults);
  }
  return value.value === null ? undefined : valueInit(value.value);
}

function valueInit(value: Exclude<JsonValue, object | null>) {
  if (typeof value === "string" || !Number.isFinite(Number(value))) {
    return { kind: { case: "stringValue" as const, value: String(value) } };
  }
  return typeof value === "number"
    ? { kind: { case: "numberValue" as const, value } }
    : { kind: { case: "boolValue" as const, value } };
}

/** A named and typed thing of a definition. */
interface Member {
  readonly name: string;
  readonly type: ValueType | undefined;
  readonly fields: Fields;
  readonly tree?: Tree;
}

/** {delay: double}, {delay: {type: double}} or [{name: delay, type: double}]. */
function membersOf(entry: Entry | undefined, keys: Keys, faults: Fault[]): readonly Member[] {
  if (entry === undefined) {
    return [];
  }
  const { value, key } = entry;
  if (value.kind === "scalar") {
    const came = whatCame(value);
    const text = `${key}: expected {name: type} or a list of them, got ${came}`;
    return missing(value.at, text, faults) ?? [];
  }
  if (value.kind === "map") {
    return value.entries.flatMap((one) => memberOf(one, keys, faults) ?? []);
  }
  return value.items.flatMap((item) => {
    const fields = fieldsOf(item, { what: `an item of ${key}`, keys }, faults);
    if (fields === undefined) {
      return [];
    }
    const name = textOf(fields.get("name"), faults);
    if (!fields.has("name")) {
      missing(item.at, `${key}: an item has no name`, faults);
    }
    return name === undefined ? [] : [withType({ name, fields, tree: item }, faults)];
  });
}

function memberOf(entry: Entry, keys: Keys, faults: Fault[]): Member | undefined {
  const { key: name, value } = entry;
  if (value.kind === "scalar") {
    return { name, type: typeOf(value, name, faults), fields: new Map(), tree: value };
  }
  const { name: _named, ...others } = keys;
  const fields = fieldsOf(value, { what: name, keys: others }, faults);
  return fields && withType({ name, fields, tree: value }, faults);
}

function withType(
  member: { readonly name: string; readonly fields: Fields; readonly tree: Tree },
  faults: Fault[],
): Member {
  if (!member.fields.has("valueType")) {
    missing(member.tree.at, `${member.name}: the type is missing`, faults);
  }
  return { ...member, type: typeOfEntry(member.fields.get("valueType"), faults) };
}

function fieldOf({ name, type }: Member) {
  return type === undefined ? { name } : { name, valueType: type };
}

function expressionOf(member: Member, faults: Fault[]): string {
  const entry = member.fields.get("expression");
  const at = member.tree?.at ?? "";
  return entry === undefined
    ? (missing(at, `${member.name}: the expression is missing`, faults) ?? "")
    : (textOf(entry, faults) ?? "");
}
