// Scans of Parquet files, and the columns that DuckDB adds to them when asked. A file's own column of
// such a name takes its place, so every use of one goes through here.

import { literals } from "./sql.ts";

/** A relation over files of the same columns. */
export function parquetScan(paths: readonly string[]): string {
  return `read_parquet(${literals(paths)}, hive_partitioning = false)`;
}

/** Whether the file's own columns take the place of one that DuckDB would add. */
export function isShadowed(added: AddedColumn, columns: readonly string[]): boolean {
  return columns.some((column) => column.toLowerCase() === added);
}

/** The index of a row's file in the list, and of the row in its file, from 0. */
export type AddedColumn = "file_index" | "file_row_number";

/**
 * A relation over one file with `row` (an identifier): the row's index in the file. Conditions on it
 * reach the file's statistics unless the columns' names forbid.
 */
export function numberedScan(
  file: { readonly path: string; readonly columns: readonly string[] },
  row: string,
): string {
  const number = isShadowed("file_row_number", file.columns)
    ? "row_number() OVER () - 1"
    : "file_row_number";
  return `(SELECT *, (${number})::BIGINT AS ${row} FROM ${parquetScan([file.path])})`;
}
