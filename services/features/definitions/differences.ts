// How two states of a definition differ, line by line, for people who read a plan.

import type { Field } from "../value.ts";
import { isSameCell, showCell } from "./default-value.ts";
import type {
  About,
  BatchSource,
  Feature,
  FeatureView,
  OnDemandFeature,
  OnDemandFeatureView,
  Projection,
} from "./definitions.ts";

const UNITS = [
  ["d", 86_400e6],
  ["h", 3600e6],
  ["m", 60e6],
  ["s", 1e6],
  ["ms", 1e3],
  ["us", 1],
] as const;

/** Microseconds as people write them: "7d", "1d12h", "90s"; 0 is "forever". */
function showTtl(us: number): string {
  let rest = us;
  let text = "";
  for (const [unit, length] of UNITS) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    text += count > 0 ? `${count}${unit}` : "";
  }
  return text === "" ? "forever" : text;
}

/** Description, owner and tags: no version depends on them. */
export function aboutDifferences(before: About, after: About): string[] {
  const lines: string[] = [];
  for (const part of ["description", "owner"] as const) {
    if (before[part] !== after[part]) {
      lines.push(`${part}: ${quoted(before[part])} -> ${quoted(after[part])}`);
    }
  }
  const old = new Map(before.tags);
  const now = new Map(after.tags);
  for (const [key, value] of now) {
    const was = old.get(key);
    if (was === undefined) {
      lines.push(`tags: + ${key} ${quoted(value)}`);
    } else if (was !== value) {
      lines.push(`tags: ${key} ${quoted(was)} -> ${quoted(value)}`);
    }
  }
  lines.push(...[...old.keys()].filter((key) => !now.has(key)).map((key) => `tags: - ${key}`));
  return lines;
}

/** Join keys of an entity, or inputs of expressions; their order does not matter. */
export function fieldDifferences(
  part: string,
  before: readonly Field[],
  after: readonly Field[],
): string[] {
  return listDifferences(part, before, after, (was, now) =>
    was.type === now.type ? [] : [`${was.type} -> ${now.type}`],
  );
}

/** What makes a new version of a view. */
export function viewDifferences(before: FeatureView, after: FeatureView): string[] {
  const lines = [
    ...fieldDifferences("join_keys", before.joinKeys, after.joinKeys),
    ...listDifferences("features", before.features, after.features, featureDifferences),
    ...orderDifferences(before.features, after.features),
    ...sourceDifferences(before.source, after.source),
  ];
  if (before.ttlUs !== after.ttlUs) {
    lines.push(`ttl: ${showTtl(before.ttlUs)} -> ${showTtl(after.ttlUs)}`);
  }
  for (const store of ["online", "offline"] as const) {
    if (before[store] !== after[store]) {
      lines.push(`${store}: ${before[store]} -> ${after[store]}`);
    }
  }
  return lines;
}

/** What makes a new version of an on-demand view. */
export function onDemandDifferences(
  before: OnDemandFeatureView,
  after: OnDemandFeatureView,
): string[] {
  return [
    ...fieldDifferences("inputs", before.inputs, after.inputs),
    ...orderDifferences(before.inputs, after.inputs, "inputs"),
    ...listDifferences("features", before.features, after.features, expressionDifferences),
    ...orderDifferences(before.features, after.features),
  ];
}

/** Descriptions of features, which a view of the same version may change. */
export function descriptionDifferences(
  before: readonly { readonly name: string; readonly description: string }[],
  after: readonly { readonly name: string; readonly description: string }[],
): string[] {
  const old = new Map(before.map(({ name, description }) => [name, description]));
  return after.flatMap(({ name, description }) => {
    const was = old.get(name);
    return was === undefined || was === description
      ? []
      : [`features: ${name} description ${quoted(was)} -> ${quoted(description)}`];
  });
}

