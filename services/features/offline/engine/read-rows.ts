// Results of queries as values of JavaScript.

import {
  DuckDBBlobValue,
  type DuckDBConnection,
  type DuckDBDataChunk,
  type DuckDBValue,
} from "@duckdb/node-api";
import type { Cell, Cells, Field, ValueType } from "../../value.ts";
import { identifier } from "./sql.ts";

/** The one number that a query gives. */
export async function readNumber(connection: DuckDBConnection, sql: string): Promise<number> {
  const [[value] = []] = await readAll(connection, sql);
  return Number(value);
}

/** The rows of a small result. */
export async function readAll(
  connection: DuckDBConnection,
  sql: string,
): Promise<readonly (readonly DuckDBValue[])[]> {
  return (await connection.runAndReadAll(sql)).getRows();
}

/** How a field is selected so that appendCells can read it; its name stays. */
export function cellSelect({ name, type }: Field): string {
  const quoted = identifier(name);
  return `${cellValue(type, quoted)} AS ${quoted}`;
}

/** DuckDB's client drops this from the start of a text, once. */
const BYTE_ORDER_MARK = "chr(65279)";

/** SQL of a value so that appendCells can read it. */
export function cellValue(type: ValueType, sql: string): string {
  switch (type) {
    case "TIMESTAMP":
      return `epoch_us(${sql})::DOUBLE`;
    case "STRING":
      return (
        `CASE WHEN starts_with(${sql}, ${BYTE_ORDER_MARK}) ` +
        `THEN ${BYTE_ORDER_MARK} || ${sql} ELSE ${sql} END`
      );
    case "BOOL":
    case "INT32":
    case "INT64":
    case "FLOAT":
    case "DOUBLE":
    case "BYTES":
      return sql;
  }
}

/** Appends a column of a chunk, selected by cellSelect or cellValue, to cells. */
export function appendCells(chunk: DuckDBDataChunk, column: number, cells: Cell[]): void {
  const vector = chunk.getColumnVector(column);
  const rows = vector.itemCount;
  for (let row = 0; row < rows; row++) {
    cells.push(cellOf(vector.getItem(row)));
  }
}

function cellOf(value: DuckDBValue): Cell {
  switch (typeof value) {
    case "number":
    case "string":
    case "boolean":
      return value;
    case "bigint": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    default:
      return value instanceof DuckDBBlobValue ? value.bytes : null;
  }
}

/** Cells of columns by their fields' names. */
export function byName(
  fields: readonly Field[],
  columns: readonly Cells[],
): Readonly<Record<string, Cells>> {
  return Object.fromEntries(fields.map(({ name }, index) => [name, columns[index] ?? []]));
}
