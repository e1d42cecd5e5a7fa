// A CSV file: the first line names the columns, an empty cell is no value, quotes as in RFC 4180.

import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream";
import { CsvError, type Parser, parse } from "csv-parse";
import {
  CellCollector,
  type FileColumn,
  type TableBatch,
  type TableFile,
  unreadable,
} from "./table-file.ts";

/** An unclosed quote swallows the rest of a file; beyond this many bytes it is an error. */
const RECORD_BYTES_MAX = 4 * 1024 * 1024;
const READ_BYTES = 256 * 1024;
/** Rows of a batch: enough that what is done once for each is nothing. */
const BATCH_ROWS = 4096;
/** How files begin that are often taken for CSV. */
const OTHER_FORMATS: readonly (readonly [string, string])[] = [
  ["504b0304", "an Excel workbook or another zip archive"],
  ["1f8b", "compressed with gzip"],
  ["28b52ffd", "compressed with zstd"],
  ["fffe", "text in UTF-16"],
  ["feff", "text in UTF-16"],
  ["d0cf11e0", "an old Excel workbook"],
  ["4152524f5731", "in the Arrow format"],
];

/**
 * Opens a CSV file.
 * @throws InvalidArgument where it is none, or its first line names no columns.
 */
export async function openCsv(path: string): Promise<TableFile> {
  await requireText(path);
  const columns = await readHeader(path);
  return {
    columns,
    nested: [],
    batches: (wanted) => readBatches(path, columns, wanted),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function readHeader(path: string): Promise<readonly string[]> {
  const parser = parseFile(path);
  try {
    for await (const record of parser as AsyncIterable<readonly string[]>) {
      return checkHeader(record.map((name) => name.trim()));
    }
  } catch (error) {
    throw faultOf(error);
  } finally {
    parser.destroy();
  }
  throw unreadable("is empty; its first line must name the columns");
}

function checkHeader(columns: readonly string[]): readonly string[] {
  const separators = columns.length === 1 ? (/[;\t|]/.exec(columns[0]!) ?? []) : [];
  if (separators.length > 0) {
    throw unreadable(
      `has one column named ${shown(columns[0]!)}; columns must be separated by commas, not by ` +
        `${JSON.stringify(separators[0])}`,
    );
  }
  const empty = columns.findIndex((name, i) => name === "" && i > 0);
  if (empty > 0) {
    throw unreadable(`has no name for column ${empty + 1} in its first line`);
  }
  const twice = columns.findIndex((name, i) => columns.indexOf(name) !== i);
  if (twice >= 0) {
    const first = columns.indexOf(columns[twice]!) + 1;
    throw unreadable(
      `names ${shown(columns[twice]!)} twice in its first line, as columns ${first} and ${twice + 1}`,
    );
  }
  return columns;
}

async function* readBatches(
  path: string,
  columns: readonly string[],
  wanted: readonly FileColumn[],
): AsyncGenerator<TableBatch> {
  const places = wanted
    .map((column) => ({ column, place: columns.indexOf(column.name) }))
    .filter(({ place }) => place >= 0)
    .map(({ column, place }) => ({
      name: column.name,
      place,
      cells: new CellCollector(column, BATCH_ROWS),
    }));
  const parser = parseFile(path);
  let rows = -1;
  try {
    for await (const record of parser as AsyncIterable<readonly string[]>) {
      rows += 1;
      if (rows === 0) {
        continue;
      }
      for (const { place, cells } of places) {
        cells.addText(record[place]!);
      }
      if (rows % BATCH_ROWS === 0) {
        yield batchOf(BATCH_ROWS, places);
      }
    }
  } catch (error) {
    throw faultOf(error);
  } finally {
    parser.destroy();
  }
  if (rows > 0 && rows % BATCH_ROWS > 0) {
    yield batchOf(rows % BATCH_ROWS, places);
  }
}

function batchOf(
  newRows: number,
  places: readonly { readonly name: string; readonly cells: CellCollector }[],
): TableBatch {
  const taken = places.map(({ name, cells }) => ({ name, ...cells.take() }));
  return {
    newRows,
    columns: new Map(taken.map(({ name, column }) => [name, column])),
    mistyped: new Map(taken.map(({ name, mistyped }) => [name, mistyped])),
  };
}

function parseFile(path: string): Parser {
  const parser = parse({
    bom: true,
    max_record_size: RECORD_BYTES_MAX,
    skip_empty_lines: true,
  });
  // Errors of the file destroy the parser and come out of its iteration.
  pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), parser, () => undefined);
  return parser;
}

/** @throws InvalidArgument where the first bytes are those of something else. */
async function requireText(path: string): Promise<void> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
  const start = buffer.subarray(0, bytesRead);
  const other = OTHER_FORMATS.find(([bytes]) => start.toString("hex").startsWith(bytes));
  if (other !== undefined) {
    throw unreadable(`is ${other[1]}; send CSV in UTF-8, or Parquet`);
  }
  if (start.includes(0)) {
    throw unreadable("is no text; send CSV in UTF-8, or Parquet");
  }
}

/** What csv-parse found, in our words. */
function faultOf(error: unknown): unknown {
  if (!(error instanceof CsvError)) {
    return error;
  }
  const { code, lines } = error as CsvError & { readonly lines?: number };
  const at = `line ${lines ?? "?"}`;
  switch (code) {
    case "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH":
    case "CSV_RECORD_INCONSISTENT_COLUMNS": {
      const { record } = error as unknown as { readonly record?: readonly unknown[] };
      return unreadable(
        `has ${record?.length ?? "another number of"} cells in ${at}; expected as many as the first ` +
          "line names columns",
        error,
      );
    }
    case "CSV_QUOTE_NOT_CLOSED":
    case "CSV_MAX_RECORD_SIZE":
      return unreadable(
        `opens a quote and does not close it in the record that ends at ${at}`,
        error,
      );
    case "INVALID_OPENING_QUOTE":
    case "CSV_INVALID_CLOSING_QUOTE":
      return unreadable(
        `has a quote in the middle of a cell in ${at}; a cell with quotes is quoted, with each of ` +
          "them doubled",
        error,
      );
    default:
      return unreadable(`is no CSV at ${at}`, error);
  }
}

function shown(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}
