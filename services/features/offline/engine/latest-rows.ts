// The task latest-rows: what the online store should hold, out of history. Memory goes to the keys
// and their newest times, not to all rows: one pass finds the newest time of each key, a second one
// picks the rows with it.

import type { DuckDBConnection, DuckDBDataChunk } from "@duckdb/node-api";
import type { Cell, Field, RowBatch } from "../../value.ts";
import type { Shape } from "../engine-tasks.ts";
import { isWide, piecesTogether, writePieces } from "./column-pieces.ts";
import { appendCells, byName, cellValue, readNumber } from "./read-rows.ts";
import { cellLiteral, heldName, identifier } from "./sql.ts";
import type { EngineTask, TaskContext } from "./task.ts";
import { CREATED_US, EVENT_US, ROW_ID, viewRelation } from "./view-relation.ts";

const CHUNK_ROWS_MAX = 5_000;

/** Streams the newest row of each key, in the order of the keys. */
export const latestRows: EngineTask<"latest-rows"> = async (connection, input, task) => {
  const { files, shape, startUs, endUs, afterKey } = input;
  const view = viewRelation(files, shape, { rowId: true, startUs, endUs });
  const after = afterKey === undefined ? "" : ` WHERE ${isAfter(shape.joinKeys, afterKey)}`;
  const relation = `(SELECT * FROM ${view}${after})`;
  const rowsRead = await readNumber(connection, `SELECT count(*) FROM ${relation}`);
  const phase = "finding the newest rows";
  task.progress({ phase, done: 0, total: rowsRead, unit: "rows" });
  const result = await connection.stream(
    isWide(shape)
      ? await wideRows(connection, { relation, shape }, task)
      : newestRows(relation, shape, shape.features),
  );
  let keys = 0;
  let batch = new BatchBuilder(shape);
  while (true) {
    const chunk = await result.fetchChunk();
    const rows = chunk?.rowCount ?? 0;
    if (batch.rows > 0 && (rows === 0 || batch.rows + rows > CHUNK_ROWS_MAX)) {
      keys += batch.rows;
      await task.chunk(batch.build());
      batch = new BatchBuilder(shape);
    }
    if (chunk === null || rows === 0) {
      return { rowsRead, keys };
    }
    batch.add(chunk);
  }
};

/**
 * Keys, times, features and ROW_ID of the newest row of each key, in the order of the keys. Of rows
 * with the newest event: the newest created, and of those the one that was stored first.
 */
function newestRows(relation: string, shape: Shape, features: readonly Field[]): string {
  const keys = shape.joinKeys.map(({ name }) => identifier(name));
  const [event, created, id] = [EVENT_US, CREATED_US, ROW_ID].map(identifier);
  const select = ({ name, type }: Field): string => {
    return `${cellValue(type, identifier(name))} AS ${heldName(name)}`;
  };
  const columns = [
    ...shape.joinKeys.map(select),
    `${event}::DOUBLE AS ${event}`,
    `${created}::DOUBLE AS ${created}`,
    ...features.map(select),
    id,
  ];
  return (
    `WITH newest AS (SELECT ${keys.join(", ")}, max(${event}) AS ${event} FROM ${relation} ` +
    `GROUP BY ALL) SELECT ${columns.join(", ")} FROM ${relation} ` +
    `JOIN newest USING (${keys.join(", ")}, ${event}) ` +
    `QUALIFY row_number() OVER (PARTITION BY ${keys.join(", ")} ` +
    `ORDER BY ${created} DESC, ${id}) = 1 ` +
    `ORDER BY ${shape.joinKeys.map(({ name }) => heldName(name)).join(", ")}`
  );
}

/** As newestRows, of many features. */
async function wideRows(
  connection: DuckDBConnection,
  rows: { readonly relation: string; readonly shape: Shape },
  task: Pick<TaskContext<"latest-rows">, "progress" | "scratchDir">,
): Promise<string> {
  const { relation, shape } = rows;
  const keys = "newest_rows";
  await connection.run(`CREATE TEMP TABLE ${keys} AS ${newestRows(relation, shape, [])}`);
  const count = await readNumber(connection, `SELECT count(*) FROM ${keys}`);
  const from = `SELECT * FROM ${relation}`;
  const [pieces = []] = await writePieces(
    connection,
    { keys, id: ROW_ID, from, shape },
    { ranges: [{ firstRow: 0, rows: count }], ...task },
  );
  const [event, created] = [EVENT_US, CREATED_US].map(identifier);
  const columns = [
    ...shape.joinKeys.map(({ name }) => heldName(name)),
    ...[event, created],
    ...shape.features.map(({ name, type }) => cellValue(type, heldName(name))),
  ];
  return `SELECT ${columns.join(", ")} FROM ${piecesTogether(pieces)}`;
}

/** The condition that a row's key comes after one, key by key. */
function isAfter(joinKeys: readonly Field[], key: readonly Cell[]): string {
  const conditions = joinKeys.map((field, index) => {
    const equal = joinKeys.slice(0, index).map((before, at) => {
      return `${identifier(before.name)} = ${cellLiteral(before, key[at] ?? null)}`;
    });
    const above = `${identifier(field.name)} > ${cellLiteral(field, key[index] ?? null)}`;
    return `(${[...equal, above].join(" AND ")})`;
  });
  return `(${conditions.join(" OR ")})`;
}

/** Chunks of a result of newestRows, gathered to a batch. */
class BatchBuilder {
  readonly #shape: Shape;
  readonly #columns: Cell[][];
  rows = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    const count = shape.joinKeys.length + 2 + shape.features.length;
    this.#columns = Array.from({ length: count }, () => []);
  }

  add(chunk: DuckDBDataChunk): void {
    for (const [index, cells] of this.#columns.entries()) {
      appendCells(chunk, index, cells);
    }
    this.rows += chunk.rowCount;
  }

  build(): RowBatch {
    const { joinKeys, features } = this.#shape;
    const times = this.#columns.slice(joinKeys.length) as number[][];
    return {
      rows: this.rows,
      keys: byName(joinKeys, this.#columns),
      features: byName(features, this.#columns.slice(joinKeys.length + 2)),
      eventUs: times[0] ?? [],
      createdUs: times[1] ?? [],
    };
  }
}
