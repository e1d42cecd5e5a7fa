// The task join-training-set: the rows of an entity table, each with the feature values that an
// online read at its time would have given, as one file.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { EngineTasks, StatusCounts } from "../engine-tasks.ts";
import { computeOutputs } from "./compute-outputs.ts";
import { loadEntityTable, type ResultColumn } from "./entity-table.ts";
import { joinViews } from "./join-views.ts";
import { sideBySide } from "./point-in-time.ts";
import { readAll } from "./read-rows.ts";
import { identifier, literal } from "./sql.ts";
import type { EngineTask } from "./task.ts";

/** A row group is written as a whole: this many values of all columns are held at once. */
const GROUP_VALUES = 4_000_000;
const GROUP_ROWS_MAX = 122_880;
const GROUP_ROWS_MIN = 2_048;
/** Distinct values of a row group's column up to which they are a dictionary; trying is slow. */
const DICTIONARY_MAX = 2_000;
/** As other writers do by default: numbers are hardly larger than with zstd, and written faster. */
const COMPRESSION = "snappy";
const NOTHING: StatusCounts = { present: 0, nullValue: 0, notFound: 0, outsideMaxAge: 0 };

type Input = EngineTasks["join-training-set"]["input"];

/** Joins, computes and writes; the result's rows are the table's, in its order. */
export const joinTrainingSet: EngineTask<"join-training-set"> = async (connection, input, task) => {
  const { plan, out } = input;
  task.progress({ phase: "reading the table", done: 0, total: 0, unit: "rows" });
  const carried = await loadEntityTable(connection, { ...input, scratchDir: task.scratchDir });
  const { rows, tables, counts } = await joinViews(connection, input, task.progress);
  const computed = await computeOutputs(connection, { plan, rows, tables }, task.progress);
  const all = computed.table === undefined ? tables : [...tables, computed.table];
  const columns = [...carried, ...outputColumns(plan)];
  task.progress({ phase: "writing", done: 0, total: rows, unit: "rows" });
  const types = await write(connection, out, { columns, from: sideBySide(all) });
  return {
    rows,
    columns: columns.map(({ name }, index) => ({ name, type: types[index] ?? "" })),
    features: plan.outputs.map((_, output) => {
      return counts[output] ?? computed.counts.get(output) ?? NOTHING;
    }),
  };
};

function outputColumns(plan: ReadPlan): readonly ResultColumn[] {
  return plan.outputs.map(({ name }, output) => ({ name, value: `o${output}` }));
}

/** Writes the file; returns the columns' types in SQL. */
async function write(
  connection: DuckDBConnection,
  out: Input["out"],
  rows: { readonly columns: readonly ResultColumn[]; readonly from: string },
): Promise<readonly string[]> {
  const { columns, from } = rows;
  const values = columns.map(({ value }) => value).join(", ");
  const described = await readAll(connection, `DESCRIBE SELECT ${values} FROM ${from}`);
  const types = described.map(([, type]) => String(type));
  const selected = columns.map(({ name, value }, index) => {
    const isBytes = out.format === "csv" && types[index] === "BLOB";
    return `${isBytes ? `to_base64(${value})` : value} AS ${identifier(name)}`;
  });
  await connection.run(
    `COPY (SELECT ${selected.join(", ")} FROM ${from}) TO ${literal(out.path)} ` +
      `(${copyOptions(out.format, columns.length)}, USE_TMP_FILE false)`,
  );
  return types;
}

function copyOptions(format: Input["out"]["format"], columns: number): string {
  if (format === "csv") {
    return "FORMAT csv, HEADER true";
  }
  const fit = Math.floor(GROUP_VALUES / columns / GROUP_ROWS_MIN) * GROUP_ROWS_MIN;
  const rows = Math.max(GROUP_ROWS_MIN, Math.min(GROUP_ROWS_MAX, fit));
  return (
    `FORMAT parquet, COMPRESSION ${COMPRESSION}, ROW_GROUP_SIZE ${rows}, ` +
    `DICTIONARY_SIZE_LIMIT ${DICTIONARY_MAX}`
  );
}
