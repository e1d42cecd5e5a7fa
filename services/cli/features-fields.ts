// Reads the values of a definition: each function gives what was written, or notes what is wrong
// with it and gives undefined, so that one run tells every fault of a file.

import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { type Entry, type Fault, type Place, type Tree, whatCame } from "./features-tree.ts";

/** The keys a map may have, each with what it may be called as well. */
export type Keys = Readonly<Record<string, readonly string[]>>;

/** The entries of a map by the first of their names. */
export type Fields = ReadonlyMap<string, Entry>;

/** Types as they are written, and the proto's. */
export const TYPES: Readonly<Record<string, ValueType>> = {
  bool: ValueType.BOOL,
  int32: ValueType.INT32,
  int64: ValueType.INT64,
  float: ValueType.FLOAT,
  double: ValueType.DOUBLE,
  string: ValueType.STRING,
  bytes: ValueType.BYTES,
  timestamp: ValueType.TIMESTAMP,
};

/** What Feast calls the same. */
const FEAST_TYPES: Readonly<Record<string, ValueType>> = {
  float32: ValueType.FLOAT,
  float64: ValueType.DOUBLE,
  unixtimestamp: ValueType.TIMESTAMP,
  unix_timestamp: ValueType.TIMESTAMP,
};

const NANOS: Readonly<Record<string, bigint>> = {
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n,
};

const DURATION = /^(?:\d+(?:\.\d{1,9})?(?:ms|s|m|h|d|w))+$/;

/** "join_keys" and "joinKeys" are one key. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/**
 * The entries of a map, by their first names. `ignored` keys are passed over: what a server adds.
 */
export function fieldsOf(
  tree: Tree,
  options: { readonly what: string; readonly keys: Keys; readonly ignored?: readonly string[] },
  faults: Fault[],
): Fields | undefined {
  const { what, keys, ignored = [] } = options;
  if (tree.kind !== "map") {
    faults.push({ at: tree.at, text: `expected ${what} as a map, got ${whatCame(tree)}` });
    return undefined;
  }
  const fields = new Map<string, Entry>();
  for (const entry of tree.entries) {
    const spelled = camelCase(entry.key);
    const name = Object.keys(keys).find((key) => key === spelled || keys[key]?.includes(spelled));
    const before = name === undefined ? undefined : fields.get(name);
    if (before !== undefined) {
      faults.push({ at: entry.at, text: `${entry.key}: said before as ${before.key}` });
    } else if (name !== undefined) {
      fields.set(name, entry);
    } else if (!ignored.includes(spelled)) {
      faults.push({ at: entry.at, text: unknownKey(entry.key, what, Object.keys(keys)) });
    }
  }
  return fields;
}

function unknownKey(key: string, what: string, known: readonly string[]): string {
  const hint = didYouMean(camelCase(key), known) || ` It may have ${known.join(", ")}`;
  return `${what} has no "${key}".${hint}`;
}

/** Notes that a key that must be there is not. */
export function missing(at: Place, text: string, faults: Fault[]): undefined {
  faults.push({ at, text });
  return undefined;
}

/** The text that stands under a key. */
export function textOf(entry: Entry | undefined, faults: Fault[]): string | undefined {
  return entry === undefined ? undefined : text(entry.value, entry.key, faults);
}

/** A text; `what` names it in the fault. */
export function text(tree: Tree, what: string, faults: Fault[]): string | undefined {
  if (tree.kind === "scalar" && typeof tree.value === "string") {
    return tree.value;
  }
  return missing(tree.at, `${what}: expected a text, got ${whatCame(tree)}`, faults);
}

/** The true or false that stands under a key. */
export function flagOf(entry: Entry | undefined, faults: Fault[]): boolean | undefined {
  if (entry === undefined) {
    return undefined;
  }
  const { value } = entry;
  if (value.kind === "scalar" && typeof value.value === "boolean") {
    return value.value;
  }
  const text = `${entry.key}: expected true or false, got ${whatCame(value)}`;
  return missing(value.at, text, faults);
}

