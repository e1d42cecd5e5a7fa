// Columns as callers send them, and cells as the service works with them: the one place that knows
// which list of a Column belongs to which type, and which values a type holds.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Column, ColumnSchema } from "../../gen/plinth/features/v1/value_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { type Cell, type Cells, type Field, VALUE_BYTES_MAX, type ValueType } from "./value.ts";

const INT32_MAX = 2 ** 31 - 1;
const NANOS_MAX = 999_999_999;

/** What is wrong with one row of a column. */
export interface CellFault {
  readonly row: number;
  /** For people: what came, what was expected. */
  readonly reason: string;
}

type List = "bools" | "ints" | "doubles" | "strings" | "bytesValues" | "timestamps";

/** The lists of a Column, and what is said of their values. */
const LISTS: Readonly<Record<List, string>> = {
  bools: "booleans",
  ints: "whole numbers",
  doubles: "fractional numbers",
  strings: "text",
  bytesValues: "bytes",
  timestamps: "times",
};
const LIST_NAMES = Object.keys(LISTS) as List[];

const LIST_OF: Readonly<Record<ValueType, List>> = {
  BOOL: "bools",
  INT32: "ints",
  INT64: "ints",
  FLOAT: "doubles",
  DOUBLE: "doubles",
  STRING: "strings",
  BYTES: "bytesValues",
  TIMESTAMP: "timestamps",
};

/**
 * How many rows the columns have. A column whose lists are all empty has no values and fits any
 * count; where all are so, the longest `nulls` says it.
 * @throws InvalidArgument that names columns without a name, of one name, of another length, with
 *   two lists filled, or with nulls that are not ascending rows. `field` is what the request calls
 *   the columns.
 */
export function rowCountOf(columns: readonly Column[], field = "columns"): number {
  const counts = columns.map((column) => listLength(column, field));
  const filled = counts.filter((count) => count > 0);
  const rows =
    filled.length > 0
      ? mostFrequent(filled)
      : Math.max(0, ...columns.map((column) => column.nulls.length));
  const other = columns.filter((_, index) => counts[index] !== 0 && counts[index] !== rows);
  if (other.length > 0) {
    const list = other.map((column) => {
      return `"${shown(column.name)}" has ${counts[columns.indexOf(column)]}`;
    });
    throw badColumns(field, `must all have one value a row: ${list.join(", ")}, others ${rows}`);
  }
  const names = new Set<string>();
  for (const column of columns) {
    if (column.name === "") {
      throw badColumns(field, "must each have a name; one has none");
    }
    if (names.has(column.name)) {
      throw badColumns(field, `must have different names; "${shown(column.name)}" comes twice`);
    }
    names.add(column.name);
    checkNulls(column, rows, field);
  }
  return rows;
}

/**
 * The cells of a column that rowCountOf has passed; absent: all null. A cell that the type does not
 * hold is null, with a fault that says why.
 */
export function cellsOf(
  column: Column | undefined,
  field: Field,
  rows: number,
): { readonly cells: Cells; readonly faults: readonly CellFault[] } {
  const list = column === undefined ? undefined : listOf(column);
  if (column === undefined || list === undefined) {
    return { cells: new Array<Cell>(rows).fill(null), faults: [] };
  }
  const cells = new Array<Cell>(rows);
  const faults: CellFault[] = [];
  const read = readerOf(list, field.type);
  const values: readonly unknown[] = column[list];
  let next = 0;
  for (let row = 0; row < rows; row++) {
    if (column.nulls[next] === row) {
      next += 1;
      cells[row] = null;
      continue;
    }
    const cell = read(values[row] as never);
    if (cell instanceof Fault) {
      faults.push({ row, reason: cell.reason });
      cells[row] = null;
    } else {
      cells[row] = cell;
    }
  }
  return { cells, faults };
}

/** The cells as a column; a null cell is a zero of the type and a row in `nulls`. */
export function columnOf(field: Field, cells: Cells): MessageInitShape<typeof ColumnSchema> {
  const nulls: number[] = [];
  const values = new Array<unknown>(cells.length);
  const write = WRITERS[field.type];
  for (let row = 0; row < cells.length; row++) {
    const cell = cells[row]!;
    if (cell === null) nulls.push(row);
    values[row] = write(cell as never);
  }
  return { name: field.name, [LIST_OF[field.type]]: values, nulls };
}

/** Microseconds of a Timestamp; what is finer is cut off. Undefined where they cannot be held. */
export function microsOf(time: Timestamp): number | undefined {
  const seconds = Number(time.seconds);
  const micros = seconds * 1e6 + Math.floor(time.nanos / 1000);
  const holds = time.nanos >= 0 && time.nanos <= NANOS_MAX && Number.isSafeInteger(micros);
  return holds ? micros : undefined;
}

