// The point-in-time join as SQL. Pure: it says what is to be run, join-views.ts runs it.
//
// A row of a view is known from k = max(event, creation) on. For a row of the entity table at time
// t, the row to take is the newest, by (event, creation), of those with k <= t. A row can be that
// one only while no newer row was known as early: rows with k >= the least k of all newer rows are
// dropped. What stays rises in k as it rises in newness, and the row to take is the one with the
// greatest k <= t, which is an ASOF join. Its two sides are narrow: a number for the key, times, a
// number for the row. The features are then fetched for the rows taken, and sorted into the order
// of the entity table, so that all views stand side by side, row by row. (Joins keep no order.)
// Window, ASOF join, hash join and sort all go to disk where memory does not suffice.

import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Field } from "../../value.ts";
import type { SourceFile } from "../engine-tasks.ts";
import { identifier } from "./sql.ts";
import { CREATED_US, EVENT_US, ROW_ID, viewRelation } from "./view-relation.ts";

/**
 * The table that is joined: `t` (BIGINT, microseconds), request columns `q0`, `q1` ... in the types
 * of the plan, and whatever else the task wants of it. Its `rowid` is the row.
 */
export const ENTITY = "entity";

/** What became of a row of the entity table in a view. */
export const FOUND = 0;
export const NOT_FOUND = 1;
export const OUTSIDE_MAX_AGE = 2;

/** SQL: when a row of rowsOfKeys is known from. */
export const KNOWN_FROM = "greatest(e, c)";

/** A feature that is read, and the output that it is. */
export interface ReadFeature {
  /** As the output's type. */
  readonly field: Field;
  /** Index of the output. */
  readonly output: number;
}

/** A view as it is joined. */
export interface ViewJoin {
  /** Index among the views of the plan. */
  readonly view: number;
  /** Index of the key. */
  readonly key: number;
  readonly joinKeys: readonly Field[];
  readonly features: readonly ReadFeature[];
  /** Microseconds; 0: rows are good forever. */
  readonly ttlUs: number;
  readonly files: readonly SourceFile[];
}

/** Of all rows of the entity table; they spare files that no row can need. */
export interface TimeSpan {
  readonly minUs: number;
  readonly maxUs: number;
}

/** The views of a plan that have outputs. */
export function viewJoins(
  plan: ReadPlan,
  files: readonly (readonly SourceFile[])[],
): readonly ViewJoin[] {
  const joins = plan.views.map(({ source, key }, view): ViewJoin => {
    const { version } = source;
    const features = plan.outputs.flatMap(({ from }, output) => {
      const feature = from.kind === "view" ? version.features[from.feature] : undefined;
      const isOurs = from.kind === "view" && from.read === view && feature !== undefined;
      return isOurs ? [{ field: { name: feature.name, type: feature.type }, output }] : [];
    });
    const { joinKeys, ttlUs } = version;
    return { view, key, joinKeys, features, ttlUs, files: files[view] ?? [] };
  });
  return joins.filter(({ features }) => features.length > 0);
}

/**
 * Makes `keys_<key>`: the distinct keys of the entity table, each with a number, in their order: so
 * the rows of a file, which are sorted by key, are sorted by number as well, which sorts faster.
 */
export function createKeys(plan: ReadPlan, key: number): string {
  const columns = keyColumns(plan, key);
  const given = columns.map((column) => `${column} IS NOT NULL`).join(" AND ");
  return (
    `CREATE TEMP TABLE keys_${key} AS SELECT ${columns.join(", ")}, ` +
    `(row_number() OVER (ORDER BY ${columns.join(", ")}))::UINTEGER AS id FROM ` +
    `(SELECT DISTINCT ${columns.join(", ")} FROM ${ENTITY} WHERE ${given})`
  );
}

/**
 * Makes `coded_<key>`: row, number of its key (null where a part is null) and time, in the order of
 * number and time: so the join of every view sorts them, which is quick when they are sorted.
 */
export function createCoded(plan: ReadPlan, key: number): string {
  const columns = keyColumns(plan, key);
  return (
    `CREATE TEMP TABLE coded_${key} AS SELECT i, id, t FROM ` +
    `(SELECT rowid::UINTEGER AS i, t, ${columns.join(", ")} FROM ${ENTITY}) ` +
    `LEFT JOIN keys_${key} USING (${columns.join(", ")}) ORDER BY id, t`
  );
}

