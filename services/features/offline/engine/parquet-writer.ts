// Sorted rows out into Parquet files, one a day.

import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { CREATED_TIMESTAMP, EVENT_TIMESTAMP } from "../../value.ts";
import type { EngineProgress, Shape, WrittenFile } from "../engine-tasks.ts";
import { piecesTogether, type RowRange, removePieces, writePieces } from "./column-pieces.ts";
import { readAll } from "./read-rows.ts";
import { DAY, type SortedRows } from "./sorted-rows.ts";
import { heldName, identifier, literal } from "./sql.ts";
import { CREATED_US, EVENT_US } from "./view-relation.ts";

/** A row group is read and written as a whole: this many values of all columns are held at once. */
const GROUP_VALUES = 1_000_000;
const GROUP_ROWS_MAX = 122_880;
const GROUP_ROWS_MIN = 2_048;

/** Writes the rows, one file a day, into a folder; no rows: no file. */
export async function writeDays(
  connection: DuckDBConnection,
  rows: SortedRows,
  options: {
    readonly outDir: string;
    readonly scratchDir: string;
    readonly progress: (progress: EngineProgress) => void;
  },
): Promise<readonly WrittenFile[]> {
  const { table, shape, wide } = rows;
  const { scratchDir, progress } = options;
  const days = await readDays(connection, table);
  const pieces =
    wide === undefined
      ? undefined
      : await writePieces(connection, wide, { ranges: days, scratchDir, progress });
  const total = days.reduce((sum, day) => sum + day.rows, 0);
  const files: WrittenFile[] = [];
  let done = 0;
  for (const [index, { firstRow, ...facts }] of days.entries()) {
    progress({ phase: "writing files", done, total, unit: "rows" });
    const parts = pieces?.[index] ?? [];
    const range = `${table} WHERE rowid BETWEEN ${firstRow} AND ${firstRow + facts.rows - 1}`;
    const source = pieces === undefined ? range : piecesTogether(parts);
    const from = `SELECT ${storedColumns(shape)} FROM ${source}`;
    const path = join(options.outDir, `${facts.day}-${randomUUID()}.parquet`);
    await copyToParquet(connection, { from, path, columns: columnCount(shape) });
    await removePieces(parts);
    files.push({ path, sizeBytes: (await stat(path)).size, ...facts });
    done += facts.rows;
  }
  return files;
}

/**
 * Writes a SELECT as a Parquet file in its order. No two files are the same bytes, also of the same
 * rows: files are stored by their content, and one may have to go while the other stays.
 */
export async function copyToParquet(
  connection: DuckDBConnection,
  file: { readonly from: string; readonly path: string; readonly columns: number },
): Promise<void> {
  const groupRows = Math.floor(GROUP_VALUES / file.columns / GROUP_ROWS_MIN) * GROUP_ROWS_MIN;
  const rows = Math.max(GROUP_ROWS_MIN, Math.min(GROUP_ROWS_MAX, groupRows));
  await connection.run(
    `COPY (${file.from}) TO ${literal(file.path)} (FORMAT parquet, COMPRESSION zstd, ` +
      `ROW_GROUP_SIZE ${rows}, USE_TMP_FILE false, ` +
      `KV_METADATA {plinth_file: ${literal(randomUUID())}})`,
  );
}

/** The columns of a file, from those of sorted rows. */
function storedColumns(shape: Shape): string {
  const time = (from: string, to: string): string => {
    return `make_timestamptz(${identifier(from)}) AS ${identifier(to)}`;
  };
  const fields = [...shape.joinKeys, ...shape.features].map(({ name }) => {
    return `${heldName(name)} AS ${identifier(name)}`;
  });
  const times = [time(EVENT_US, EVENT_TIMESTAMP), time(CREATED_US, CREATED_TIMESTAMP)];
  return [...times, ...fields].join(", ");
}

function columnCount({ joinKeys, features }: Shape): number {
  return joinKeys.length + features.length + 2;
}

type Day = Omit<WrittenFile, "path" | "sizeBytes"> & RowRange;

async function readDays(connection: DuckDBConnection, table: string): Promise<readonly Day[]> {
  const event = identifier(EVENT_US);
  const days = await readAll(
    connection,
    `SELECT ${identifier(DAY)}::VARCHAR, min(rowid), count(*), min(${event}), max(${event}), ` +
      `max(${identifier(CREATED_US)}) FROM ${table} GROUP BY ${identifier(DAY)} ORDER BY 2`,
  );
  return days.map(([day, firstRow, rows, minEventUs, maxEventUs, maxCreatedUs]) => ({
    day: String(day),
    firstRow: Number(firstRow),
    rows: Number(rows),
    minEventUs: Number(minEventUs),
    maxEventUs: Number(maxEventUs),
    maxCreatedUs: Number(maxCreatedUs),
  }));
}
