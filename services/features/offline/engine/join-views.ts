// Runs the point-in-time join for the entity table that a task has made: one view after the other,
// so that only one view's rows are held at a time.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { EngineProgress, SourceFile, StatusCounts } from "../engine-tasks.ts";
import {
  createCoded,
  createKeys,
  createPicks,
  createValues,
  ENTITY,
  NOT_FOUND,
  OUTSIDE_MAX_AGE,
  type TimeSpan,
  type ViewJoin,
  viewJoins,
} from "./point-in-time.ts";
import { readAll } from "./read-rows.ts";

/** What is joined to the entity table. */
export interface JoinInput {
  readonly plan: ReadPlan;
  /** One a view of the plan, in its order. */
  readonly files: readonly (readonly SourceFile[])[];
  readonly ignoreCreatedTimestamp: boolean;
}

/** The joined views. */
export interface JoinedViews {
  readonly rows: number;
  readonly span: TimeSpan;
  readonly joins: readonly ViewJoin[];
  /** `values_<view>` of each join: `s<view>` and `o<output>`, in the order of the entity table. */
  readonly tables: readonly string[];
  /** One an output of the plan; undefined for those of on-demand views. */
  readonly counts: readonly (StatusCounts | undefined)[];
}

/** Joins every view; `keys_<key>` and `coded_<key>` stay as well. */
export async function joinViews(
  connection: DuckDBConnection,
  input: JoinInput,
  progress: (progress: EngineProgress) => void,
): Promise<JoinedViews> {
  const { plan } = input;
  const { rows, span } = await readSpan(connection);
  const joins = viewJoins(plan, input.files);
  for (const key of new Set(joins.map((join) => join.key))) {
    await connection.run(createKeys(plan, key));
    await connection.run(createCoded(plan, key));
  }
  const counts = plan.outputs.map((): StatusCounts | undefined => undefined);
  const tables: string[] = [];
  for (const [done, join] of joins.entries()) {
    progress({ phase: "joining", done, total: joins.length, unit: "views" });
    await connection.run(createPicks(plan, join, { ...input, span }));
    await connection.run(createValues(join, span));
    await connection.run("DROP TABLE picks");
    tables.push(`values_${join.view}`);
    await countStatuses(connection, join, { rows, counts });
  }
  return { rows, span, joins, tables, counts };
}

async function readSpan(
  connection: DuckDBConnection,
): Promise<{ readonly rows: number; readonly span: TimeSpan }> {
  const [row = []] = await readAll(connection, `SELECT count(*), min(t), max(t) FROM ${ENTITY}`);
  const [rows = 0, minUs = 0, maxUs = 0] = row.map(Number);
  return { rows, span: { minUs, maxUs } };
}

async function countStatuses(
  connection: DuckDBConnection,
  { view, features }: ViewJoin,
  into: { readonly rows: number; readonly counts: (StatusCounts | undefined)[] },
): Promise<void> {
  const present = features.map(({ output }) => `count(o${output})`);
  const state = (value: number): string => `count(*) FILTER (s${view} = ${value})`;
  const [row = []] = await readAll(
    connection,
    `SELECT ${[state(NOT_FOUND), state(OUTSIDE_MAX_AGE), ...present].join(", ")} ` +
      `FROM values_${view}`,
  );
  const [notFound = 0, outsideMaxAge = 0, ...values] = row.map(Number);
  for (const [index, { output }] of features.entries()) {
    const count = values[index] ?? 0;
    const nullValue = into.rows - notFound - outsideMaxAge - count;
    into.counts[output] = { present: count, nullValue, notFound, outsideMaxAge };
  }
}