/** Makes `picks`: for each row `i` its `state` and, where FOUND, the row taken, `r`. */
export function createPicks(
  plan: ReadPlan,
  join: ViewJoin,
  options: { readonly ignoreCreatedTimestamp: boolean; readonly span: TimeSpan },
): string {
  const { ttlUs } = join;
  const stale = ttlUs > 0 ? `WHEN x.t - f.e > ${ttlUs} THEN ${OUTSIDE_MAX_AGE}` : "";
  const state = `(CASE WHEN f.r IS NULL THEN ${NOT_FOUND} ${stale} ELSE ${FOUND} END)::UTINYINT`;
  const steps = stepsOf(rowsOfKeys(plan, join, options.span), options);
  return (
    "CREATE TEMP TABLE picks AS SELECT i, state, " +
    `CASE WHEN state = ${FOUND} THEN r END AS r FROM (SELECT x.i, f.r, ${state} AS state ` +
    `FROM coded_${join.key} x ASOF LEFT JOIN ${steps} f ON x.id = f.id AND x.t >= f.k)`
  );
}

/**
 * Rows of a view of the keys in `keys_<key>`, in parentheses: `id` of the key, event `e`, creation
 * `c`, row `r` (the lower, the earlier it was stored).
 */
export function rowsOfKeys(
  plan: ReadPlan,
  { key, joinKeys, files }: ViewJoin,
  span: TimeSpan,
): string {
  const rows = viewRelation(
    files,
    { joinKeys, features: [] },
    { rowId: true, endUs: span.maxUs + 1 },
  );
  const [e, c, r] = [EVENT_US, CREATED_US, ROW_ID].map(identifier);
  const parts = plan.keys[key]?.parts ?? [];
  const same = parts.map(({ joinKey, column }) => `v.${identifier(joinKey)} = n.q${column}`);
  return (
    `(SELECT n.id, v.${e} AS e, v.${c} AS c, v.${r} AS r ` +
    `FROM ${rows} v JOIN keys_${key} n ON ${same.join(" AND ")})`
  );
}

/**
 * Of rowsOfKeys those that are the newest at some time, known from `k`; no two of a key share `k`.
 * The rows come to the window without `k`: they are all sort key then, and that sorts faster.
 */
export function stepsOf(
  rows: string,
  options: { readonly ignoreCreatedTimestamp: boolean },
): string {
  const k = options.ignoreCreatedTimestamp ? "e" : KNOWN_FROM;
  const newer =
    "PARTITION BY id ORDER BY e, c, r DESC ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING";
  return (
    `(SELECT id, e, c, ${k} AS k, r FROM ${rows} ` +
    `QUALIFY coalesce(min(${k}) OVER (${newer}) > ${k}, true))`
  );
}

/** Makes `values_<view>` of `picks`, in row order: state `s<view>` and values `o<output>`. */
export function createValues(join: ViewJoin, span: TimeSpan): string {
  const { view } = join;
  const values = join.features.map(({ output }) => `p.o${output}`);
  return (
    `CREATE TEMP TABLE values_${view} AS SELECT ${[`state AS s${view}`, ...values].join(", ")} ` +
    `FROM picks LEFT JOIN ${payloadOf(join, span)} p ON picks.r = p.r ORDER BY picks.i`
  );
}

/** Rows of a view with `r` and the features that are read as `o<output>`, in parentheses. */
export function payloadOf({ features, ttlUs, files }: ViewJoin, span: TimeSpan): string {
  const fields = new Map(features.map(({ field }) => [field.name, field]));
  const rows = viewRelation(
    files,
    { joinKeys: [], features: [...fields.values()] },
    {
      rowId: true,
      startUs: ttlUs > 0 ? span.minUs - ttlUs : undefined,
      endUs: span.maxUs + 1,
    },
  );
  const values = features.map(({ field, output }) => `${identifier(field.name)} AS o${output}`);
  return `(SELECT ${[`${identifier(ROW_ID)} AS r`, ...values].join(", ")} FROM ${rows})`;
}

/**
 * What stands after FROM to have the entity table and the tables beside it, row by row: their
 * column names are all different. With a range, only those rows.
 */
export function sideBySide(
  tables: readonly string[],
  range?: { readonly firstRow: number; readonly rows: number },
): string {
  if (range === undefined) {
    return [ENTITY, ...tables].join(" POSITIONAL JOIN ");
  }
  const last = range.firstRow + range.rows - 1;
  const of = (table: string): string => {
    return `(SELECT * FROM ${table} WHERE rowid BETWEEN ${range.firstRow} AND ${last})`;
  };
  return [ENTITY, ...tables].map(of).join(" POSITIONAL JOIN ");
}

function keyColumns(plan: ReadPlan, key: number): readonly string[] {
  const columns = plan.keys[key]?.parts.map(({ column }) => `q${column}`) ?? [];
  return [...new Set(columns)];
}
