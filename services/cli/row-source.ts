// Rows of a prediction's input, read as a stream from a file, stdin or the command line. Each knows
// its place, so that a bad one can be found again; none but the one at hand is kept.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { csvRows } from "./csv-rows.ts";
import { UsageError } from "./exit-codes.ts";
import { jsonRows, ndjsonRows } from "./json-rows.ts";

/** A row to predict for. */
export interface InputRow {
  readonly values: JsonObject;
  /** Which row of the input, from 1; headings and blank lines do not count. */
  readonly ordinal: number;
  /** The line it ends on, from 1, where the input has lines. */
  readonly line?: number;
}

/** A row that cannot be read, or that the server refused. */
export interface BadRow {
  readonly fault: string;
  readonly ordinal: number;
  readonly line?: number;
}

export type SourceRow = InputRow | BadRow;

/** Bytes of the input, in pieces. */
export type Bytes = AsyncIterable<Buffer>;

export interface RowSource {
  readonly rows: AsyncIterable<SourceRow>;
  /** "customers.csv", for the progress bar. */
  readonly title: string;
  /** Absent: not known (stdin, rows of the command line). */
  readonly totalBytes: number | undefined;
  bytesRead(): number;
}

export interface RowSourceOptions {
  readonly row?: readonly string[];
  readonly file?: string;
  readonly inputFormat?: InputFormat;
  readonly textColumns?: readonly string[];
  /** CSV cells are text, empty ones null: the reader knows the types. */
  readonly allText?: boolean;
}

export type InputFormat = "csv" | "tsv" | "ndjson" | "json";

const FORMAT_OF_EXTENSION: Readonly<Record<string, InputFormat>> = {
  ".csv": "csv",
  ".tsv": "tsv",
  ".ndjson": "ndjson",
  ".jsonl": "ndjson",
  ".json": "json",
};

const READ_BYTES = 128 * 1024;

/** Whether a row came with a fault. */
export function isBad(row: SourceRow): row is BadRow {
  return "fault" in row;
}

/** "row 12 (line 13)" */
export function place(row: { readonly ordinal: number; readonly line?: number }): string {
  return row.line === undefined ? `row ${row.ordinal}` : `row ${row.ordinal} (line ${row.line})`;
}

/**
 * Opens what --row or --file names.
 * @throws UsageError for neither or both, the file system's error for a file that is not there.
 */
export async function openRows(options: RowSourceOptions, signal: AbortSignal): Promise<RowSource> {
  if ((options.row === undefined) === (options.file === undefined)) {
    throw new UsageError(
      "Give the input as --row (repeatable), or as --file <path> (- for stdin).",
    );
  }
  if (options.file === undefined) {
    return rowsOfCommandLine(options.row ?? []);
  }
  const stdin = options.file === "-";
  const counted = { bytes: 0 };
  const totalBytes = stdin ? undefined : await sizeOf(options.file);
  const stream = stdin
    ? process.stdin
    : createReadStream(options.file, { highWaterMark: READ_BYTES, signal });
  const bytes = count(stream as Bytes, counted);
  const known = options.inputFormat ?? FORMAT_OF_EXTENSION[extname(options.file).toLowerCase()];
  const { format, all } = known === undefined ? await sniff(bytes) : { format: known, all: bytes };
  return {
    rows: read(all, format, options),
    title: stdin ? "stdin" : options.file,
    totalBytes,
    bytesRead: () => counted.bytes,
  };
}

function read(
  bytes: Bytes,
  format: InputFormat,
  options: RowSourceOptions,
): AsyncIterable<SourceRow> {
  const { textColumns = [], allText = false } = options;
  switch (format) {
    case "csv":
      return csvRows(bytes, { delimiter: ",", textColumns, allText });
    case "tsv":
      return csvRows(bytes, { delimiter: "\t", textColumns, allText });
    case "ndjson":
      return ndjsonRows(bytes);
    case "json":
      return jsonRows(bytes);
  }
}

/** A pipe (/dev/stdin, process substitution) has no size. */
async function sizeOf(path: string): Promise<number | undefined> {
  const facts = await stat(path);
  return facts.isFile() ? facts.size : undefined;
}

async function* count(bytes: Bytes, counted: { bytes: number }): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    counted.bytes += chunk.length;
    yield chunk;
  }
}

/** Tells the form by the first characters: "[" is JSON, "{" NDJSON or JSON, else CSV. */
async function sniff(bytes: Bytes): Promise<{ readonly format: InputFormat; readonly all: Bytes }> {
  const iterator = bytes[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done === true ? Buffer.alloc(0) : first.value;
  return { format: formatOf(head.toString("utf8")), all: rejoined(head, iterator) };
}

function formatOf(head: string): InputFormat {
  const text = head.replace(/^\ufeff/, "").trimStart();
  if (text.startsWith("[")) {
    return "json";
  }
  if (!text.startsWith("{")) {
    return "csv";
  }
  try {
    const value: unknown = JSON.parse(text.split("\n", 1)[0] ?? "");
    return Array.isArray((value as { rows?: unknown }).rows) ? "json" : "ndjson";
  } catch {
    return /^\{\s*\n|^\{\s*"rows"\s*:\s*\[/.test(text) ? "json" : "ndjson";
  }
}

async function* rejoined(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield head;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

function rowsOfCommandLine(texts: readonly string[]): RowSource {
  const rows = texts.map((text, index): InputRow => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new UsageError(`--row ${index + 1} is not JSON: ${(error as Error).message}.`);
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new UsageError(
        `--row ${index + 1} must be an object such as {"age": 41}; got ${text}.`,
      );
    }
    return { values: value as JsonObject, ordinal: index + 1 };
  });
  return givenRows(rows);
}

/** Rows that are there already. */
export function givenRows(rows: readonly InputRow[]): RowSource {
  return {
    rows: (async function* () {
      yield* rows;
    })(),
    title: "rows",
    totalBytes: undefined,
    bytesRead: () => 0,
  };
}
