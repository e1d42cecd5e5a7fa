// Values of captured tensors, by column. Tensors come row by row and little-endian, as every
// machine that this runs on has them in memory; they lie at any offset of a message, so they are
// copied once to where typed arrays can read them.

/// <reference lib="esnext.float16" />

import { check, refused, shown } from "./batch-faults.ts";

/** Bytes of an element; BYTES elements each say their own. */
export const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["UINT8", 1],
  ["INT8", 1],
  ["UINT16", 2],
  ["INT16", 2],
  ["FP16", 2],
  ["UINT32", 4],
  ["INT32", 4],
  ["FP32", 4],
  ["UINT64", 8],
  ["INT64", 8],
  ["FP64", 8],
  ["BYTES", 0],
]);

const LENGTH_BYTES = 4;
/** No message has more elements. */
const ELEMENTS_MAX = 2 ** 31;
const WORD = 2 ** 32;

type Numbers = ArrayLike<number>;

/** A captured tensor whose size is known to be right. */
export interface CheckedTensor {
  readonly name: string;
  readonly datatype: string;
  readonly rows: number;
  /** Elements of a row. */
  readonly perRow: number;
  readonly columns: readonly string[];
  readonly contents: Uint8Array;
}

/** @throws InvalidArgument where the contents are not what datatype, shape and rows say. */
export function checkTensor(
  field: string,
  tensor: {
    readonly name: string;
    readonly datatype: string;
    readonly rowShape: readonly number[];
    readonly columns: readonly string[];
    readonly contents: Uint8Array;
  },
  rows: number,
): CheckedTensor {
  const { name, datatype, columns, contents } = tensor;
  const size = ELEMENT_BYTES.get(datatype);
  if (size === undefined) {
    throw refused(
      `${field}.datatype`,
      `${shown(datatype)} is none of ${[...ELEMENT_BYTES.keys()].join(", ")}`,
    );
  }
  let perRow = 1;
  for (const dimension of tensor.rowShape) {
    perRow *= dimension;
    check(perRow * rows <= ELEMENTS_MAX, `${field}.row_shape`, () => "has too many elements");
  }
  check(
    columns.length === 0 || columns.length === perRow,
    `${field}.columns`,
    () => `has ${columns.length} names for the ${perRow} values of a row`,
  );
  const elements = rows * perRow;
  if (datatype === "BYTES") {
    checkElements(field, contents, elements);
  } else {
    check(
      contents.length === elements * size,
      `${field}.contents`,
      () =>
        `has ${contents.length} bytes; ${rows} rows of ${perRow} ${datatype} have ` +
        `${elements * size}`,
    );
  }
  return { name, datatype, rows, perRow, columns, contents };
}

/** The columns of a tensor of numbers, each with a value a row. */
export function numberColumns(tensor: CheckedTensor): readonly Float64Array[] {
  const { rows, perRow } = tensor;
  const columns = Array.from({ length: perRow }, () => new Float64Array(rows));
  const { contents, datatype } = tensor;
  if (datatype === "INT64" || datatype === "UINT64") {
    const words = new Uint32Array(aligned(contents));
    const isSigned = datatype === "INT64";
    columns.forEach((column, place) => {
      for (let row = 0; row < rows; row++) {
        const at = 2 * (row * perRow + place);
        const high = isSigned ? words[at + 1]! | 0 : words[at + 1]!;
        column[row] = high * WORD + words[at]!;
      }
    });
    return columns;
  }
  const values = numbersOf(datatype, aligned(contents));
  columns.forEach((column, place) => {
    for (let row = 0, at = place; row < rows; row++, at += perRow) {
      column[row] = values[at]!;
    }
  });
  return columns;
}

/** The columns of a tensor of truth values, 0 or 1. */
export function boolColumns({ rows, perRow, contents }: CheckedTensor): readonly Uint8Array[] {
  return Array.from({ length: perRow }, (_, place) => {
    const column = new Uint8Array(rows);
    for (let row = 0, at = place; row < rows; row++, at += perRow) {
      column[row] = contents[at] === 0 ? 0 : 1;
    }
    return column;
  });
}

/** The columns of a tensor of texts; bytes that are no UTF-8 are replaced. */
export function textColumns({ rows, perRow, contents }: CheckedTensor): readonly string[][] {
  const columns = Array.from({ length: perRow }, () => new Array<string>(rows));
  const bytes = Buffer.from(contents.buffer, contents.byteOffset, contents.length);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (const column of columns) {
      const start = at + LENGTH_BYTES;
      at = start + bytes.readUInt32LE(at);
      column[row] = bytes.toString("utf8", start, at);
    }
  }
  return columns;
}

/** Integers of a tensor with one value a row, as text. */
export function integerTexts({ datatype, contents, rows }: CheckedTensor): readonly string[] {
  const buffer = aligned(contents);
  const values =
    datatype === "INT64"
      ? new BigInt64Array(buffer)
      : datatype === "UINT64"
        ? new BigUint64Array(buffer)
        : numbersOf(datatype, buffer);
  return Array.from({ length: rows }, (_, row) => String(values[row]));
}

function numbersOf(datatype: string, buffer: ArrayBuffer): Numbers {
  switch (datatype) {
    case "INT8":
      return new Int8Array(buffer);
    case "INT16":
      return new Int16Array(buffer);
    case "UINT16":
      return new Uint16Array(buffer);
    case "INT32":
      return new Int32Array(buffer);
    case "UINT32":
      return new Uint32Array(buffer);
    case "FP16":
      return new Float16Array(buffer);
    case "FP32":
      return new Float32Array(buffer);
    case "FP64":
      return new Float64Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}

function aligned(contents: Uint8Array): ArrayBuffer {
  // Not slice: of a Buffer that would be a view.
  return new Uint8Array(contents).buffer;
}

function checkElements(field: string, contents: Uint8Array, elements: number): void {
  const view = new DataView(contents.buffer, contents.byteOffset, contents.length);
  let at = 0;
  let found = 0;
  for (; found < elements && at + LENGTH_BYTES <= contents.length; found++) {
    at += LENGTH_BYTES + view.getUint32(at, true);
  }
  check(
    found === elements && at === contents.length,
    `${field}.contents`,
    () => `is not ${elements} BYTES elements, each with its length before it`,
  );
}
