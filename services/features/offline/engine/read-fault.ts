// What DuckDB has against a caller's file, in our words.

import type { TableFormat } from "../engine-tasks.ts";
import { engineFault, tableFault } from "./faults.ts";
import { LINE_BYTES_MAX } from "./table-format.ts";

/** How DuckDB's texts begin when the file is to blame, or may be. */
const FILE_ERROR = /^(Invalid Input|IO|Invalid|Conversion|Serialization) Error/;
/** Its reader of Parquet reports damaged pages in many words, none of them ours. */
const PARQUET_ERROR = /thrift|snappy|zstd|brotli|lz4/i;

/**
 * Runs what reads a table's relation.
 * @throws InvalidArgument for what DuckDB has against the file; ResourceExhausted; other errors as
 *   they are.
 */
export async function readingTable<T>(format: TableFormat, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const known = engineFault(error);
    const text = error instanceof Error ? error.message : "";
    const isFile = FILE_ERROR.test(text) || (format === "parquet" && PARQUET_ERROR.test(text));
    throw known === error && isFile ? tableFault(readFault(format, text), error) : known;
  }
}

function readFault(format: TableFormat, text: string): string {
  if (/maximum_object_size|Maximum line size|max_line_size/i.test(text)) {
    return `A line of the file is longer than ${LINE_BYTES_MAX / 1024 / 1024} MiB.`;
  }
  switch (format) {
    case "parquet":
      return parquetFault(text);
    case "csv":
      return csvFault(text);
    case "ndjson":
      return "The file cannot be read as NDJSON; expected one JSON object a line, in UTF-8.";
  }
}

function parquetFault(text: string): string {
  return /utf-?8|string encoding/i.test(text)
    ? "A text column of the Parquet file has bytes that are not UTF-8; write it again, or as a " +
        "column of bytes."
    : "The Parquet file cannot be read: it is damaged, or written in a way that this server does " +
        "not know. Write it again, for example with pyarrow.parquet.write_table.";
}

function csvFault(text: string): string {
  const line = /CSV Error on Line: (\d+)/.exec(text)?.[1];
  const where = line === undefined ? "The CSV file" : `Line ${line} of the CSV file`;
  const count = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(text);
  if (count !== null) {
    return `${where} has ${count[2]} cells; the header has ${count[1]}.`;
  }
  if (/unterminated quote/i.test(text)) {
    return `${where} has a quote that is not closed, or text beside quotes; write " as "".`;
  }
  if (/unicode|utf-8/i.test(text)) {
    return `${where} is not UTF-8; save it as UTF-8.`;
  }
  return (
    `${where} is not CSV as of RFC 4180: expected commas, quotes closed and doubled, and one kind ` +
    "of line end."
  );
}
