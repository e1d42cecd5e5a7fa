// One page of a List call in a total order. By a stored field the store does the ordering; by a
// metric, which is no field, every candidate is read and only the page is held.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Collection, Document, Filter, Stored } from "./documents/port.ts";
import { InvalidArgument } from "./errors/domain-error.ts";
import { decodePageToken, encodePageToken, pageSizeOf } from "./page-token.ts";

/** By a stored field, or by a number read from each item (items without one come last). */
export type Order<T> =
  | {
      readonly field: string;
      readonly kind: "text" | "number" | "date";
      readonly descending: boolean;
    }
  | { readonly read: (item: T) => number | undefined; readonly descending: boolean };

export interface PageQuery<T extends Document> {
  /** Method and every field that decides the result; a token is bound to it. */
  readonly call: readonly string[];
  readonly pageSize: number;
  readonly pageToken: string;
  readonly where: Filter;
  readonly matches: (item: T) => boolean;
  readonly order: Order<T>;
  readonly signal: AbortSignal;
}

export interface Page<T extends Document> {
  readonly items: readonly Stored<T>[];
  /** Empty: the last page. */
  readonly nextPageToken: string;
}

/**
 * Reads one page.
 * @throws InvalidArgument when the size is negative or the token is not one of this call.
 */
export async function listPage<T extends Document>(
  collection: Collection<T>,
  query: PageQuery<T>,
): Promise<Page<T>> {
  const size = pageSizeOf(query.pageSize);
  const cursor = decodePageToken(query.call, query.pageToken);
  const { order } = query;
  // One more than the page shows whether another follows.
  const found =
    "field" in order
      ? await byField(collection, { query, order, cursor, count: size + 1 })
      : await byNumber(collection, { query, order, cursor, count: size + 1 });
  const items = found.slice(0, size);
  const last = items.at(-1);
  const isLast = found.length <= size || last === undefined;
  return {
    items,
    nextPageToken: isLast ? "" : encodePageToken(query.call, [sortValue(order, last), last._id]),
  };
}

/**
 * The order a text asks for: a name of `orders`, alone or with ` desc` or ` asc`. The part after
 * the dot of `metrics.KEY` is handed to the order `metrics.`.
 * @throws InvalidArgument
 */
export function parseOrderBy<T>(
  text: string,
  orders: Readonly<Record<string, (key: string) => OrderKey<T>>>,
): Order<T> {
  const [, name = "", key, direction] =
    /^\s*([a-z_]+)(\.\S+)?(?:\s+(desc|asc))?\s*$/.exec(text) ?? [];
  const known = key === undefined ? name : `${name}.`;
  const order = Object.hasOwn(orders, known) ? orders[known] : undefined;
  if (order === undefined) {
    const list = Object.keys(orders).map((o) => (o.endsWith(".") ? `${o}KEY` : o));
    throw new InvalidArgument(
      `order_by must be one of ${list.join(", ")}, alone or followed by " desc"; ` +
        `got ${JSON.stringify(text.slice(0, 100))}.`,
      {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "order_by", description: `must be one of ${list.join(", ")}` }],
      },
    );
  }
  return { ...order(key?.slice(1) ?? ""), descending: direction === "desc" };
}

/** An order without its direction. */
export type OrderKey<T> =
  | { readonly field: string; readonly kind: "text" | "number" | "date" }
  | { readonly read: (item: T) => number | undefined };

type Cursor = ReturnType<typeof decodePageToken>;
type FieldOrder<T> = Extract<Order<T>, { readonly field: string }>;
type NumberOrder<T> = Extract<Order<T>, { readonly read: unknown }>;

interface Search<T extends Document, O> {
  readonly query: PageQuery<T>;
  readonly order: O;
  readonly cursor: Cursor;
  readonly count: number;
}

async function byField<T extends Document>(
  collection: Collection<T>,
  search: Search<T, FieldOrder<T>>,
): Promise<Stored<T>[]> {
  const { query, order, cursor, count } = search;
  const { field } = order;
  const found: Stored<T>[] = [];
  const sort = { [field]: order.descending ? -1 : 1 } as const;
  for (const after of conditionsAfter(order, cursor)) {
    const filter: Filter = { ...query.where, ...after };
    for await (const item of collection.find(filter, { sort, signal: query.signal })) {
      if (query.matches(item) && found.push(item) === count) {
        return found;
      }
    }
  }
  return found;
}

/** What lies after the cursor: first the rest of its ties, then everything beyond. */
function conditionsAfter<T>(order: FieldOrder<T>, cursor: Cursor): readonly Filter[] {
  if (cursor === undefined) {
    return [{}];
  }
  const [value, id] = cursor.map((part) => part ?? "");
  const beyond = order.descending ? "$lt" : "$gt";
  const stored = order.kind === "date" ? new Date(Number(value)) : (value ?? "");
  if (order.field === "_id") {
    return [{ _id: { [beyond]: stored } }];
  }
  return [
    { [order.field]: stored, _id: { $gt: id ?? "" } },
    { [order.field]: { [beyond]: stored } },
  ];
}

async function byNumber<T extends Document>(
  collection: Collection<T>,
  search: Search<T, NumberOrder<T>>,
): Promise<Stored<T>[]> {
  const { query, order, cursor, count } = search;
  const compare = (a: readonly [number | null, string], b: readonly [number | null, string]) =>
    compareKeys(a, b, { descending: order.descending });
  const after = cursor === undefined ? undefined : cursorKey(cursor);
  let best: { readonly key: readonly [number | null, string]; readonly item: Stored<T> }[] = [];
  for await (const item of collection.find(query.where, { signal: query.signal })) {
    const key = [order.read(item) ?? null, item._id] as const;
    if (query.matches(item) && (after === undefined || compare(key, after) > 0)) {
      best.push({ key, item });
    }
    if (best.length >= 2 * count) {
      best = best.sort((a, b) => compare(a.key, b.key)).slice(0, count);
    }
  }
  return best
    .sort((a, b) => compare(a.key, b.key))
    .slice(0, count)
    .map(({ item }) => item);
}

function cursorKey(cursor: NonNullable<Cursor>): readonly [number | null, string] {
  const [value = null, id = ""] = cursor;
  return [typeof value === "number" ? value : null, String(id)];
}

function compareKeys(
  [a, aId]: readonly [number | null, string],
  [b, bId]: readonly [number | null, string],
  options: { readonly descending: boolean },
): number {
  if (a !== b) {
    if (a === null || b === null) {
      return a === null ? 1 : -1;
    }
    return options.descending ? b - a : a - b;
  }
  return aId < bId ? -1 : aId > bId ? 1 : 0;
}

function sortValue<T extends Document>(order: Order<T>, item: Stored<T>): string | number | null {
  if (!("field" in order)) {
    return order.read(item) ?? null;
  }
  const value = (item as unknown as Readonly<Record<string, unknown>>)[order.field];
  return value instanceof Date ? value.getTime() : (value as string | number);
}
