// The task describe-table: what an uploaded file is.

import { readingTable } from "./read-fault.ts";
import { readNumber } from "./read-rows.ts";
import { openTable } from "./table-source.ts";
import type { EngineTask } from "./task.ts";

/** Finds out format, columns and rows. All of the file is read, but for Parquet. */
export const describeTable: EngineTask<"describe-table"> = async (connection, input, task) => {
  task.progress({ phase: "reading the file", done: 0, total: 0, unit: "rows" });
  const source = await openTable(connection, input, task.scratchDir);
  const count = `SELECT count(*) FROM ${source.relation([])}`;
  const rows = await readingTable(source.format, () => readNumber(connection, count));
  const columns = source.columns.map(({ name, type }) => ({ name, type }));
  return { format: source.format, rows, columns };
};
