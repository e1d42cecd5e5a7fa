// Pushed rows into a table of the database: chunk by chunk, column by column.

import {
  BIGINT,
  BLOB,
  BOOLEAN,
  DOUBLE,
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBType,
  type DuckDBValue,
  FLOAT,
  INTEGER,
  VARCHAR,
} from "@duckdb/node-api";
import type { Cell, Cells, Field, RowBatch, ValueType } from "../../value.ts";
import type { Shape } from "../engine-tasks.ts";
import { heldName, identifier } from "./sql.ts";
import { CREATED_US, EVENT_US, ROW_ID } from "./view-relation.ts";

/** The most rows that a chunk of DuckDB holds. */
const CHUNK_ROWS = 2_048;
/** What the appender holds beside DuckDB's buffers goes to the table at so many cells. */
const CELLS_HELD = 1_000_000;
const NOTHING: Cells = [];

/** Times are safe integers, which DOUBLE holds exactly and takes without a bigint for each. */
const STAGED: Readonly<Record<ValueType, DuckDBType>> = {
  BOOL: BOOLEAN,
  INT32: INTEGER,
  INT64: BIGINT,
  FLOAT,
  DOUBLE,
  STRING: VARCHAR,
  BYTES: BLOB,
  TIMESTAMP: DOUBLE,
};

interface StagedColumn {
  readonly name: string;
  readonly type: DuckDBType;
  readonly cells: (batch: RowBatch) => Cells;
  readonly convert: ((cell: Cell) => DuckDBValue) | undefined;
  /** How it is read out of the table. */
  readonly sql: string;
}

/**
 * Puts rows into a new temporary table in the order they come, so that ROW_ID tells who was first.
 * Returns a SELECT of what a view relation has, with ROW_ID.
 */
export async function stageRows(
  connection: DuckDBConnection,
  rows: {
    readonly table: string;
    readonly shape: Shape;
    readonly batches: AsyncIterable<RowBatch>;
  },
): Promise<string> {
  const columns = stagedColumns(rows.shape);
  const definitions = columns.map(({ name, type }) => `${heldName(name)} ${type}`);
  await connection.run(`CREATE TEMP TABLE ${rows.table} (${definitions.join(", ")})`);
  const appender = await connection.createAppender(rows.table, "main", "temp");
  // One chunk for all, as the garbage collector knows nothing of the memory behind it.
  const chunk = DuckDBDataChunk.create(columns.map(({ type }) => type));
  let cells = 0;
  for await (const batch of rows.batches) {
    for (let start = 0; start < batch.rows; start += CHUNK_ROWS) {
      const count = Math.min(CHUNK_ROWS, batch.rows - start);
      chunk.reset();
      chunk.rowCount = count;
      for (const [index, column] of columns.entries()) {
        fill(chunk, { index, column, batch, start, count });
      }
      appender.appendDataChunk(chunk);
      cells += count * columns.length;
      if (cells > CELLS_HELD) {
        appender.flushSync();
        cells = 0;
      }
    }
  }
  appender.closeSync();
  globalThis.gc?.();
  return `SELECT ${columns.map(({ sql }) => sql).join(", ")}, rowid AS ${identifier(ROW_ID)} FROM ${rows.table}`;
}

function stagedColumns(shape: Shape): readonly StagedColumn[] {
  const time = (name: string, cells: (batch: RowBatch) => Cells): StagedColumn => ({
    name,
    type: DOUBLE,
    cells,
    convert: undefined,
    sql: `${heldName(name)}::BIGINT AS ${identifier(name)}`,
  });
  return [
    ...shape.joinKeys.map((field) => stagedField(field, ({ keys }) => keys[field.name] ?? NOTHING)),
    time(EVENT_US, ({ eventUs }) => eventUs),
    time(CREATED_US, ({ createdUs }) => createdUs),
    ...shape.features.map((field) => {
      return stagedField(field, ({ features }) => features[field.name] ?? NOTHING);
    }),
  ];
}

function stagedField({ name, type }: Field, cells: (batch: RowBatch) => Cells): StagedColumn {
  const held = heldName(name);
  const value = type === "TIMESTAMP" ? `make_timestamptz(${held}::BIGINT)` : held;
  const sql = `${value} AS ${identifier(name)}`;
  return { name, type: STAGED[type], cells, convert: converter(type), sql };
}

function converter(type: ValueType): ((cell: Cell) => DuckDBValue) | undefined {
  switch (type) {
    case "INT64":
      return (cell) => (cell === null ? null : BigInt(cell as number | bigint));
    case "BYTES":
      return (cell) => (cell === null ? null : new DuckDBBlobValue(cell as Uint8Array));
    case "BOOL":
    case "INT32":
    case "FLOAT":
    case "DOUBLE":
    case "STRING":
    case "TIMESTAMP":
      return undefined;
  }
}

function fill(
  chunk: DuckDBDataChunk,
  part: {
    readonly index: number;
    readonly column: StagedColumn;
    readonly batch: RowBatch;
    readonly start: number;
    readonly count: number;
  },
): void {
  const { column, start, count } = part;
  const vector = chunk.getColumnVector(part.index);
  const cells = column.cells(part.batch);
  const { convert } = column;
  for (let row = 0; row < count; row++) {
    const cell = cells[start + row] ?? null;
    vector.setItem(row, convert === undefined ? (cell as DuckDBValue) : convert(cell));
  }
  vector.flush();
}
