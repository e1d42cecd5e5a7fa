// The task ingest-table: rows of a caller's file into files of history. Good rows go in; of bad ones
// it says where they stand and what is wrong with them.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { EngineTasks, Refusal, TableFormat } from "../engine-tasks.ts";
import { cellFault } from "./cell-fault.ts";
import { writeDays } from "./parquet-writer.ts";
import { readingTable } from "./read-fault.ts";
import { readAll } from "./read-rows.ts";
import { sortRows } from "./sorted-rows.ts";
import { identifier } from "./sql.ts";
import { type BoundField, bindColumns } from "./table-columns.ts";
import { IS_OBJECT, openTable, ROW, type TableSource } from "./table-source.ts";
import type { EngineTask } from "./task.ts";
import { runTracked } from "./tracked-run.ts";

const REFUSALS_MAX = 100;
/** Characters of a bad cell that are looked at. */
const TEXT_READ = 200;
const CHECKED = "checked_rows";
const BAD = "@bad";

type Input = EngineTasks["ingest-table"]["input"];

/** Checks the rows of a file against a view and writes the good ones as one file a day. */
export const ingestTable: EngineTask<"ingest-table"> = async (connection, input, task) => {
  const { shape, outDir, table } = input;
  const source = await openTable(connection, table, task.scratchDir);
  const fields = bindColumns(source, input);
  const { progress, scratchDir } = task;
  const check = checkStatement({ source, fields, input });
  await readingTable(source.format, () => {
    return runTracked(connection, check, { phase: "checking rows", progress });
  });
  const [counts = []] = await readAll(
    connection,
    `SELECT count(*), count(*) FILTER ("${BAD}") FROM ${CHECKED}`,
  );
  const [rowsRead = 0, rowsRefused = 0] = counts.map(Number);
  const refusals =
    rowsRefused === 0
      ? []
      : await readingTable(source.format, () => findRefusals(connection, source, fields));
  if (rowsRefused > 0 && !input.skipBadRows) {
    return { rowsRead, rowsRefused, refusals, files: [] };
  }
  const from = `SELECT ${goodColumns(fields)} FROM ${CHECKED} WHERE NOT "${BAD}"`;
  const rows = await sortRows(connection, { from, source: CHECKED, shape, id: ROW, progress });
  const files = await writeDays(connection, rows, { outDir, scratchDir, progress });
  return { rowsRead, rowsRefused, refusals, files };
};

/** Makes CHECKED: the values of every row, with ROW and whether it is BAD. */
function checkStatement(table: {
  readonly source: TableSource;
  readonly fields: readonly BoundField[];
  readonly input: Input;
}): string {
  const { source, fields, input } = table;
  const values = fields.map(({ role, target }, index) => {
    const value =
      role === "created" ? `coalesce(v${index}, ${input.defaultCreatedUs})` : `v${index}`;
    return `${value} AS ${identifier(target)}`;
  });
  return (
    `CREATE TEMP TABLE ${CHECKED} AS SELECT "${ROW}", ${isBad(source.format, fields)} AS "${BAD}", ` +
    `${values.join(", ")} FROM ${readCells(source, fields)}`
  );
}

/** The relation with the value (v0, v1, ...), given (g), text (t) and bytes (b) of each field. */
function readCells(source: TableSource, fields: readonly BoundField[]): string {
  const cells = fields.flatMap(({ reader }, index) => [
    `${reader.value} AS v${index}`,
    `${reader.given} AS g${index}`,
    `${reader.text} AS t${index}`,
    `${reader.bytes} AS b${index}`,
  ]);
  return `(SELECT *, ${cells.join(", ")} FROM ${source.relation(columnsOf(fields))})`;
}

function columnsOf(fields: readonly BoundField[]) {
  const columns = fields.flatMap(({ column }) => (column === undefined ? [] : [column]));
  return [...new Map(columns.map((column) => [column.ref, column])).values()];
}

function isBad(format: TableFormat, fields: readonly BoundField[]): string {
  const faults = fields
    .map((field, index) => fieldFault(field, index))
    .filter((fault) => fault !== undefined);
  const shape = format === "ndjson" ? [`NOT "${IS_OBJECT}"`] : [];
  return `(${[...shape, ...faults].join(" OR ")})`;
}

/** SQL that tells a bad cell; undefined: the field cannot have one. */
function fieldFault({ role, column }: BoundField, index: number): string | undefined {
  if (role === "key" || role === "event") {
    return `v${index} IS NULL`;
  }
  return column === undefined ? undefined : `(g${index} AND v${index} IS NULL)`;
}

/** CHECKED's columns as a view relation's. */
function goodColumns(fields: readonly BoundField[]): string {
  const columns = fields.map(({ target, field, role }) => {
    const name = identifier(target);
    const isTime = field.type === "TIMESTAMP" && (role === "key" || role === "feature");
    return isTime ? `make_timestamptz(${name}) AS ${name}` : name;
  });
  return [...columns, `"${ROW}"`].join(", ");
}

/** Reads the first bad rows once more, to say what is wrong with each cell. */
async function findRefusals(
  connection: DuckDBConnection,
  source: TableSource,
  fields: readonly BoundField[],
): Promise<readonly Refusal[]> {
  const bad = await readAll(
    connection,
    `SELECT "${ROW}" FROM ${CHECKED} WHERE "${BAD}" ORDER BY 1 LIMIT ${REFUSALS_MAX}`,
  );
  const cells = fields.flatMap((field, index) => [
    `coalesce(${fieldFault(field, index) ?? "false"}, false)`,
    `left(t${index}, ${TEXT_READ})`,
    `b${index}`,
  ]);
  const isObject = source.format === "ndjson" ? `"${IS_OBJECT}"` : "true";
  const rows = await readAll(
    connection,
    `SELECT "${ROW}", ${isObject}, ${cells.join(", ")} FROM ${readCells(source, fields)} ` +
      `WHERE "${ROW}" IN (${bad.map(([row]) => row).join(", ")}) ORDER BY "${ROW}"`,
  );
  const refusals = rows.flatMap(([row, object, ...facts]) => {
    return refusalsOf({ row: Number(row), object: object === true, facts }, source.format, fields);
  });
  return refusals.slice(0, REFUSALS_MAX);
}

function refusalsOf(
  line: { readonly row: number; readonly object: boolean; readonly facts: readonly unknown[] },
  format: TableFormat,
  fields: readonly BoundField[],
): readonly Refusal[] {
  const { row, object, facts } = line;
  if (!object) {
    return [{ row, column: "", reason: "is not a JSON object" }];
  }
  return fields.flatMap(({ field, role, column }, index) => {
    const [bad, text, bytes] = facts.slice(index * 3, index * 3 + 3);
    if (bad !== true) {
      return [];
    }
    const cell = { text: text === null ? null : String(text), bytes: Number(bytes) };
    const reason = cellFault(cell, { role, type: field.type, format });
    return [{ row, column: column?.name ?? field.name, reason }];
  });
}
