// Reads that raced a write. A row is created a moment before it can be read online, and a read has
// its time a moment before it reads: of rows created close to a read, the read may have seen any.
// Where what was served is not what the join gives, it is right all the same when it is what such a
// row, or the last one before them, gives.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import {
  ENTITY,
  FOUND,
  KNOWN_FROM,
  NOT_FOUND,
  OUTSIDE_MAX_AGE,
  payloadOf,
  rowsOfKeys,
  sideBySide,
  stepsOf,
  type TimeSpan,
  type ViewJoin,
} from "./point-in-time.ts";
import { readNumber } from "./read-rows.ts";

/** How close the creation of a row and a read are for it to be open whether the read saw it. */
const RACE_US = 2_000_000;
/** The state of a row of a view that is as it was served, whatever the join gives. */
const AS_SERVED = 3;

/** What is compared: ENTITY has `i` (its row), `n<output>` and `m<output>`, as they were served. */
export interface SettleInput {
  readonly plan: ReadPlan;
  readonly span: TimeSpan;
  readonly join: ViewJoin;
}

/** SQL: whether an output of a view was served with another value or status than the join gives. */
export function differsInView(view: number, output: number): string {
  const status =
    `(CASE s${view} WHEN ${NOT_FOUND} THEN 'NOT_FOUND' WHEN ${OUTSIDE_MAX_AGE} THEN ` +
    `'OUTSIDE_MAX_AGE' ELSE CASE WHEN o${output} IS NULL THEN 'NULL_VALUE' ELSE 'PRESENT' END END)`;
  return (
    `(s${view} <> ${AS_SERVED} AND (m${output} IS DISTINCT FROM ${status} OR ` +
    `n${output} IS DISTINCT FROM o${output}))`
  );
}

/**
 * Looks at the rows whose outputs of the view differ. Returns the table of the view's values in
 * which those that raced a write are AS_SERVED.
 */
export async function settleRaces(
  connection: DuckDBConnection,
  input: SettleInput,
): Promise<string> {
  const { view, features } = input.join;
  const table = `values_${view}`;
  const differs = features.map(({ output }) => differsInView(view, output)).join(" OR ");
  await connection.run(
    `CREATE TEMP TABLE differing AS SELECT i FROM ${sideBySide([table])} WHERE ${differs}`,
  );
  let settled = table;
  if ((await readNumber(connection, "SELECT count(*) FROM differing")) > 0) {
    await findRaces(connection, input);
    settled = await markRaces(connection, input);
  }
  await connection.run("DROP TABLE differing");
  return settled;
}

/** Makes `races`: rows `i` that were served what a row gives that they may have seen. */
async function findRaces(connection: DuckDBConnection, input: SettleInput): Promise<void> {
  const { plan, join } = input;
  const { ttlUs, features } = join;
  const span = { minUs: input.span.minUs, maxUs: input.span.maxUs + RACE_US };
  const rows = rowsOfKeys(plan, join, span);
  const steps = stepsOf(rows, { ignoreCreatedTimestamp: false });
  await connection.run(
    `CREATE TEMP TABLE before AS SELECT x.i, x.id, x.t, f.e, f.c, f.r FROM ` +
      `(SELECT * FROM coded_${join.key} SEMI JOIN differing USING (i)) x ` +
      `ASOF LEFT JOIN ${steps} f ON x.id = f.id AND x.t - ${RACE_US} >= f.k`,
  );
  // Rows and reads of one moment meet by a number of that moment, which an equality can hash.
  const moments = `(SELECT *, unnest([-1, 0, 1]) + t // ${RACE_US} AS moment FROM before)`;
  const near =
    `SELECT b.i, b.t, f.e, f.r FROM ${moments} b ` +
    `JOIN (SELECT *, ${KNOWN_FROM} AS k FROM ${rows}) f ON b.id = f.id AND b.moment = f.k // ${RACE_US} ` +
    `WHERE abs(f.k - b.t) < ${RACE_US} AND (b.r IS NULL OR f.e > b.e OR (f.e = b.e AND f.c > b.c))`;
  const stale = ttlUs > 0 ? `WHEN t - e > ${ttlUs} THEN ${OUTSIDE_MAX_AGE}` : "";
  const state = `CASE WHEN r IS NULL THEN ${NOT_FOUND} ${stale} ELSE ${FOUND} END`;
  const candidates =
    `(SELECT i, s, CASE WHEN s = ${FOUND} THEN r END AS r FROM (SELECT i, r, ${state} AS s ` +
    `FROM (SELECT i, t, e, r FROM before UNION ALL ${near})))`;
  const outputs = features.map(({ output }) => `p.o${output}`);
  const values =
    `(SELECT ${["x.i", `x.s AS s${join.view}`, ...outputs].join(", ")} ` +
    `FROM ${candidates} x LEFT JOIN ${payloadOf(join, span)} p ON x.r = p.r)`;
  const differs = features.map(({ output }) => differsInView(join.view, output)).join(" OR ");
  await connection.run(
    `CREATE TEMP TABLE races AS SELECT DISTINCT i FROM ${values} JOIN ${ENTITY} USING (i) ` +
      `WHERE NOT (${differs})`,
  );
  await connection.run("DROP TABLE before");
}

async function markRaces(connection: DuckDBConnection, { join }: SettleInput): Promise<string> {
  const { view, features } = join;
  const values = features.map(({ output }) => {
    return `CASE WHEN raced THEN n${output} ELSE o${output} END AS o${output}`;
  });
  const state = `CASE WHEN raced THEN ${AS_SERVED} ELSE s${view} END AS s${view}`;
  const marked = `(SELECT i, true AS raced FROM races)`;
  await connection.run(
    `CREATE TEMP TABLE settled_${view} AS SELECT ${[state, ...values].join(", ")} ` +
      `FROM (SELECT * FROM ${sideBySide([`values_${view}`])}) LEFT JOIN ${marked} USING (i) ` +
      "ORDER BY i",
  );
  await connection.run(`DROP TABLE values_${view}`);
  await connection.run("DROP TABLE races");
  return `settled_${view}`;
}