/** What makes a new version of a feature service. */
export function projectionDifferences(
  before: readonly Projection[],
  after: readonly Projection[],
): string[] {
  const old = new Map(before.map((projection) => [identityOf(projection, before), projection]));
  const now = new Map(after.map((projection) => [identityOf(projection, after), projection]));
  const lines: string[] = [];
  for (const [identity, projection] of now) {
    const was = old.get(identity);
    if (was === undefined) {
      lines.push(`projections: + ${identity} version ${projection.version}`);
      continue;
    }
    if (was.version !== projection.version) {
      lines.push(`projections: ${identity} version ${was.version} -> ${projection.version}`);
    }
    const [outputs, outputsNow] = [outputsOf(was), outputsOf(projection)];
    lines.push(
      ...outputsNow.filter((one) => !outputs.includes(one)).map((one) => `${identity}: + ${one}`),
      ...outputs.filter((one) => !outputsNow.includes(one)).map((one) => `${identity}: - ${one}`),
    );
  }
  for (const [identity] of old) {
    if (!now.has(identity)) {
      lines.push(`projections: - ${identity}`);
    }
  }
  return lines.length > 0 ? lines : ["projections: in another order"];
}

function featureDifferences(was: Feature, now: Feature): string[] {
  const lines = was.type === now.type ? [] : [`${was.type} -> ${now.type}`];
  if (!isSameCell(was.defaultValue, now.defaultValue)) {
    const [before, after] = [was, now].map((one) => showCell(one.type, one.defaultValue));
    lines.push(`default_value ${before} -> ${after}`);
  }
  return lines;
}

function expressionDifferences(was: OnDemandFeature, now: OnDemandFeature): string[] {
  const lines = was.type === now.type ? [] : [`${was.type} -> ${now.type}`];
  if (was.expression !== now.expression) {
    lines.push(`${quoted(was.expression)} -> ${quoted(now.expression)}`);
  }
  return lines;
}

function listDifferences<T extends Field>(
  part: string,
  before: readonly T[],
  after: readonly T[],
  compare: (was: T, now: T) => string[],
): string[] {
  const old = new Map(before.map((item) => [item.name, item]));
  const now = new Set(after.map(({ name }) => name));
  return [
    ...after.flatMap((item) => {
      const was = old.get(item.name);
      return was === undefined
        ? [`${part}: + ${item.name} ${item.type}`]
        : compare(was, item).map((line) => `${part}: ${item.name} ${line}`);
    }),
    ...before.filter(({ name }) => !now.has(name)).map(({ name }) => `${part}: - ${name}`),
  ];
}

/** Only where nothing else differs: what is added or gone is said already. */
function orderDifferences(
  before: readonly Field[],
  after: readonly Field[],
  part = "features",
): string[] {
  const [was, now] = [before.map(({ name }) => name), after.map(({ name }) => name)];
  const isSameSet = was.length === now.length && was.every((name) => now.includes(name));
  return isSameSet && was.some((name, index) => now[index] !== name)
    ? [`${part}: in another order`]
    : [];
}

function sourceDifferences(before: BatchSource, after: BatchSource): string[] {
  const lines: string[] = [];
  if (before.eventTimestampColumn !== after.eventTimestampColumn) {
    const [was, now] = [before, after].map((source) => quoted(source.eventTimestampColumn));
    lines.push(`source: event_timestamp_column ${was} -> ${now}`);
  }
  if (before.createdTimestampColumn !== after.createdTimestampColumn) {
    const [was, now] = [before, after].map((source) => quoted(source.createdTimestampColumn));
    lines.push(`source: created_timestamp_column ${was} -> ${now}`);
  }
  const show = ([column, field]: readonly [string, string]) => `${column} as ${field}`;
  const [was, now] = [before.fieldMapping.map(show), after.fieldMapping.map(show)];
  lines.push(
    ...now.filter((one) => !was.includes(one)).map((one) => `source: + ${one}`),
    ...was.filter((one) => !now.includes(one)).map((one) => `source: - ${one}`),
  );
  return lines;
}

/** A view, with what tells it from the same view taken again. */
function identityOf(projection: Projection, among: readonly Projection[]): string {
  const { view, joinKeys } = projection;
  const keys = joinKeys.map(([joinKey, column]) => `${joinKey}: ${column}`).join(", ");
  const identity = keys === "" ? view : `${view} (${keys})`;
  const twins = among.filter((one) => one.view === view && sameKeys(one, projection));
  return twins.length > 1 ? `${identity} #${twins.indexOf(projection) + 1}` : identity;
}

function sameKeys(a: Projection, b: Projection): boolean {
  return JSON.stringify(a.joinKeys) === JSON.stringify(b.joinKeys);
}

function outputsOf({ features }: Projection): string[] {
  return features.map(([feature, output]) =>
    feature === output ? feature : `${feature} as ${output}`,
  );
}

function quoted(text: string): string {
  const shown = text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
  return JSON.stringify(shown);
}

const SHOWN_MAX = 60;