/** The way back. */
export function timestampOf(micros: number): { readonly seconds: bigint; readonly nanos: number } {
  const seconds = Math.floor(micros / 1e6);
  return { seconds: BigInt(seconds), nanos: (micros - seconds * 1e6) * 1000 };
}

class Fault {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

type Reader = (value: never) => Cell | Fault;

/** Reads a value of a list as a type. */
function readerOf(list: List, type: ValueType): Reader {
  const isNumber = type === "FLOAT" || type === "DOUBLE";
  if (list === LIST_OF[type]) return READERS[type] as Reader;
  if (list === "ints" && isNumber) {
    const read = READERS[type] as (value: number) => Cell | Fault;
    return (value: bigint) => read(Number(value));
  }
  const expected = isNumber ? `${LIST_OF[type]} (or ints)` : fieldOf(LIST_OF[type]);
  return (value: unknown) =>
    new Fault(`is ${described(value)}, in ${fieldOf(list)}; expected ${type}, in ${expected}`);
}

const READERS: Readonly<Record<ValueType, (value: never) => Cell | Fault>> = {
  BOOL: (value: boolean) => value,
  INT32: (value: bigint) => {
    const number = Number(value);
    const holds = number >= -INT32_MAX - 1 && number <= INT32_MAX;
    return holds ? number : new Fault(`is ${value}; expected INT32, -2147483648 to 2147483647`);
  },
  INT64: (value: bigint) => {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  },
  FLOAT: (value: number) => {
    const float = Math.fround(value);
    const holds = Number.isFinite(float) || !Number.isFinite(value);
    return holds ? float : new Fault(`is ${value}; expected FLOAT, which ends at 3.4e38`);
  },
  DOUBLE: (value: number) => value,
  STRING: (value: string) => {
    // A character has at most 3 bytes a UTF-16 unit: short texts need not be measured.
    const fits = value.length * 3 <= VALUE_BYTES_MAX || Buffer.byteLength(value) <= VALUE_BYTES_MAX;
    return fits ? value : new Fault(`has more than ${VALUE_BYTES_MAX} bytes`);
  },
  BYTES: (value: Uint8Array) => {
    const fits = value.length <= VALUE_BYTES_MAX;
    return fits ? value : new Fault(`has ${value.length} bytes; at most ${VALUE_BYTES_MAX}`);
  },
  TIMESTAMP: (value: Timestamp) => {
    return (
      microsOf(value) ??
      new Fault(
        `has ${value.seconds} seconds and ${value.nanos} nanos; expected a time in the years ` +
          "1685 to 2254 with 0 to 999999999 nanos",
      )
    );
  },
};

const NO_BYTES = new Uint8Array(0);

/** A cell as the value of its list; null as a zero. */
const WRITERS: Readonly<Record<ValueType, (cell: never) => unknown>> = {
  BOOL: (cell: boolean | null) => cell ?? false,
  INT32: (cell: number | null) => BigInt(cell ?? 0),
  INT64: (cell: number | bigint | null) => BigInt(cell ?? 0),
  FLOAT: (cell: number | null) => cell ?? 0,
  DOUBLE: (cell: number | null) => cell ?? 0,
  STRING: (cell: string | null) => cell ?? "",
  BYTES: (cell: Uint8Array | null) => cell ?? NO_BYTES,
  TIMESTAMP: (cell: number | null) => timestampOf(cell ?? 0),
};

/** The list that is filled; undefined when none is. */
function listOf(column: Column): List | undefined {
  return LIST_NAMES.find((name) => column[name].length > 0);
}

function listLength(column: Column, field: string): number {
  const filled = LIST_NAMES.filter((name) => column[name].length > 0);
  if (filled.length > 1) {
    const lists = filled.map(fieldOf).join(" and ");
    throw badColumns(
      field,
      `must fill one list each; "${shown(column.name)}" has values in ${lists}`,
    );
  }
  return filled[0] === undefined ? 0 : column[filled[0]].length;
}

function checkNulls(column: Column, rows: number, field: string): void {
  let previous = -1;
  for (const row of column.nulls) {
    if (row <= previous || row >= rows) {
      throw badColumns(
        field,
        `must name null rows from 0 and ascending; "${shown(column.name)}" names row ${row} ` +
          `${row >= rows ? `of ${rows} rows` : `after row ${previous}`}`,
      );
    }
    previous = row;
  }
}

/** The length that is meant when some columns differ. */
function mostFrequent(counts: readonly number[]): number {
  const times = new Map<number, number>();
  for (const count of counts) times.set(count, (times.get(count) ?? 0) + 1);
  let best = counts[0]!;
  for (const [count, n] of times) if (n > times.get(best)!) best = count;
  return best;
}

/** As the proto names it. */
function fieldOf(list: List): string {
  return list === "bytesValues" ? "bytes_values" : list;
}

/** A value as a message shows it. */
function described(value: unknown): string {
  if (typeof value === "string") return `the text ${JSON.stringify(shown(value))}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "object" ? "a time" : String(value);
}

function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function badColumns(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
