// The task compact-day: the files of a day become one, in the shape that the view has now.

import { writeDays } from "./parquet-writer.ts";
import { readNumber } from "./read-rows.ts";
import { sortRows } from "./sorted-rows.ts";
import type { EngineTask } from "./task.ts";
import { ROW_ID, viewRelation } from "./view-relation.ts";

/**
 * Writes files of one day as one. Dropped: of rows equal in key, event and creation time all but the
 * one of the earliest file. A row that only restates an earlier one stays: one that comes later may
 * have been created between the two.
 */
export const compactDay: EngineTask<"compact-day"> = async (connection, input, task) => {
  const { files, shape, outDir } = input;
  const relation = viewRelation(files, shape, { rowId: true });
  const rowsBefore = await readNumber(connection, `SELECT count(*) FROM ${relation}`);
  const { progress, scratchDir } = task;
  const from = `SELECT * FROM ${relation}`;
  const sorted = await sortRows(connection, { from, shape, id: ROW_ID, progress });
  const written = await writeDays(connection, sorted, { outDir, scratchDir, progress });
  return { files: written, rowsBefore };
};
