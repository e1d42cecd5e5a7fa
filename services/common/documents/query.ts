// What both drivers read out of a filter, a sort and a collection's specification, checked once:
// a driver only translates. Anything a caller could get wrong is refused here, before a database
// sees it, so that the two drivers cannot differ in what they accept.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../errors/domain-error.ts";
import type { CollectionSpec, Filter, IndexSpec, Scalar, Sort } from "./port.ts";

/**
 * Characters in an `_id`; it is a key of indexes in both databases, which have limits of their own.
 */
const ID_LENGTH_MAX = 1_024;

/** Bytes of one encoded document: a feed entry holds a whole one, and MongoDB stops at 16 MiB. */
export const DOCUMENT_BYTES_MAX = 8 * 1_024 * 1_024;

/** Levels of arrays and objects in a document; BSON stops at 100 and nested arrays count twice. */
export const DEPTH_MAX = 40;

/** Changes a feed keeps unless a store is opened with another number. */
export const FEED_RETENTION = 10_000;

/** Documents or changes read from the database at a time. */
export const BATCH_SIZE = 500;

const COLLECTION_NAME = /^[a-z][a-z0-9_]{0,62}$/;
const RANGES = { $gt: "gt", $gte: "gte", $lt: "lt", $lte: "lte" } as const;

/** One condition of a filter. */
export type Term =
  | { readonly field: string; readonly op: "eq" | "ne"; readonly value: Scalar }
  | {
      readonly field: string;
      readonly op: "gt" | "gte" | "lt" | "lte";
      readonly value: string | number | Date;
    }
  | { readonly field: string; readonly op: "in"; readonly values: readonly Scalar[] };

/**
 * The conditions of a filter; `$exists` becomes a comparison with null.
 * @throws InvalidArgument for a field name, an operator or a value outside the port's subset.
 */
export function parseFilter(filter: Filter): readonly Term[] {
  return Object.entries(filter).flatMap(([field, condition]) => {
    checkField(field);
    if (isScalar(condition)) return [{ field, op: "eq", value: checkScalar(field, condition) }];
    if (condition === undefined || Array.isArray(condition)) {
      throw invalid(field, "a filter compares with one value; use $in for several");
    }
    return Object.entries(condition).map(([operator, value]) => parseTerm(field, operator, value));
  });
}

/** The order of a sort as pairs, always ending in `_id`. @throws InvalidArgument */
export function parseSort(sort: Sort | undefined): readonly (readonly [string, 1 | -1])[] {
  const order: (readonly [string, 1 | -1])[] = [];
  for (const [field, direction] of Object.entries(sort ?? {})) {
    checkField(field);
    if (direction !== 1 && direction !== -1) throw invalid(field, "a sort direction is 1 or -1");
    order.push([field, direction]);
    if (field === "_id") return order;
  }
  return [...order, ["_id", 1]];
}

/**
 * A limit as given, or undefined for none. @throws InvalidArgument unless a whole number from 1.
 */
export function parseLimit(limit: number | undefined): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw invalid("limit", `a limit is a whole number from 1, not ${limit}`);
  }
  return limit;
}

/** Checks a collection's specification. @throws InvalidArgument */
export function checkSpec(spec: CollectionSpec): void {
  if (!COLLECTION_NAME.test(spec.name)) {
    throw invalid("name", `a collection is named like [a-z][a-z0-9_]{0,62}, not "${spec.name}"`);
  }
  for (const index of spec.indexes) {
    const keys = Object.entries(index.keys);
    if (keys.length === 0) throw invalid("indexes", "an index has at least one key");
    for (const [field] of keys) checkField(field);
    if (index.expireAfterSeconds === undefined) continue;
    if (keys.length > 1 || index.unique === true || !(index.expireAfterSeconds >= 0)) {
      throw invalid("indexes", "an expiring index has one Date field and 0 or more seconds");
    }
  }
}

/** How an index is called in errors: its fields joined by commas. */
export function indexLabel(index: IndexSpec): string {
  return Object.keys(index.keys).join(",");
}

/** Checks an `_id`. @throws InvalidArgument */
export function checkId(id: string): void {
  if (typeof id !== "string" || id.length === 0 || id.length > ID_LENGTH_MAX) {
    throw invalid("_id", `an _id is a string of 1 to ${ID_LENGTH_MAX} characters`);
  }
  if (id.includes("\0") || !id.isWellFormed()) {
    throw invalid("_id", "an _id holds no NUL character and no half of a surrogate pair");
  }
}

/** The error for something the port does not take. */
export function invalid(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${JSON.stringify(field)}: ${description}`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}

/** True for a value that holds no others. */
function isScalar(value: unknown): value is Scalar {
  if (value === null || value instanceof Date || value instanceof Uint8Array) return true;
  return ["string", "number", "boolean"].includes(typeof value);
}

function parseTerm(field: string, operator: string, value: unknown): Term {
  switch (operator) {
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte": {
      const ordered = typeof value === "string" || value instanceof Date;
      if (!ordered && (typeof value !== "number" || Number.isNaN(value))) {
        throw invalid(field, `${operator} compares with a string, a number or a Date`);
      }
      return { field, op: RANGES[operator], value: value as string | number | Date };
    }
    case "$ne":
      return { field, op: "ne", value: checkScalar(field, value) };
    case "$in":
      if (!Array.isArray(value)) throw invalid(field, "$in takes an array");
      return { field, op: "in", values: value.map((item) => checkScalar(field, item)) };
    case "$exists":
      if (typeof value !== "boolean") throw invalid(field, "$exists takes true or false");
      return { field, op: value ? "ne" : "eq", value: null };
    default:
      throw invalid(field, `"${operator}" is not an operator; objects are not compared`);
  }
}

function checkScalar(field: string, value: unknown): Scalar {
  if (!isScalar(value)) {
    throw invalid(field, "a filter compares with a string, number, boolean, null, Date or bytes");
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    throw invalid(field, "the Date is not valid");
  }
  return value;
}

function checkField(field: string): void {
  const bad = field.split(".").some((key) => key === "" || key.startsWith("$"));
  if (bad || field.includes("\0") || field.length > ID_LENGTH_MAX) {
    throw invalid(field, 'a field is keys joined by dots ("a.b"), none empty or starting with "$"');
  }
}
