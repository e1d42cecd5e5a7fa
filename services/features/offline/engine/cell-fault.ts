// What is wrong with a cell, in words a caller can act on.

import { nearestName } from "../../../common/nearest-name.ts";
import { type Field, KEY_BYTES_MAX, VALUE_BYTES_MAX, type ValueType } from "../../value.ts";
import type { TableFormat } from "../engine-tasks.ts";

const TEXT_SHOWN = 60;
const NAMES_SHOWN = 20;

const EXPECTED: Readonly<Record<ValueType, string>> = {
  BOOL: "true or false",
  INT32: "a whole number from -2147483648 to 2147483647",
  INT64: "a whole number of 64 bits",
  FLOAT: "a number that 32 bits hold",
  DOUBLE: "a number",
  STRING: "a text",
  BYTES: "bytes in base64",
  TIMESTAMP: 'a time like "2001-01-31T05:00:00Z" in the years 1685 to 2254',
};

/** What a cell is for. */
export type CellRole = "key" | "event" | "created" | "feature";

/** Says what is wrong with a cell that has no value, or none where one has to be. */
export function cellFault(
  cell: { readonly text: string | null; readonly bytes: number },
  wanted: { readonly role: CellRole; readonly type: ValueType; readonly format: TableFormat },
): string {
  const { text, bytes } = cell;
  const { role, type, format } = wanted;
  if (text === null) {
    return role === "key"
      ? "is null; every row needs its join keys"
      : "is null; every row needs its event time";
  }
  const bytesMax = role === "key" ? KEY_BYTES_MAX : VALUE_BYTES_MAX;
  if (type === "STRING" && bytes > bytesMax) {
    return `has ${bytes} bytes; at most ${bytesMax} are taken`;
  }
  if (type === "BYTES" && bytes > bytesMax) {
    return `has more than ${bytesMax} bytes, which is the most`;
  }
  const found = format === "ndjson" ? cut(text) : JSON.stringify(cut(text));
  const hint =
    type === "TIMESTAMP" && /^[+-]?\d+(\.\d*)?$/.test(text)
      ? "; a number does not say its unit: write times as text, or as timestamps in Parquet"
      : "";
  return `is ${found}; expected ${EXPECTED[type]}${hint}`;
}

/** Says that a Parquet column has another type than the field. */
export function typeFault(
  column: { readonly name: string; readonly type: string },
  field: Field,
): string {
  const { type } = field;
  return (
    `Column "${column.name}" has the type ${cut(column.type)}, which cannot be read as ${type} ` +
    `("${field.name}"); ${TYPE_ADVICE[type]}.`
  );
}

const TYPE_ADVICE: Readonly<Record<ValueType, string>> = {
  BOOL: "write it as BOOLEAN",
  INT32: 'write it as a column of integers (in pandas: astype("Int32"))',
  INT64: 'write it as a column of integers (in pandas: astype("Int64"))',
  FLOAT: "write it as a column of numbers",
  DOUBLE: "write it as a column of numbers",
  STRING: "write it as a column of text (in pandas: astype(str)), or change the view",
  BYTES: "write it as a column of bytes",
  TIMESTAMP: "write it as a column of timestamps (in pandas: pandas.to_datetime)",
};

/** Says which columns are not there, which may be meant, what the file has instead, and `advice`. */
export function missingColumns(
  wanted: readonly { readonly column: string; readonly role: string }[],
  names: readonly string[],
  advice: string,
): string {
  const named = names.filter((name) => name !== "");
  const missing = wanted.map(({ column, role }) => {
    const near = nearestName(column, named);
    return `"${column}" (${role}${near === undefined ? "" : `; is "${near}" meant?`})`;
  });
  const listed = named.slice(0, NAMES_SHOWN).map((name) => `"${name}"`);
  const more = named.length > NAMES_SHOWN ? ` and ${named.length - NAMES_SHOWN} more` : "";
  return `The file has no column ${missing.join(", nor ")}. It has ${listed.join(", ")}${more}. ${advice}`;
}

function cut(text: string): string {
  return text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN)}…` : text;
}
