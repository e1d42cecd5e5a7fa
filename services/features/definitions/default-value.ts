// The value that a model gets where a feature is missing: as people write it (a JSON value), as it
// is stored, and as it is served.

import { create, fromJson, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { TimestampSchema, type Value, type ValueSchema } from "@bufbuild/protobuf/wkt";
import { timestampOf } from "../columns.ts";
import type { Cell, ValueType } from "../value.ts";
import type { Feature } from "./definitions.ts";

type DefaultValue = Feature["defaultValue"];

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** A default is a label or a code, not a document. */
const LENGTH_MAX = 10_000;
const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** What a value is read as, or why it is none of its type. Absent and null: none is declared. */
export function parseDefault(
  type: ValueType,
  value: Value | undefined,
): { readonly value: DefaultValue } | { readonly fault: string } {
  const given = value?.kind.case === "nullValue" ? undefined : value?.kind.value;
  if (given === undefined) {
    return { value: null };
  }
  const parsed = parse(type, given);
  if (parsed === undefined) {
    const shown = typeof given === "object" ? "a list or an object" : JSON.stringify(given);
    return { fault: `is ${shown.slice(0, 100)}; ${EXPECTED[type]}` };
  }
  return { value: parsed };
}

/** As people write it; undefined where none is declared. */
export function toDefault(
  type: ValueType,
  value: Cell,
): MessageInitShape<typeof ValueSchema> | undefined {
  if (value === null) {
    return undefined;
  }
  if (typeof value === "boolean") {
    return { kind: { case: "boolValue", value } };
  }
  const text = (text: string) => ({ kind: { case: "stringValue" as const, value: text } });
  if (value instanceof Uint8Array) {
    return text(Buffer.from(value).toString("base64"));
  }
  if (type === "TIMESTAMP") {
    return text(rfc3339(Number(value)));
  }
  if (typeof value === "number" && Number.isFinite(value)) {
    return { kind: { case: "numberValue", value } };
  }
  return text(String(value));
}

/** As it is served: a long INT64, stored as text, is a bigint. */
export function defaultCell(feature: Pick<Feature, "type" | "defaultValue">): Cell {
  const { type, defaultValue } = feature;
  return type === "INT64" && typeof defaultValue === "string" ? BigInt(defaultValue) : defaultValue;
}

/** Whether two cells are the same value; NaN is itself. */
export function isSameCell(a: Cell, b: Cell): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return Buffer.from(a).equals(b);
  }
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** A cell as people read it. */
export function showCell(type: ValueType, value: Cell): string {
  const shown = toDefault(type, value)?.kind;
  return shown === undefined ? "none" : JSON.stringify(shown.value);
}

const EXPECTED: Readonly<Record<ValueType, string>> = {
  BOOL: "a BOOL is true or false",
  INT32: "an INT32 is a whole number from -2147483648 to 2147483647",
  INT64: "an INT64 is a whole number of 64 bits; beyond 2^53 written as a text",
  FLOAT: 'a FLOAT is a number of 32 bits, "NaN", "Infinity" or "-Infinity"',
  DOUBLE: 'a DOUBLE is a number, "NaN", "Infinity" or "-Infinity"',
  STRING: `a STRING is a text of up to ${LENGTH_MAX} characters`,
  BYTES: `BYTES are a text in base64 of up to ${LENGTH_MAX} characters`,
  TIMESTAMP: 'a TIMESTAMP is a text like "2001-01-31T06:00:00Z" with at most six decimals',
};

function parse(type: ValueType, given: unknown): DefaultValue | undefined {
  switch (type) {
    case "BOOL":
      return typeof given === "boolean" ? given : undefined;
    case "INT32":
      return Number.isInteger(given) && Number(given) >= INT32_MIN && Number(given) <= INT32_MAX
        ? Number(given) + 0
        : undefined;
    case "INT64":
      return parseInt64(given);
    case "FLOAT": {
      const number = parseNumber(given);
      const narrow = number === undefined ? undefined : Math.fround(number);
      return Number.isFinite(number) && !Number.isFinite(narrow) ? undefined : narrow;
    }
    case "DOUBLE":
      return parseNumber(given);
    case "STRING":
      return typeof given === "string" && given.length <= LENGTH_MAX ? given : undefined;
    case "BYTES":
      return typeof given === "string" ? parseBytes(given) : undefined;
    case "TIMESTAMP":
      return typeof given === "string" ? parseTimestamp(given) : undefined;
  }
}

function parseNumber(given: unknown): number | undefined {
  if (typeof given === "string") {
    return Object.hasOwn(NUMBERS, given) ? NUMBERS[given] : undefined;
  }
  // -0 is stored as 0.
  return typeof given === "number" ? given + 0 : undefined;
}

function parseInt64(given: unknown): number | string | undefined {
  if (typeof given === "number") {
    return Number.isSafeInteger(given) ? given + 0 : undefined;
  }
  if (typeof given !== "string" || !/^-?\d{1,19}$/.test(given)) {
    return undefined;
  }
  const whole = BigInt(given);
  if (whole < INT64_MIN || whole > INT64_MAX) {
    return undefined;
  }
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : String(whole);
}

function parseBytes(given: string): Uint8Array | undefined {
  const bytes = Buffer.from(given, "base64");
  const isBase64 = given.length <= LENGTH_MAX && bytes.toString("base64") === given;
  return isBase64 ? Uint8Array.from(bytes) : undefined;
}

function parseTimestamp(given: string): number | undefined {
  try {
    const { seconds, nanos } = fromJson(TimestampSchema, given);
    const us = Number(seconds) * 1e6 + nanos / 1000;
    return Number.isSafeInteger(us) ? us : undefined;
  } catch {
    return undefined;
  }
}

function rfc3339(us: number): string {
  return toJson(TimestampSchema, create(TimestampSchema, timestampOf(us)));
}
