// The task compare-reads: kept online reads against what the point-in-time join gives for the same
// keys and times, value by value and status by status.

import type { DuckDBConnection } from "@duckdb/node-api";
import { statusColumn } from "../../definitions/field-name.ts";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Cell, Field, ValueType } from "../../value.ts";
import type { EngineTasks } from "../engine-tasks.ts";
import { computeOutputs } from "./compute-outputs.ts";
import { joinViews } from "./join-views.ts";
import { ENTITY, sideBySide } from "./point-in-time.ts";
import { appendCells, cellSelect, readNumber } from "./read-rows.ts";
import { differsInView, settleRaces } from "./settle-races.ts";
import { identifier } from "./sql.ts";
import type { EngineTask } from "./task.ts";
import { EVENT_US, viewRelation } from "./view-relation.ts";

const DIFFERENCES_MAX = 100;
/** Characters of a value that are told. */
const TEXT_MAX = 1_000;

type Input = EngineTasks["compare-reads"]["input"];
type Difference = EngineTasks["compare-reads"]["output"]["differences"][number];

/**
 * Compares all reads of the interval. NaN equals NaN; all else has to be equal exactly. A row
 * created within RACE_US of a read may or may not have been seen by it.
 */
export const compareReads: EngineTask<"compare-reads"> = async (connection, input, task) => {
  const { plan, files } = input;
  task.progress({ phase: "reading kept reads", done: 0, total: 0, unit: "rows" });
  await loadReads(connection, input);
  const joined = await joinViews(
    connection,
    { plan, files, ignoreCreatedTimestamp: false },
    task.progress,
  );
  const { rows, span, joins } = joined;
  const tables: string[] = [];
  for (const [done, join] of joins.entries()) {
    task.progress({ phase: "comparing", done, total: joins.length, unit: "views" });
    tables.push(await settleRaces(connection, { plan, span, join }));
  }
  const computed = await computeOutputs(connection, { plan, rows, tables }, task.progress);
  const all = computed.table === undefined ? tables : [...tables, computed.table];
  const from = sideBySide(all);
  const differs = plan.outputs.map((_, output) => differsIn(plan, output));
  const where = differs.length === 0 ? "false" : differs.join(" OR ");
  const rowsDiffering = await readNumber(connection, `SELECT count(*) FROM ${from} WHERE ${where}`);
  const differences = rowsDiffering === 0 ? [] : await readDifferences(connection, { plan, from });
  return { rowsChecked: rows, rowsDiffering, differences };
};

/** Makes ENTITY: `i`, `t`, request columns `q...`, served values `n...`, statuses `m...`. */
async function loadReads(connection: DuckDBConnection, input: Input): Promise<void> {
  const { plan, reads, startUs, endUs } = input;
  const statuses = plan.outputs.map(
    ({ name }): Field => ({ name: statusColumn(name), type: "STRING" }),
  );
  const outputs = plan.outputs.map(({ name, type }): Field => ({ name, type }));
  const shape = { joinKeys: plan.requestColumns, features: [...outputs, ...statuses] };
  const from = viewRelation(reads, shape, { startUs, endUs });
  const columns = [
    `${identifier(EVENT_US)} AS t`,
    ...plan.requestColumns.map(({ name }, index) => `${identifier(name)} AS q${index}`),
    ...outputs.map(({ name }, index) => `${identifier(name)} AS n${index}`),
    ...statuses.map(({ name }, index) => `${identifier(name)} AS m${index}`),
  ];
  await connection.run(
    `CREATE TEMP TABLE ${ENTITY} AS SELECT (row_number() OVER () - 1)::UINTEGER AS i, ` +
      `${columns.join(", ")} FROM ${from}`,
  );
}

/** SQL: whether an output was served otherwise than it should have been. */
function differsIn(plan: ReadPlan, output: number): string {
  const from = plan.outputs[output]?.from;
  if (from?.kind === "view") {
    return differsInView(from.read, output);
  }
  const status =
    `(CASE WHEN x${output} THEN 'UNSPECIFIED' WHEN o${output} IS NULL THEN 'NULL_VALUE' ` +
    "ELSE 'PRESENT' END)";
  return `(m${output} IS DISTINCT FROM ${status} OR n${output} IS DISTINCT FROM o${output})`;
}

/** The first ones in the order of the reads. */
async function readDifferences(
  connection: DuckDBConnection,
  found: { readonly plan: ReadPlan; readonly from: string },
): Promise<readonly Difference[]> {
  const { plan, from } = found;
  const keys = plan.requestColumns.slice(0, plan.keyColumns);
  const fields = keys.map(({ type }, index): Field => ({ name: `q${index}`, type }));
  const differs = plan.outputs.map((_, output) => differsIn(plan, output));
  const facts = plan.outputs.flatMap(({ type }, output) => [
    `${differs[output]} AS d${output}`,
    `${shown(`n${output}`, type)} AS a${output}`,
    `${shown(`o${output}`, type)} AS b${output}`,
    `m${output} AS c${output}`,
  ]);
  const selected = [...fields.map(cellSelect), "t::DOUBLE AS t", ...facts];
  const result = await connection.run(
    `SELECT ${selected.join(", ")} FROM (SELECT * FROM ${from} WHERE ${differs.join(" OR ")} ` +
      `ORDER BY t, i LIMIT ${DIFFERENCES_MAX})`,
  );
  const columns = selected.map((): Cell[] => []);
  for (const chunk of await result.fetchAllChunks()) {
    for (const [index, cells] of columns.entries()) {
      appendCells(chunk, index, cells);
    }
  }
  const differences: Difference[] = [];
  const at = (column: number, row: number): Cell => columns[column]?.[row] ?? null;
  for (let row = 0; row < (columns[0]?.length ?? 0); row++) {
    for (const [output, { name }] of plan.outputs.entries()) {
      const first = keys.length + 1 + output * 4;
      if (at(first, row) === true) {
        differences.push({
          entity: keys.map((_, index) => at(index, row)),
          readUs: Number(at(keys.length, row)),
          feature: name,
          onlineValue: String(at(first + 1, row)),
          offlineValue: String(at(first + 2, row)),
          onlineStatus: String(at(first + 3, row) ?? "UNSPECIFIED"),
        });
      }
    }
  }
  return differences.slice(0, DIFFERENCES_MAX);
}

/** SQL of a value as text; "null" where there is none. */
function shown(value: string, type: ValueType): string {
  return `coalesce(left(${textOf(value, type)}, ${TEXT_MAX}), 'null')`;
}

function textOf(value: string, type: ValueType): string {
  switch (type) {
    case "BYTES":
      return `to_base64(${value})`;
    case "TIMESTAMP":
      return `strftime(${value} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`;
    case "BOOL":
    case "INT32":
    case "INT64":
    case "FLOAT":
    case "DOUBLE":
    case "STRING":
      return `${value}::VARCHAR`;
  }
}
