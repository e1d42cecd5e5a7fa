// Rows from CSV: the first record names the columns, cells become numbers, booleans, null or text.

import { pipeline, Readable } from "node:stream";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type Info, parse } from "csv-parse";
import { CommandError, ExitCode } from "./exit-codes.ts";
import type { Bytes, SourceRow } from "./row-source.ts";

/** An unclosed quote swallows the rest of a file; beyond this many bytes it is an error. */
const RECORD_BYTES_MAX = 1024 * 1024;

const NUMBER = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const NAN = /^nan$/i;
const INFINITY = /^([+-]?)inf(?:inity)?$/i;

export interface CsvOptions {
  readonly delimiter: string;
  /** Columns whose cells are not turned into numbers. */
  readonly textColumns: readonly string[];
  /** True: every cell is text, an empty one null; for readers who know the types. */
  readonly allText?: boolean;
}

/** Rows in order; a record with too few or too many cells, or a stray quote, is a BadRow. */
export async function* csvRows(bytes: Bytes, options: CsvOptions): AsyncGenerator<SourceRow> {
  const parser = parse({
    bom: true,
    delimiter: options.delimiter,
    info: true,
    max_record_size: RECORD_BYTES_MAX,
    raw: true,
    relax_column_count: true,
    // Read leniently, so that a stray quote does not move the ends of the records; checked below.
    relax_quotes: true,
    skip_empty_lines: true,
  });
  // Errors of the source destroy the parser and come out of the loop below.
  pipeline(Readable.from(bytes), parser, () => undefined);
  let columns: readonly string[] | undefined;
  let ordinal = 0;
  try {
    for await (const { record, raw, info } of parser as AsyncIterable<Parsed>) {
      if (columns === undefined) {
        columns = header(record, options);
        continue;
      }
      ordinal += 1;
      const at = { line: info.lines, ordinal };
      yield quotesAreSound(record, raw, options.delimiter)
        ? row(record, columns, { ...at, options })
        : { ...at, fault: "a quote stands in the middle of a cell" };
    }
  } catch (error) {
    throw unreadable(error);
  }
}

interface Parsed {
  readonly record: string[];
  readonly raw: string;
  readonly info: Info;
}

function row(
  record: readonly string[],
  columns: readonly string[],
  at: { readonly line: number; readonly ordinal: number; readonly options: CsvOptions },
): SourceRow {
  const { line, ordinal, options } = at;
  const { textColumns, allText = false } = options;
  if (record.length !== columns.length) {
    const fault = `${record.length} cells, expected ${columns.length} as in the first line`;
    return { fault, line, ordinal };
  }
  const values: JsonObject = {};
  for (const [index, column] of columns.entries()) {
    const text = record[index] ?? "";
    values[column] = textColumns.includes(column) ? text : allText ? text || null : cellValue(text);
  }
  return { values, line, ordinal };
}

/** The value a cell stands for. Integers beyond 2^53 stay text, as the protocol wants them. */
export function cellValue(text: string): JsonValue {
  const trimmed = text.trim();
  if (trimmed === "") {
    return null;
  }
  if (NUMBER.test(trimmed)) {
    const value = Number(trimmed);
    const exact = !/^[+-]?\d+$/.test(trimmed) || Number.isSafeInteger(value);
    return exact && Number.isFinite(value) ? value : trimmed;
  }
  if (/^(?:true|false)$/i.test(trimmed)) {
    return trimmed.toLowerCase() === "true";
  }
  if (NAN.test(trimmed)) {
    return "NaN";
  }
  const infinity = INFINITY.exec(trimmed);
  if (infinity !== null) {
    return infinity[1] === "-" ? "-Infinity" : "Infinity";
  }
  return text;
}

function header(record: readonly string[], options: CsvOptions): readonly string[] {
  const columns = record.map((name) => name.trim());
  const empty = columns.indexOf("");
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  const unknown = options.textColumns.find((name) => !columns.includes(name));
  if (empty >= 0) {
    throw malformed(`Column ${empty + 1} of the first line has no name.`);
  }
  if (twice !== undefined) {
    throw malformed(`The first line names the column "${twice}" twice.`);
  }
  if (unknown !== undefined) {
    throw malformed(`--text-columns names "${unknown}", which is not in the first line.`);
  }
  return columns;
}

function malformed(message: string): CommandError {
  return new CommandError(message, {
    exitCode: ExitCode.invalidInput,
    advice: ["The first line of a CSV file names its columns, each once."],
  });
}

/** RFC 4180: a quoted cell holds quotes only in pairs, any other cell none. */
function quotesAreSound(record: readonly string[], raw: string, delimiter: string): boolean {
  if (!record.some((text) => text.includes('"'))) {
    return true;
  }
  const bare = raw
    .replace(/^\ufeff/, "")
    .replace(/"(?:[^"]|"")*"(?=[\r\n]|$|,|\t)/g, (quoted, at) =>
      at === 0 || raw[at - 1] === delimiter ? "" : quoted,
    );
  return !bare.includes('"');
}

/** Where a quote is not closed, nobody knows where the next row begins: that ends the input. */
function unreadable(error: unknown): unknown {
  const { code, lines } = error as { readonly code?: unknown; readonly lines?: number };
  if (code !== "CSV_QUOTE_NOT_CLOSED" && code !== "CSV_MAX_RECORD_SIZE") {
    return error;
  }
  return new CommandError(
    `A quote is opened and not closed in the record that ends near line ${lines}.`,
    {
      exitCode: ExitCode.invalidInput,
      advice: ["The rows after it cannot be told apart, so --on-error skip does not help here."],
    },
  );
}
