// Wide rows in pieces. DuckDB sorts whole rows, and holds some memory for each column of a table that
// it reads, so that rows of hundreds of features do not fit an engine, whatever it may spill. So the
// keys are sorted alone, with a number of each row; the features follow in groups of a few columns,
// each put in the order of the keys and written to scratch files; and those are read side by side.

import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import type { EngineProgress, Shape } from "../engine-tasks.ts";
import { parquetScan } from "./parquet-scan.ts";
import { heldName, identifier, literal } from "./sql.ts";
import { runTracked } from "./tracked-run.ts";

/** Sorted at once without trouble, also in the least memory that an engine may be given. */
const GROUP_COLUMNS = 32;
/** Of each piece a row group is held while they are read. */
const GROUP_ROWS = 8_192;

/** Whether the features are too many to be sorted with their keys. */
export function isWide({ features }: Shape): boolean {
  return features.length > GROUP_COLUMNS;
}

/** Rows by their places. */
export interface RowRange {
  readonly firstRow: number;
  readonly rows: number;
}

/** Keys in their final order, and where their features are. */
export interface WideRows {
  /** A table with `id` and whatever else stands beside the features. */
  readonly keys: string;
  readonly id: string;
  /** A SELECT with the features and `id`. */
  readonly from: string;
  readonly shape: Shape;
}

/**
 * Writes the rows in pieces, for each range apart. Returns, for each range, the files that side by
 * side have its rows: the columns of `keys`, then the features by their heldName.
 */
export async function writePieces(
  connection: DuckDBConnection,
  rows: WideRows,
  options: {
    readonly ranges: readonly RowRange[];
    readonly scratchDir: string;
    readonly progress: (progress: EngineProgress) => void;
  },
): Promise<readonly (readonly string[])[]> {
  const pieces: string[][] = options.ranges.map(() => []);
  const write = async (table: string): Promise<void> => {
    for (const [index, range] of options.ranges.entries()) {
      const path = join(options.scratchDir, `piece-${randomUUID()}.parquet`);
      await writePiece(connection, { table, range, path });
      pieces[index]?.push(path);
    }
  };
  await write(rows.keys);
  const names = rows.shape.features.map(({ name }) => name);
  for (let start = 0; start < names.length; start += GROUP_COLUMNS) {
    const group = names.slice(start, start + GROUP_COLUMNS);
    const phase = `sorting columns ${start + 1} to ${start + group.length}`;
    const sort = `CREATE TEMP TABLE column_group AS ${sortedGroup(rows, group)}`;
    await runTracked(connection, sort, { phase, progress: options.progress });
    await write("column_group");
    await connection.run("DROP TABLE column_group");
  }
  return pieces;
}

/** What stands after FROM to read pieces of the same rows, in order and a few rows at a time. */
export function piecesTogether(pieces: readonly string[]): string {
  return pieces.map((path) => parquetScan([path])).join(" POSITIONAL JOIN ");
}

/** Removes pieces that were read. */
export async function removePieces(pieces: readonly string[]): Promise<void> {
  for (const path of pieces) {
    await rm(path);
  }
}

function sortedGroup(rows: WideRows, group: readonly string[]): string {
  const id = identifier(rows.id);
  const features = group.map((name) => `${identifier(name)} AS ${heldName(name)}`);
  return (
    `SELECT ${group.map(heldName).join(", ")} ` +
    `FROM (SELECT ${id}, rowid AS "@place" FROM ${rows.keys}) JOIN ` +
    `(SELECT ${id}, ${features.join(", ")} FROM (${rows.from})) USING (${id}) ORDER BY "@place"`
  );
}

async function writePiece(
  connection: DuckDBConnection,
  piece: { readonly table: string; readonly range: RowRange; readonly path: string },
): Promise<void> {
  const { firstRow, rows } = piece.range;
  await connection.run(
    `COPY (SELECT * FROM ${piece.table} WHERE rowid BETWEEN ${firstRow} AND ` +
      `${firstRow + rows - 1}) TO ${literal(piece.path)} (FORMAT parquet, COMPRESSION snappy, ` +
      `ROW_GROUP_SIZE ${GROUP_ROWS}, USE_TMP_FILE false)`,
  );
}
