// Filters and sorts as MongoDB's own, on the fields where mongo-encoding.ts puts them.

import type { Document as Bson, Filter as BsonFilter, Sort as BsonSort } from "mongodb";
import { encodeScalar, fieldPath, type Row } from "./mongo-encoding.ts";
import type { CollectionSpec, Filter, Sort } from "./port.ts";
import { parseFilter, parseSort, type Term } from "./query.ts";

/** A filter's conditions, one object each. @throws InvalidArgument */
export function conditions(filter: Filter): readonly BsonFilter<Row>[] {
  return parseFilter(filter).map((term) => ({ [fieldPath(term.field)]: condition(term) }));
}

/** A sort, always ending in `_id`. @throws InvalidArgument */
export function order(sort: Sort | undefined): BsonSort {
  return new Map(parseSort(sort).map(([field, direction]) => [fieldPath(field), direction]));
}

/** One filter of several that must all hold. */
export function allOf(filters: readonly BsonFilter<Row>[]): BsonFilter<Row> {
  if (filters.length === 0) return {};
  return filters.length === 1 ? filters[0]! : { $and: [...filters] };
}

/** Conditions that leave out what has expired at `nowMs`, and what is deleted. */
export function visible(spec: CollectionSpec, nowMs: number): readonly BsonFilter<Row>[] {
  const filters: BsonFilter<Row>[] = [];
  if (spec.feed === true) filters.push({ gone: { $ne: true } });
  for (const index of spec.indexes) {
    if (index.expireAfterSeconds === undefined) continue;
    const cutoff = new Date(Math.max(0, nowMs - index.expireAfterSeconds * 1_000));
    filters.push({ [fieldPath(Object.keys(index.keys)[0]!)]: { $not: { $lte: cutoff } } });
  }
  return filters;
}

/** True for a document that `visible` leaves out. */
export function isHidden(spec: CollectionSpec, row: Row, nowMs: number): boolean {
  if (row.gone === true) return true;
  return spec.indexes.some((index) => {
    if (index.expireAfterSeconds === undefined) return false;
    let value: unknown = row;
    for (const key of fieldPath(Object.keys(index.keys)[0]!).split(".")) {
      value = (value as Bson | undefined)?.[key];
    }
    return value instanceof Date && value.getTime() + index.expireAfterSeconds * 1_000 <= nowMs;
  });
}

function condition(term: Term): Bson {
  switch (term.op) {
    case "eq":
    case "ne":
      return { [`$${term.op}`]: encodeScalar(term.value) };
    case "in":
      return { $in: term.values.map(encodeScalar) };
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      if (typeof term.value === "number" && !Number.isFinite(term.value)) {
        // Infinities are stored as objects: every number lies between them, or none past them.
        const every = term.op.startsWith("l") === term.value > 0;
        return every ? { $gte: -Number.MAX_VALUE } : { $in: [] };
      }
      return { [`$${term.op}`]: term.value };
  }
}
