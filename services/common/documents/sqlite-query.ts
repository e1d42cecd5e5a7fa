// Filters and sorts as SQL. Values are always bound; field names become JSON paths inside SQL
// literals, quoted twice (as a JSON string, then as an SQL string), because SQLite uses an index on
// an expression only when the query spells the same expression.

import type { CollectionSpec, Filter, IndexSpec, Scalar, Sort } from "./port.ts";
import { parseFilter, parseSort, type Term } from "./query.ts";
import { DATE_RANGE, encodeScalar } from "./sqlite-encoding.ts";

/** An SQL condition and the values of its question marks, in order. */
export interface Condition {
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

const COMPARISONS = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;
const NOTHING: Condition = { sql: "0", values: [] };

/** The expression that reads a field. */
function fieldSql(field: string): string {
  if (field === "_id") return "id";
  if (field === "version" || field === "revision") return field;
  return `json_extract(body, ${pathSql(field)})`;
}

/** A filter as one condition. @throws InvalidArgument */
export function whereSql(filter: Filter): Condition {
  return all(parseFilter(filter).map(termSql));
}

/** A sort as the text after ORDER BY. @throws InvalidArgument */
export function orderSql(sort: Sort | undefined): string {
  return parseSort(sort)
    .map(([field, direction]) => `${fieldSql(field)} ${direction === 1 ? "ASC" : "DESC"}`)
    .join(", ");
}

/** Both conditions. */
export function all(conditions: readonly Condition[]): Condition {
  return join(conditions, "AND", "1");
}

/** The documents that have expired at `nowMs`, or undefined when none of the collection can. */
export function expiredSql(spec: CollectionSpec, nowMs: number): Condition | undefined {
  const conditions = spec.indexes
    .filter((index) => index.expireAfterSeconds !== undefined)
    .map((index) => {
      const cutoff = new Date(Math.max(0, nowMs - index.expireAfterSeconds! * 1_000));
      const value = encodeScalar(cutoff).sql;
      const field = fieldSql(Object.keys(index.keys)[0]!);
      return { sql: `(${field} > ? AND ${field} <= ?)`, values: [DATE_RANGE.low, value] };
    });
  return conditions.length === 0 ? undefined : join(conditions, "OR", "0");
}

/** The statement that makes an index. Its name says all it depends on. */
export function createIndexSql(collection: string, index: IndexSpec): string {
  const keys = Object.entries(index.keys);
  const columns = keys.map(([field, direction]) => {
    return `${fieldSql(field)} ${direction === 1 ? "ASC" : "DESC"}`;
  });
  const unique = index.unique === true;
  const name = indexName(collection, index);
  const where = keys.map(([field]) => `${fieldSql(field)} IS NOT NULL`).join(" AND ");
  return (
    `CREATE ${unique ? "UNIQUE " : ""}INDEX IF NOT EXISTS ${identifier(name)} ` +
    `ON ${identifier(`doc_${collection}`)} (${columns.join(", ")})${unique ? ` WHERE ${where}` : ""}`
  );
}

/** The name of an index, which SQLite gives back when a unique one is violated. */
export function indexName(collection: string, index: IndexSpec): string {
  return `${collection}:${index.unique === true ? "unique" : "index"}:${JSON.stringify(index.keys)}`;
}

/** Documents that take a unique key of the document `body`, or its id. */
export function conflictSql(spec: CollectionSpec, id: string, body: string): Condition {
  const conditions: Condition[] = [{ sql: "id = ?", values: [id] }];
  for (const index of spec.indexes) {
    if (index.unique !== true) continue;
    const equal = Object.keys(index.keys).map((field) => {
      if (field === "_id") return { sql: "id = ?", values: [id] };
      return { sql: `${fieldSql(field)} = json_extract(?, ${pathSql(field)})`, values: [body] };
    });
    conditions.push(all(equal));
  }
  return join(conditions, "OR", "0");
}

/** A name in double quotes. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function termSql(term: Term): Condition {
  const x = fieldSql(term.field);
  switch (term.op) {
    case "eq":
      return equals(term.field, [term.value]);
    case "in":
      return equals(term.field, term.values);
    case "ne": {
      if (term.value === null) return { sql: `${x} IS NOT NULL`, values: [] };
      const equal = equals(term.field, [term.value]);
      return { sql: `NOT coalesce(${equal.sql}, 0)`, values: equal.values };
    }
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      return range(term.field, COMPARISONS[term.op], term.value);
  }
}

function range(field: string, comparison: string, value: string | number | Date): Condition {
  const x = fieldSql(field);
  if (typeof value === "number" && !Number.isFinite(value)) {
    // Every finite number lies between the infinities; which of them are stored is not compared.
    const every = comparison.startsWith("<") === value > 0;
    return every ? { sql: typeSql(field, ["integer", "real"]), values: [] } : NOTHING;
  }
  const { sql, types } = encodeScalar(value);
  const compare: Condition = { sql: `${x} ${comparison} ?`, values: [sql] };
  const bounds: Condition[] = [];
  if (value instanceof Date) {
    // Dates are text among other objects' texts: the other end of the range is the end of the
    // dates.
    const lower = comparison.startsWith(">");
    bounds.push(
      lower
        ? { sql: `${x} < ?`, values: [DATE_RANGE.high] }
        : { sql: `${x} > ?`, values: [DATE_RANGE.low] },
    );
  }
  return all([compare, ...bounds, { sql: typeSql(field, types), values: [] }]);
}

/**
 * One condition a type, each with one bound list, so that the statement is the same for any list.
 */
function equals(field: string, values: readonly Scalar[]): Condition {
  const x = fieldSql(field);
  const lists = new Map<string, (string | number)[]>();
  const conditions: Condition[] = [];
  for (const value of values) {
    if (value === null) {
      conditions.push({ sql: `${x} IS NULL`, values: [] });
      continue;
    }
    const { sql, types } = encodeScalar(value);
    const type = typeSql(field, types);
    const list = lists.get(type);
    if (list === undefined) lists.set(type, [sql]);
    else list.push(sql);
  }
  for (const [type, list] of lists) {
    conditions.push(
      list.length === 1
        ? { sql: `(${x} = ? AND ${type})`, values: list }
        : {
            sql: `(${x} IN (SELECT value FROM json_each(?)) AND ${type})`,
            values: [JSON.stringify(list)],
          },
    );
  }
  return join(conditions, "OR", "0");
}

function typeSql(field: string, types: readonly string[]): string {
  const list = types.map((type) => `'${type}'`).join(", ");
  if (field === "_id") return `'text' IN (${list})`;
  if (field === "version" || field === "revision") return `'integer' IN (${list})`;
  return `json_type(body, ${pathSql(field)}) IN (${list})`;
}

function pathSql(field: string): string {
  const path = `$${field
    .split(".")
    .map((key) => `.${JSON.stringify(key)}`)
    .join("")}`;
  return `'${path.replaceAll("'", "''")}'`;
}

function join(conditions: readonly Condition[], word: "AND" | "OR", empty: string): Condition {
  if (conditions.length === 1) return conditions[0]!;
  if (conditions.length === 0) return { sql: empty, values: [] };
  return {
    sql: `(${conditions.map((condition) => condition.sql).join(` ${word} `)})`,
    values: conditions.flatMap((condition) => condition.values),
  };
}
