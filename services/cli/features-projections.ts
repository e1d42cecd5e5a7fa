// The projections of a feature service, in every form people write them: a view's name, a name
// with version or feature, or a map that renames.

import { fieldsOf, type Keys, missing, numberOf, textMapOf, textOf } from "./features-fields.ts";
import { type Entry, type Fault, type Tree, whatCame } from "./features-tree.ts";

/** One projection, as ApplyDefinitions takes it. */
export interface ProjectionInit {
  readonly featureView: string;
  readonly version: bigint;
  readonly features: { readonly feature: string; readonly alias: string }[];
  readonly joinKeys: Record<string, string>;
}

/** The keys of a projection. */
export const PROJECTION: Keys = {
  featureView: ["view", "onDemandView", "onDemandFeatureView"],
  version: [],
  features: [],
  joinKeys: ["joinKeyMap"],
};

/** The keys of a feature that a projection takes under another name. */
export const SELECTED: Keys = { feature: ["name"], alias: ["as"] };

/** "airport_delays", "airport_delays@3", "airport_delays:mean_delay", "airport_delays@3:mean_delay" */
const SHORT = /^([^@:\s]+)(?:@([1-9]\d{0,17}))?(?::([^@:\s]+))?$/;

/** The projections in order; faults are noted. */
export function projectionsOf(entry: Entry | undefined, faults: Fault[]): ProjectionInit[] {
  if (entry === undefined) {
    return [];
  }
  if (entry.value.kind !== "list") {
    const text = `${entry.key}: expected a list of views, got ${whatCame(entry.value)}`;
    return missing(entry.value.at, text, faults) ?? [];
  }
  return entry.value.items.flatMap((item) => projectionOf(item, faults) ?? []);
}

function projectionOf(tree: Tree, faults: Fault[]): ProjectionInit | undefined {
  if (tree.kind === "scalar" && typeof tree.value === "string") {
    return shortForm(tree.value, tree, faults);
  }
  const fields = fieldsOf(tree, { what: "a projection", keys: PROJECTION }, faults);
  if (fields === undefined) {
    return undefined;
  }
  if (!fields.has("featureView")) {
    return missing(tree.at, "the projection has no view", faults);
  }
  const view = textOf(fields.get("featureView"), faults);
  const version = numberOf(fields.get("version"), { whole: true }, faults);
  return {
    featureView: view ?? "",
    version: BigInt(version ?? 0),
    features: selectedOf(fields.get("features"), faults),
    joinKeys: textMapOf(fields.get("joinKeys"), faults) ?? {},
  };
}

function shortForm(text: string, tree: Tree, faults: Fault[]): ProjectionInit | undefined {
  const parts = SHORT.exec(text);
  if (parts === null) {
    const forms = "view, view@3 or view:feature";
    return missing(tree.at, `expected ${forms}, got ${whatCame(tree)}`, faults);
  }
  const [, featureView = "", version = "0", feature] = parts;
  return {
    featureView,
    version: BigInt(version),
    features: feature === undefined || feature === "*" ? [] : [{ feature, alias: "" }],
    joinKeys: {},
  };
}

/** [mean_delay], [{feature: mean_delay, alias: origin_delay}] or {mean_delay: origin_delay}. */
function selectedOf(entry: Entry | undefined, faults: Fault[]): ProjectionInit["features"] {
  if (entry === undefined) {
    return [];
  }
  const { value, key } = entry;
  if (value.kind === "scalar") {
    const text = `${key}: expected a list of features, got ${whatCame(value)}`;
    return missing(value.at, text, faults) ?? [];
  }
  if (value.kind === "map") {
    return value.entries.flatMap((one) => {
      const alias = textOf(one, faults);
      return alias === undefined ? [] : [{ feature: one.key, alias }];
    });
  }
  return value.items.flatMap((item) => {
    if (item.kind === "scalar" && typeof item.value === "string") {
      return [{ feature: item.value, alias: "" }];
    }
    const fields = fieldsOf(item, { what: `an item of ${key}`, keys: SELECTED }, faults);
    if (fields === undefined) {
      return [];
    }
    const feature = textOf(fields.get("feature"), faults);
    if (!fields.has("feature")) {
      missing(item.at, `${key}: an item has no feature`, faults);
    }
    const alias = textOf(fields.get("alias"), faults) ?? "";
    return feature === undefined ? [] : [{ feature, alias }];
  });
}
