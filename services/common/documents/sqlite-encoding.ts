// Documents as JSON text. JSON lacks dates, bytes and NaN: they become objects with one key that
// starts with "$" ({"$date": "..."}), and keys of the caller's that start with "$" get one more, so
// that nothing a caller stores can be taken for one of these. Dates are ISO text, whose order as
// text is their order in time; SQL compares them as they stand.

import type { Document, Scalar, Stored } from "./port.ts";
import { checkId, DEPTH_MAX, DOCUMENT_BYTES_MAX, invalid } from "./query.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const DATE = "$date";
const BYTES = "$bytes";
const NUMBER = "$number";

/** How a key that starts with "$" begins in JSON text. */
const MARK = '"$';

/** A document's fields without `_id`, `version` and `revision`. @throws InvalidArgument */
export function encodeBody(document: Document): string {
  checkId(document._id);
  const { _id, version: _v, revision: _r, ...fields } = document as Stored<Document>;
  const isPlain = Object.entries(fields).every(
    ([key, value]) => isJson(value, 1) && !isMarked(key),
  );
  const body = JSON.stringify(isPlain ? fields : escapeAll(fields));
  // UTF-8 has at most 3 bytes a UTF-16 unit: most documents need not be measured.
  if (body.length * 3 > DOCUMENT_BYTES_MAX && Buffer.byteLength(body) > DOCUMENT_BYTES_MAX) {
    throw invalid("_id", `document "${_id}" is larger than ${DOCUMENT_BYTES_MAX} bytes`);
  }
  return body;
}

/** The way back. */
export function decodeBody<T extends Document>(row: {
  readonly id: string;
  readonly version: number;
  readonly revision: number;
  readonly body: string;
}): Stored<T> {
  const json = JSON.parse(row.body) as Json;
  // Whatever must be decoded begins with "$"; a text that begins so is only taken for it.
  const fields = (row.body.includes(MARK) ? decode(json) : json) as Record<string, unknown>;
  return { _id: row.id, ...fields, version: row.version, revision: row.revision } as Stored<T>;
}

/** A scalar as SQLite's json_extract gives it, with the json_type that goes with it. */
export function encodeScalar(value: Exclude<Scalar, null>): {
  readonly sql: string | number;
  readonly types: readonly string[];
} {
  switch (typeof value) {
    case "string":
      return { sql: value, types: ["text"] };
    case "boolean":
      return { sql: value ? 1 : 0, types: [String(value)] };
    case "number":
      if (Number.isFinite(value)) return { sql: value, types: ["integer", "real"] };
      break;
  }
  return { sql: JSON.stringify(encode("filter", value, 0)), types: ["object"] };
}

/** The texts between which every encoded Date lies. */
export const DATE_RANGE = { low: `{"${DATE}":"`, high: `{"${DATE}":"~` } as const;

/**
 * Whether a value is JSON as it stands, so that it need not be copied. False for what must be
 * escaped and for what is refused: `encode` tells which.
 */
function isJson(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
      return value.isWellFormed();
    case "number":
      return Number.isFinite(value);
    case "boolean":
    case "undefined":
      return true;
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > DEPTH_MAX) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index];
      if (item === undefined || !isJson(item, depth + 1)) return false;
    }
    return true;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in value) {
    if (isMarked(key) || !isJson((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return true;
}

function isMarked(key: string): boolean {
  return key.charCodeAt(0) === MARK.charCodeAt(1);
}

function escapeAll(fields: object): Json {
  const escaped: [string, Json][] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) escaped.push([escapeKey(key), encode(key, value, 1)]);
  }
  return Object.fromEntries(escaped);
}

function encode(field: string, value: unknown, depth: number): Json {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw invalid(field, "a string holds half a surrogate pair");
      return value;
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : { [NUMBER]: String(value) };
    case "object":
      if (value === null) return null;
      if (value instanceof Date) return { [DATE]: isoDate(field, value) };
      if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString("base64") };
      break;
    default:
      throw invalid(field, `a document cannot hold a ${typeof value}`);
  }
  if (depth > DEPTH_MAX) throw invalid(field, `values are nested deeper than ${DEPTH_MAX} levels`);
  if (Array.isArray(value)) return value.map((item) => encode(field, item, depth + 1));
  return encodeObject(field, value, depth);
}

function encodeObject(field: string, value: object, depth: number): Json {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw invalid(field, `a document cannot hold a ${value.constructor?.name ?? "class instance"}`);
  }
  const fields: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) fields.push([escapeKey(key), encode(field, item, depth + 1)]);
  }
  return Object.fromEntries(fields);
}

function decode(value: Json): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(decode);
  const object = value as { readonly [key: string]: Json };
  if (typeof object[DATE] === "string") return new Date(object[DATE]);
  if (typeof object[BYTES] === "string") return bytes(object[BYTES]);
  if (typeof object[NUMBER] === "string") return Number(object[NUMBER]);
  return Object.fromEntries(
    Object.entries(object).map(([key, item]) => [
      key.startsWith("$") ? key.slice(1) : key,
      decode(item),
    ]),
  );
}

function escapeKey(key: string): string {
  return key.startsWith("$") ? `$${key}` : key;
}

function bytes(base64: string): Uint8Array {
  const buffer = Buffer.from(base64, "base64");
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** ISO text of fixed width; years outside 0 to 9999 would not sort as text. */
function isoDate(field: string, date: Date): string {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9_999)) throw invalid(field, "a Date lies in the years 0 to 9999");
  return date.toISOString();
}
