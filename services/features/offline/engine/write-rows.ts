// The task write-rows: what was pushed becomes files of history.

import { writeDays } from "./parquet-writer.ts";
import { sortRows } from "./sorted-rows.ts";
import { stageRows } from "./stage-rows.ts";
import type { EngineTask } from "./task.ts";
import { ROW_ID } from "./view-relation.ts";

/** Writes pushed rows as one file a day; of rows equal in key and times the first one stays. */
export const writeRows: EngineTask<"write-rows"> = async (connection, input, task) => {
  const { shape, outDir } = input;
  const { progress, scratchDir } = task;
  const source = "staged_rows";
  const from = await stageRows(connection, { table: source, shape, batches: task.batches() });
  const rows = await sortRows(connection, { from, source, shape, id: ROW_ID, progress });
  return { files: await writeDays(connection, rows, { outDir, scratchDir, progress }) };
};
