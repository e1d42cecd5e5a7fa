// What kind of file a caller sent, by its first bytes; and what is said of files that are none of
// the kinds taken.

import { open } from "node:fs/promises";
import type { TableFormat } from "../engine-tasks.ts";
import { tableFault } from "./faults.ts";

/** The header of a CSV file with thousands of columns is below this. */
const HEAD_BYTES = 1024 * 1024;
/** A row of a few values of the largest size; the reader holds several of these at once. */
export const LINE_BYTES_MAX = 8 * 1024 * 1024;
const PARQUET_MAGIC = "PAR1";
const NAMES: Readonly<Record<TableFormat, string>> = {
  parquet: "Parquet",
  csv: "CSV",
  ndjson: "NDJSON",
};

/** First bytes of files that are not taken, in Latin-1, and what to do with them. */
const OTHERS: readonly (readonly [magic: string, advice: string])[] = [
  ["\x1f\x8b", "It is compressed with gzip; decompress it first."],
  ["\x28\xb5\x2f\xfd", "It is compressed with zstd; decompress it first."],
  ["BZh", "It is compressed with bzip2; decompress it first."],
  ["\xfd7zXZ\0", "It is compressed with xz; decompress it first."],
  ["PK\x03\x04", "It is a ZIP archive or an Excel workbook; unpack it, or save it as CSV."],
  ["ARROW1", "It is an Arrow or Feather file; write it as Parquet."],
  ["ORC", "It is an ORC file; write it as Parquet."],
  ["Obj\x01", "It is an Avro file; write it as Parquet."],
  ["PARE", "It is Parquet with encrypted columns; write it without encryption."],
  ["\xff\xfe", "It is text in UTF-16; save it as UTF-8."],
  ["\xfe\xff", "It is text in UTF-16; save it as UTF-8."],
];

/** A file's format and its beginning. */
export interface TableHead {
  readonly format: TableFormat;
  /** Bytes before the text. */
  readonly bomBytes: number;
  /** The beginning of a text file, without its byte order mark; a character is a byte. */
  readonly latin1: string;
  /** Whether that is the whole file. */
  readonly whole: boolean;
}

/**
 * Looks at a file: by its first bytes it is Parquet, else NDJSON where it starts with `{`, else CSV.
 * @throws InvalidArgument when it is empty, cut off, compressed, of another kind, or not of the
 *   format `expected`.
 */
export async function readTableHead(
  path: string,
  expected: TableFormat | undefined,
): Promise<TableHead> {
  const { head, tail, size } = await readEnds(path);
  if (size === 0) {
    throw tableFault("The file is empty; expected Parquet, CSV with a header line, or NDJSON.");
  }
  const start = head.toString("latin1", 0, 16);
  const other = OTHERS.find(([magic]) => start.startsWith(magic));
  if (other !== undefined) {
    throw tableFault(`The file is not Parquet, CSV or NDJSON. ${other[1]}`);
  }
  if (start.startsWith(PARQUET_MAGIC)) {
    return parquetHead({ tail, size, expected });
  }
  return textHead({ head, size, expected });
}

function parquetHead(file: {
  readonly tail: Buffer;
  readonly size: number;
  readonly expected: TableFormat | undefined;
}): TableHead {
  if (file.expected !== undefined && file.expected !== "parquet") {
    throw otherFormat(file.expected, "parquet");
  }
  if (file.size < 12 || file.tail.toString("latin1") !== PARQUET_MAGIC) {
    throw tableFault(
      "The file begins as Parquet but does not end so: it is cut off or damaged. Write or upload " +
        "it again.",
    );
  }
  return { format: "parquet", bomBytes: 0, latin1: "", whole: false };
}

function textHead(file: {
  readonly head: Buffer;
  readonly size: number;
  readonly expected: TableFormat | undefined;
}): TableHead {
  if (file.expected === "parquet") {
    throw tableFault("The file is not Parquet: it does not begin with PAR1. Name its real format.");
  }
  const bomBytes = file.head.toString("latin1", 0, 3) === "\xef\xbb\xbf" ? 3 : 0;
  const latin1 = file.head.subarray(bomBytes).toString("latin1");
  const first = latin1.trimStart();
  if (first === "") {
    throw tableFault("The file is empty but for blanks; expected CSV with a header, or NDJSON.");
  }
  if (/^\[\s*\{/.test(first)) {
    throw tableFault(
      "The file is one JSON array; expected NDJSON, one object a line (in pandas: " +
        'to_json(orient="records", lines=True)).',
    );
  }
  const format = first.startsWith("{") ? "ndjson" : "csv";
  if (file.expected !== undefined && file.expected !== format && format === "csv") {
    throw otherFormat(file.expected, format);
  }
  return { format: file.expected ?? format, bomBytes, latin1, whole: file.size <= HEAD_BYTES };
}

function otherFormat(expected: TableFormat, found: TableFormat): Error {
  return tableFault(
    `The file is said to be ${NAMES[expected]} but begins as ${NAMES[found]}. Name its real ` +
      "format, or none, to have it found out.",
  );
}

async function readEnds(path: string): Promise<{ head: Buffer; tail: Buffer; size: number }> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const head = Buffer.alloc(Math.min(size, HEAD_BYTES));
  await file.read(head, 0, head.length, 0);
  const tail = Buffer.alloc(Math.min(size, PARQUET_MAGIC.length));
  await file.read(tail, 0, tail.length, size - tail.length);
  return { head, tail, size };
}
