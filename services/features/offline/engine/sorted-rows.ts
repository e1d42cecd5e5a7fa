// Rows of a view in the order of its files: by day, join keys, event and creation time. Every file
// of history comes from such rows, whoever brought them.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { EngineProgress, Shape } from "../engine-tasks.ts";
import { isWide, type WideRows } from "./column-pieces.ts";
import { readNumber } from "./read-rows.ts";
import { heldName, identifier, identifiers } from "./sql.ts";
import { runTracked } from "./tracked-run.ts";
import { CREATED_US, EVENT_US } from "./view-relation.ts";

/** The UTC day of the event, a DATE. */
export const DAY = "@day";

/** Rows as sortRows makes them. */
export interface SortedRows {
  /** Its `rowid` counts the rows in order. It has the keys and, unless `wide`, the features by their
   * heldName, the two times and DAY. */
  readonly table: string;
  readonly shape: Shape;
  /** Where the features are if they are too many to stand in the table. */
  readonly wide: WideRows | undefined;
}

/**
 * Sorts the rows of `from`, a SELECT with the columns of a view relation and `id`, a number of each
 * row. Of rows equal in key and times, which are the same row, the one with the lowest id stays.
 * `source` is the table that `from` reads, dropped when nobody needs it any more.
 */
export async function sortRows(
  connection: DuckDBConnection,
  rows: {
    readonly from: string;
    readonly source?: string;
    readonly shape: Shape;
    readonly id: string;
    readonly progress: (progress: EngineProgress) => void;
  },
): Promise<SortedRows> {
  const { shape, from, progress } = rows;
  const wide = isWide(shape);
  const [event, created, id, day] = [EVENT_US, CREATED_US, rows.id, DAY].map(identifier);
  const keys = shape.joinKeys.map(({ name }) => heldName(name));
  const held = [...shape.joinKeys, ...(wide ? [] : shape.features)];
  const columns = [
    ...held.map(({ name }) => `${identifier(name)} AS ${heldName(name)}`),
    ...[event, created, id],
    `make_timestamp(${event})::DATE AS ${day}`,
  ];
  const sort =
    `CREATE TEMP TABLE sorted_rows AS SELECT ${columns.join(", ")} FROM (${from}) ` +
    `ORDER BY ${[day, ...keys, event, created, id].join(", ")}`;
  await runTracked(connection, sort, { phase: "sorting", progress });
  if (!wide && rows.source !== undefined) {
    await connection.run(`DROP TABLE ${rows.source}`);
  }
  const table = await dropRepeats(connection, "sorted_rows", [...keys, event, created]);
  return { table, shape, wide: wide ? { keys: table, id: rows.id, from, shape } : undefined };
}

/** Drops rows that are equal to the row before them in the columns; returns the table's name. */
async function dropRepeats(
  connection: DuckDBConnection,
  table: string,
  names: readonly (string | undefined)[],
): Promise<string> {
  const before = names.map((name, index) => `lag(${name}) OVER () AS "@before_${index}"`);
  const same = names.map((name, index) => `${name} = "@before_${index}"`).join(" AND ");
  const marked = `(SELECT *, ${before.join(", ")} FROM ${table})`;
  const repeats = `SELECT count(*) FROM ${marked} WHERE ${same}`;
  if ((await readNumber(connection, repeats)) === 0) {
    return table;
  }
  const added = identifiers(names.map((_, index) => `@before_${index}`));
  await connection.run(
    `CREATE TEMP TABLE ${table}_once AS SELECT * EXCLUDE (${added}) FROM ${marked} ` +
      `WHERE (${same}) IS NOT TRUE`,
  );
  await connection.run(`DROP TABLE ${table}`);
  return `${table}_once`;
}
