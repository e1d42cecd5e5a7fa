// Values of features between what people write (JSON, CSV cells, key=value) and the typed columns
// of the protocol, both ways. What does not fit its type is a fault of its row, not an exception.

import { create, type JsonValue } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type Column,
  ColumnSchema,
  type Field,
  ValueType,
} from "../../gen/plinth/features/v1/value_pb.js";
import { exactTime, parseTime } from "./features-times.ts";
import { formatNumber } from "./format.ts";

/** A value as a row holds it; undefined is no value, as null is. */
export type Written = JsonValue | undefined;

type Cell = boolean | bigint | number | string | Uint8Array | Timestamp;

/** A value that does not fit its type. */
export interface CellFault {
  /** In the column, from 0. */
  readonly row: number;
  /** "delay: expected a number, got "soon"" */
  readonly fault: string;
}

const INT32_MAX = 2n ** 31n - 1n;
const INT64_MAX = 2n ** 63n - 1n;

const BASE64 = /^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?$/;

/** One column of the values; rows at fault are null in it. */
export function columnOf(
  field: Pick<Field, "name" | "valueType">,
  values: readonly Written[],
): { readonly column: Column; readonly faults: readonly CellFault[] } {
  const { name, valueType } = field;
  const nulls: number[] = [];
  const faults: CellFault[] = [];
  const cells = values.map((value, row): Cell => {
    if (value === undefined || value === null) {
      nulls.push(row);
      return zeroOf(valueType);
    }
    const cell = cellOf(valueType, value);
    if (cell === undefined) {
      nulls.push(row);
      const got = abridged(value);
      faults.push({ row, fault: `${name}: expected ${expected(valueType)}, got ${got}` });
      return zeroOf(valueType);
    }
    return cell;
  });
  const column = create(ColumnSchema, { name, nulls });
  if (nulls.length < cells.length) {
    fill(column, valueType, cells);
  }
  return { column, faults };
}

/** The value of a row as text for people; "" where there is none. */
export function cellText(column: Column, valueType: ValueType, row: number): string {
  if (column.nulls.includes(row)) {
    return "";
  }
  switch (valueType) {
    case ValueType.BOOL:
      return String(column.bools[row] ?? "");
    case ValueType.INT32:
    case ValueType.INT64:
      return String(column.ints[row] ?? "");
    case ValueType.FLOAT:
    case ValueType.DOUBLE: {
      const value = column.doubles[row] ?? column.ints[row];
      return value === undefined ? "" : formatNumber(Number(value));
    }
    case ValueType.STRING:
      return column.strings[row] ?? "";
    case ValueType.BYTES: {
      const bytes = column.bytesValues[row];
      return bytes === undefined ? "" : Buffer.from(bytes).toString("base64");
    }
    case ValueType.TIMESTAMP:
      return exactTime(column.timestamps[row]);
    case ValueType.UNSPECIFIED:
      return "";
  }
}

/** The type whose list a column fills; UNSPECIFIED for one without values. */
export function typeOfColumn(column: Column): ValueType {
  const lists: readonly (readonly [ValueType, readonly unknown[]])[] = [
    [ValueType.BOOL, column.bools],
    [ValueType.INT64, column.ints],
    [ValueType.DOUBLE, column.doubles],
    [ValueType.STRING, column.strings],
    [ValueType.BYTES, column.bytesValues],
    [ValueType.TIMESTAMP, column.timestamps],
  ];
  return lists.find(([, list]) => list.length > 0)?.[0] ?? ValueType.UNSPECIFIED;
}

/** "double" */
export function typeName(valueType: ValueType): string {
  return ValueType[valueType].toLowerCase();
}

function fill(column: Column, valueType: ValueType, cells: readonly Cell[]): void {
  switch (valueType) {
    case ValueType.BOOL:
      column.bools = cells as boolean[];
      break;
    case ValueType.INT32:
    case ValueType.INT64:
      column.ints = cells as bigint[];
      break;
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      column.doubles = cells as number[];
      break;
    case ValueType.STRING:
      column.strings = cells as string[];
      break;
    case ValueType.BYTES:
      column.bytesValues = cells as Uint8Array[];
      break;
    case ValueType.TIMESTAMP:
      column.timestamps = cells as Timestamp[];
      break;
    case ValueType.UNSPECIFIED:
      break;
  }
}

function cellOf(valueType: ValueType, value: Exclude<JsonValue, null>): Cell | undefined {
  switch (valueType) {
    case ValueType.BOOL:
      return flagOf(value);
    case ValueType.INT32:
      return wholeOf(value, INT32_MAX);
    case ValueType.INT64:
      return wholeOf(value, INT64_MAX);
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      return numberOf(value);
    case ValueType.STRING:
      return typeof value === "string" ? value : undefined;
    case ValueType.BYTES:
      return typeof value === "string" && BASE64.test(value)
        ? Buffer.from(value, "base64")
        : undefined;
    case ValueType.TIMESTAMP: {
      const time = typeof value === "string" ? parseTime(value) : undefined;
      return time && create(TimestampSchema, time);
    }
    case ValueType.UNSPECIFIED:
      return undefined;
  }
}

function flagOf(value: Exclude<JsonValue, null>): boolean | undefined {
  if (typeof value === "boolean") {
    return value;
  }
  const text = typeof value === "string" ? value.trim().toLowerCase() : "";
  return text === "true" ? true : text === "false" ? false : undefined;
}

/** A JSON number, or the digits as text, as CSV has them and large ones must be written. */
function wholeOf(value: Exclude<JsonValue, null>, max: bigint): bigint | undefined {
  const text =
    typeof value === "number" && Number.isSafeInteger(value)
      ? String(value)
      : typeof value === "string"
        ? value.trim()
        : "";
  if (!/^[+-]?\d{1,19}$/.test(text)) {
    return undefined;
  }
  const whole = BigInt(text.replace(/^\+/, ""));
  return whole <= max && whole >= -max - 1n ? whole : undefined;
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

function numberOf(value: Exclude<JsonValue, null>): number | undefined {
  if (typeof value === "number") {
    return value;
  }
  const text = typeof value === "string" ? value.trim() : "";
  if (NUMBER.test(text)) {
    return Number(text);
  }
  if (/^nan$/i.test(text)) {
    return Number.NaN;
  }
  const infinity = /^([+-]?)inf(?:inity)?$/i.exec(text);
  return infinity === null ? undefined : infinity[1] === "-" ? -Infinity : Infinity;
}

function zeroOf(valueType: ValueType): Cell {
  switch (valueType) {
    case ValueType.BOOL:
      return false;
    case ValueType.INT32:
    case ValueType.INT64:
      return 0n;
    case ValueType.STRING:
      return "";
    case ValueType.BYTES:
      return new Uint8Array();
    case ValueType.TIMESTAMP:
      return create(TimestampSchema);
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
    case ValueType.UNSPECIFIED:
      return 0;
  }
}

function expected(valueType: ValueType): string {
  switch (valueType) {
    case ValueType.BOOL:
      return "true or false";
    case ValueType.INT32:
      return "a whole number of 32 bits";
    case ValueType.INT64:
      return "a whole number of 64 bits";
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      return "a number";
    case ValueType.STRING:
      return "a text";
    case ValueType.BYTES:
      return "bytes in base64";
    case ValueType.TIMESTAMP:
      return "a time such as 2001-01-31T08:00:00Z";
    case ValueType.UNSPECIFIED:
      return "nothing";
  }
}

const SHOWN_MAX = 60;

function abridged(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}