/** The number that stands under a key; `whole`: from 0, without a fraction. */
export function numberOf(
  entry: Entry | undefined,
  options: { readonly whole: boolean },
  faults: Fault[],
): number | undefined {
  if (entry === undefined) {
    return undefined;
  }
  const { value } = entry;
  const written = value.kind === "scalar" ? value.value : undefined;
  // Protobuf's JSON has 64-bit numbers as text.
  const held = /^\d{1,15}$/.test(String(written)) ? Number(written) : written;
  if (typeof held === "number" && (!options.whole || (Number.isInteger(held) && held >= 0))) {
    return held;
  }
  const kind = options.whole ? "a whole number" : "a number";
  return missing(value.at, `${entry.key}: expected ${kind}, got ${whatCame(value)}`, faults);
}

/** A list of texts; one text alone is a list of one. */
export function textsOf(entry: Entry | undefined, faults: Fault[]): string[] | undefined {
  if (entry === undefined) {
    return undefined;
  }
  const { value, key } = entry;
  if (value.kind === "map") {
    return missing(value.at, `${key}: expected a list of names, got a map`, faults);
  }
  const items = value.kind === "list" ? value.items : [value];
  return items.flatMap((item) => text(item, key, faults) ?? []);
}

/** A map of names to texts; numbers and flags are taken as they are written. */
export function textMapOf(
  entry: Entry | undefined,
  faults: Fault[],
): Record<string, string> | undefined {
  if (entry === undefined) {
    return undefined;
  }
  const { value, key } = entry;
  if (value.kind !== "map") {
    const came = whatCame(value);
    return missing(value.at, `${key}: expected a map of names to texts, got ${came}`, faults);
  }
  const pairs: [string, string][] = [];
  for (const one of value.entries) {
    if (one.value.kind === "scalar" && one.value.value !== null) {
      pairs.push([one.key, String(one.value.value)]);
    } else {
      text(one.value, one.key, faults);
    }
  }
  return Object.fromEntries(pairs);
}

/** "7d", "1d12h", "604800s", or 0. */
export function durationValueOf(entry: Entry | undefined, faults: Fault[]): Duration | undefined {
  if (entry === undefined) {
    return undefined;
  }
  const { value, key } = entry;
  const held = value.kind === "scalar" ? value.value : undefined;
  if (held === 0 || held === "0") {
    return create(DurationSchema);
  }
  if (typeof held !== "string" || !DURATION.test(held)) {
    const came = whatCame(value);
    return missing(
      value.at,
      `${key}: expected a duration such as "7d" or "12h", got ${came}`,
      faults,
    );
  }
  let nanos = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of held.matchAll(
    /(\d+)(?:\.(\d+))?(ms|s|m|h|d|w)/g,
  )) {
    const scale = NANOS[unit] ?? 0n;
    nanos += BigInt(whole) * scale + (BigInt(fraction.padEnd(9, "0")) * scale) / 1_000_000_000n;
  }
  return create(DurationSchema, {
    seconds: nanos / 1_000_000_000n,
    nanos: Number(nanos % 1_000_000_000n),
  });
}

/** A type by any of its names, in any case. */
export function typeOf(tree: Tree, what: string, faults: Fault[]): ValueType | undefined {
  const held = tree.kind === "scalar" ? tree.value : undefined;
  if (typeof held !== "string") {
    const known = Object.keys(TYPES).join(", ");
    const came = whatCame(tree);
    return missing(tree.at, `${what}: expected a type (${known}), got ${came}`, faults);
  }
  const name = held.toLowerCase().replace(/^value_type_/, "");
  const type = TYPES[name] ?? FEAST_TYPES[name];
  if (type !== undefined) {
    return type;
  }
  const known = Object.keys(TYPES);
  const hint =
    didYouMean(name, [...known, ...Object.keys(FEAST_TYPES)]) || ` Types are ${known.join(", ")}`;
  return missing(tree.at, `${what}: there is no type "${held}".${hint}`, faults);
}

/** As typeOf, of what stands under a key. */
export function typeOfEntry(entry: Entry | undefined, faults: Fault[]): ValueType | undefined {
  return entry === undefined ? undefined : typeOf(entry.value, entry.key, faults);
}
