// Documents as BSON. A caller's fields lie under `d`, so that they cannot meet ours:
//   _id, v (version), r (revision of the content), d (fields), u:<fields> (key of a unique index),
//   and with a feed: a (revision of the last change that was decided), gone (deleted; see
//   mongo-feed.ts).
// Some servers refuse keys with "." or "$", NaN, or arrays in arrays; "%" escapes all of these.

import { Binary, type Document as Bson } from "mongodb";
import type { CollectionSpec, Document, IndexSpec, Scalar, Stored } from "./port.ts";
import { checkId, DEPTH_MAX, DOCUMENT_BYTES_MAX, indexLabel, invalid } from "./query.ts";

/** A stored document. */
export interface Row {
  readonly _id: string;
  readonly v: number;
  readonly r: number;
  readonly d: Bson;
  readonly a?: number;
  readonly gone?: boolean;
}

const NUMBER = "%number";
const ARRAY = "%array";

/** What a collection's server-side key cannot hold as it is. */
const ESCAPED = /[%.$\0]/g;

/** A document's own fields. @throws InvalidArgument */
export function encodeFields(document: Document): Bson {
  checkId(document._id);
  const budget = { left: DOCUMENT_BYTES_MAX };
  const { _id, version: _v, revision: _r, ...fields } = document as Stored<Document>;
  const encoded = encodeObject("document", fields, { depth: 0, budget });
  return encoded;
}

/** The way back. */
export function decodeRow<T extends Document>(row: Pick<Row, "_id" | "v" | "r" | "d">): Stored<T> {
  const fields = decode(row.d) as Record<string, unknown>;
  return { _id: row._id, ...fields, version: row.v, revision: row.r } as Stored<T>;
}

/** A scalar as it is stored. */
export function encodeScalar(value: Scalar): unknown {
  return encode("filter", value, { depth: 0, budget: { left: DOCUMENT_BYTES_MAX } });
}

/** Where a field of the port lies in a stored document. */
export function fieldPath(field: string): string {
  if (field === "_id") return field;
  if (field === "version") return "v";
  if (field === "revision") return "r";
  return `d.${field.split(".").map(encodeKey).join(".")}`;
}

/** The name of the field that holds the key of a unique index. */
export function uniqueField(index: IndexSpec): string {
  return `u:${indexLabel(index).replaceAll(".", "%2E")}`;
}

/**
 * The keys of a collection's unique indexes, one text each. A document that lacks a key gets one
 * that is its own alone: so a plain unique index, which every server has, means what the port says.
 */
export function uniqueKeys(
  spec: CollectionSpec,
  id: string,
  fields: Bson | undefined,
): Readonly<Record<string, string>> {
  const keys: Record<string, string> = {};
  for (const index of spec.indexes) {
    if (index.unique !== true) continue;
    const values = Object.keys(index.keys).map((field) => {
      return field === "_id" ? id : valueAt(fields, field);
    });
    const lacking = fields === undefined || values.some((value) => value == null);
    keys[uniqueField(index)] = lacking ? `-${id}` : `=${JSON.stringify(values.map(keyPart))}`;
  }
  return keys;
}

interface Bounds {
  readonly depth: number;
  readonly budget: { left: number };
}

function encode(field: string, value: unknown, bounds: Bounds): unknown {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw invalid(field, "a string holds half a surrogate pair");
      spend(bounds, Buffer.byteLength(value) + 8);
      return value;
    case "number":
      spend(bounds, 16);
      if (!Number.isFinite(value)) return { [NUMBER]: String(value) };
      return value === 0 ? 0 : value;
    case "boolean":
      spend(bounds, 8);
      return value;
    case "object":
      if (value === null) return null;
      if (value instanceof Date) return checkedDate(field, value);
      if (value instanceof Uint8Array) {
        spend(bounds, value.length + 16);
        return new Binary(value);
      }
      break;
    default:
      throw invalid(field, `a document cannot hold a ${typeof value}`);
  }
  if (bounds.depth > DEPTH_MAX) throw invalid(field, `more than ${DEPTH_MAX} levels are nested`);
  const inner = { ...bounds, depth: bounds.depth + 1 };
  if (!Array.isArray(value)) return encodeObject(field, value, inner);
  spend(bounds, 16);
  return value.map((item) => {
    const encoded = encode(field, item, inner);
    return Array.isArray(encoded) ? { [ARRAY]: encoded } : encoded;
  });
}

function encodeObject(field: string, value: object, bounds: Bounds): Bson {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw invalid(field, `a document cannot hold a ${value.constructor?.name ?? "class instance"}`);
  }
  const fields: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    spend(bounds, Buffer.byteLength(key) + 8);
    fields.push([encodeKey(key), encode(key, item, bounds)]);
  }
  return Object.fromEntries(fields);
}

function decode(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (value instanceof Binary) return new Uint8Array(value.value());
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(decode);
  const object = value as Readonly<Record<string, unknown>>;
  if (object[NUMBER] !== undefined) return Number(object[NUMBER]);
  if (object[ARRAY] !== undefined) return decode(object[ARRAY]);
  return Object.fromEntries(
    Object.entries(object).map(([key, item]) => [decodeKey(key), decode(item)]),
  );
}

function encodeKey(key: string): string {
  if (key === "") return "%";
  return key.replace(ESCAPED, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

function decodeKey(key: string): string {
  if (key === "%") return "";
  return key.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function checkedDate(field: string, date: Date): Date {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9_999)) throw invalid(field, "a Date lies in the years 0 to 9999");
  return date;
}

function spend(bounds: Bounds, bytes: number): void {
  bounds.budget.left -= bytes;
  if (bounds.budget.left >= 0) return;
  throw invalid("_id", `the document is larger than ${DOCUMENT_BYTES_MAX} bytes`);
}

function valueAt(fields: Bson | undefined, field: string): unknown {
  let value: unknown = fields;
  for (const key of field.split(".").map(encodeKey)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Bson)[key];
  }
  return value;
}

/** Dates and bytes as values no other type has. */
function keyPart(value: unknown): unknown {
  if (value instanceof Date) return { date: value.getTime() };
  return value instanceof Binary ? { bytes: value.toString("base64") } : value;
}
