// A Parquet file, read one column of one row group at a time, so that memory is bounded by the
// largest of those, and not by the file. The lengths that the file claims of itself are checked
// before anything is made of that length.

import { type FileHandle, open } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type Compressors,
  type DecodedArray,
  type FileMetaData,
  type ParquetParsers,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  type RowGroup,
  type SchemaElement,
} from "hyparquet";
import { compressors as otherCompressors } from "hyparquet-compressors";
import { DomainError } from "../../common/errors/domain-error.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { checkStructure, type PageClaims, readPageClaims } from "./parquet-thrift.ts";
import {
  CellCollector,
  type FileColumn,
  rounded,
  type TableBatch,
  type TableFile,
  unreadable,
} from "./table-file.ts";

/** The magic bytes at both ends. */
export const PARQUET_MAGIC = "PAR1";

/** What describes a file of 2,000 columns and many row groups. */
const METADATA_BYTES_MAX = 64 * 1024 * 1024;
/** One column of one row group, compressed, and one of its pages. */
const CHUNK_BYTES_MAX = 512 * 1024 * 1024;
const PAGE_BYTES_MAX = 256 * 1024 * 1024;
/** Writers make groups of a hundred thousand to a million rows. */
const GROUP_ROWS_MAX = 16 * 1024 * 1024;
/** Rows that become sketches at once. */
const BATCH_ROWS = 65_536;
const DAY_US = 86_400_000_000;
/** What toFixed takes. */
const DECIMALS_MAX = 100;

/** Times as microseconds since 1970. */
const PARSERS: Partial<ParquetParsers> = {
  timestampFromMilliseconds: (millis: bigint | undefined) => millis && Number(millis) * 1000,
  timestampFromMicroseconds: (micros: bigint | undefined) => micros && Number(micros),
  timestampFromNanoseconds: (nanos: bigint | undefined) => nanos && Number(nanos / 1000n),
  dateFromDays: (days: number | undefined) => days && days * DAY_US,
  // A text that is counted, not looked into.
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("utf8"),
};

/** Node's own where it has one; they are several times faster. */
const COMPRESSORS: Compressors = {
  ...plain(otherCompressors),
  ...plain({
    GZIP: (input, length) => gunzipSync(input, { maxOutputLength: length + 1 }),
    BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: length + 1 }),
    ZSTD: (input, length) => zstdDecompressSync(input, { maxOutputLength: length + 1 }),
  }),
};

interface Leaf {
  readonly name: string;
  readonly element: SchemaElement;
}

/**
 * Opens a Parquet file.
 * @throws InvalidArgument where it is none, or not whole.
 */
export async function openParquet(path: string): Promise<TableFile> {
  await using stack = new AsyncDisposableStack();
  const file = stack.use(await open(path));
  const { size } = await file.stat();
  const metadata = await readMetadata(file, size);
  const { children } = parquetSchema(metadata);
  const flat = children.filter((child) => {
    return child.children.length === 0 && child.element.repetition_type !== "REPEATED";
  });
  const leaves = flat.map(({ element }) => ({ name: element.name, element }));
  const names = leaves.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw unreadable(`has the column ${JSON.stringify(twice)} twice`);
  }
  const owned = stack.move();
  return {
    columns: names,
    nested: children.filter((child) => !flat.includes(child)).map(({ element }) => element.name),
    batches: (wanted) => readBatches({ file, size, metadata, leaves }, wanted),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Opened {
  readonly file: FileHandle;
  readonly size: number;
  readonly metadata: FileMetaData;
  readonly leaves: readonly Leaf[];
}

async function* readBatches(
  opened: Opened,
  wanted: readonly FileColumn[],
): AsyncGenerator<TableBatch> {
  const { metadata, leaves } = opened;
  const byName = new Map(leaves.map((leaf) => [leaf.name, leaf]));
  const none = { columns: new Map(), mistyped: new Map() };
  for (const [place, group] of metadata.row_groups.entries()) {
    const rows = checkedRows(group, place);
    yield { newRows: rows, ...none };
    for (const column of wanted) {
      const leaf = byName.get(column.name);
      if (leaf !== undefined) {
        yield* readColumn(opened, { group, place, rows, leaf, column });
      }
    }
  }
}

interface ChunkPlace {
  readonly group: RowGroup;
  readonly place: number;
  readonly rows: number;
  readonly leaf: Leaf;
  readonly column: FileColumn;
}

async function* readColumn(opened: Opened, at: ChunkPlace): AsyncGenerator<TableBatch> {
  const { leaf, rows } = at;
  let count = 0;
  for (const values of await decodeChunk(opened, at)) {
    count += values.length;
    if (count > rows) {
      break;
    }
    for (let start = 0; start < values.length; start += BATCH_ROWS) {
      const end = Math.min(start + BATCH_ROWS, values.length);
      const batch = batchOf(values, { start, end, ...at });
      yield {
        newRows: 0,
        columns: new Map([[leaf.name, batch.column]]),
        mistyped: new Map([[leaf.name, batch.mistyped]]),
      };
    }
  }
  if (count !== rows) {
    throw unreadable(`is damaged: ${whereOf(at)} has ${count} values for ${rows} rows`);
  }
}

/** The values of one column in one row group, in order; null and undefined are no value. */
async function decodeChunk(opened: Opened, at: ChunkPlace): Promise<readonly DecodedArray[]> {
  const { group, leaf, rows } = at;
  const chunk = group.columns.find(({ meta_data: data }) => {
    return data?.path_in_schema.length === 1 && data.path_in_schema[0] === leaf.name;
  });
  if (chunk?.meta_data === undefined || chunk.file_path !== undefined) {
    throw unreadable(`has no data for ${whereOf(at)} in itself`);
  }
  checkChunk(chunk.meta_data, opened.size, at);
  const pieces: DecodedArray[] = [];
  try {
    await parquetRead({
      file: chunkBuffer(opened, at),
      // Only what is read, so that a file with many columns is not planned anew for each.
      metadata: {
        ...opened.metadata,
        schema: [{ name: "root", num_children: 1 }, leaf.element],
        num_rows: group.num_rows,
        row_groups: [{ ...group, columns: [chunk] }],
      },
      compressors: COMPRESSORS,
      parsers: PARSERS,
      rowEnd: rows,
      onChunk: ({ columnData }) => {
        pieces.push(columnData);
      },
    });
  } catch (error) {
    if (error instanceof DomainError) {
      throw error;
    }
    throw unreadable(`is damaged in ${whereOf(at)}: ${wordsOf(error)}`, error);
  }
  return pieces;
}

function batchOf(
  values: DecodedArray,
  of: Pick<ChunkPlace, "leaf" | "column"> & { readonly start: number; readonly end: number },
): { readonly column: ColumnBatch; readonly mistyped: number } {
  const { leaf, column, start, end } = of;
  const isNumeric = column.kind === "numeric" || column.kind === "timestamp";
  if (isNumeric && isNumbers(values)) {
    const numbers = Float64Array.from(values.subarray(start, end));
    return { column: { kind: column.kind, values: rounded(numbers, column) }, mistyped: 0 };
  }
  const cells = new CellCollector(column, end - start);
  const digits = decimalsOf(leaf.element);
  for (let row = start; row < end; row++) {
    const value: unknown = values[row];
    // Decoded as a product with 0.01 or the like, which is not always the nearest number.
    const isRounded = digits !== undefined && typeof value === "number";
    cells.addValue(isRounded ? Number(value.toFixed(digits)) : value);
  }
  return cells.take();
}

/** Digits after the point, of decimals that have some. */
function decimalsOf(element: SchemaElement): number | undefined {
  const isDecimal =
    element.converted_type === "DECIMAL" || element.logical_type?.type === "DECIMAL";
  const scale = element.scale ?? 0;
  return isDecimal && scale > 0 && scale <= DECIMALS_MAX ? scale : undefined;
}

function isNumbers(
  values: DecodedArray,
): values is Float64Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  return (
    values instanceof Float64Array || values instanceof Float32Array || values instanceof Int32Array
  );
}

async function readMetadata(file: FileHandle, size: number): Promise<FileMetaData> {
  const foot = await read(file, Math.max(size - 8, 0), size);
  const end = Buffer.from(foot);
  if (size < 12 || end.toString("latin1", 4) !== PARQUET_MAGIC) {
    throw unreadable("is Parquet at its beginning, but not at its end; it is not whole");
  }
  const length = end.readUInt32LE(0);
  if (length > METADATA_BYTES_MAX || length > size - 12) {
    throw unreadable(`is damaged: its description claims ${length} bytes of ${size}`);
  }
  const buffer: AsyncBuffer = {
    byteLength: size,
    slice: (start, stop = size) => read(file, start, stop),
  };
  try {
    checkStructure(new Uint8Array(await read(file, size - 8 - length, size - 8)));
    return await parquetMetadataAsync(buffer, { geoparquet: false, parsers: PARSERS });
  } catch (error) {
    throw unreadable(`is damaged in its description: ${wordsOf(error)}`, error);
  }
}

function checkedRows(group: RowGroup, place: number): number {
  if (group.num_rows < 0n || group.num_rows > BigInt(GROUP_ROWS_MAX)) {
    throw unreadable(
      `has ${group.num_rows} rows in row group ${place}; at most ${GROUP_ROWS_MAX} are read at ` +
        "once. Write it with smaller row groups",
    );
  }
  return Number(group.num_rows);
}

function checkChunk(data: ColumnMetaData, size: number, at: ChunkPlace): void {
  const start = Number(data.dictionary_page_offset ?? data.data_page_offset);
  const length = Number(data.total_compressed_size);
  if (length > CHUNK_BYTES_MAX) {
    throw unreadable(
      `has ${length} bytes in ${whereOf(at)}; at most ${CHUNK_BYTES_MAX} are read at once. Write it ` +
        "with smaller row groups",
    );
  }
  if (!(start >= 0 && length >= 0 && start + length <= size)) {
    throw unreadable(`is not whole: ${whereOf(at)} lies beyond its end`);
  }
}

/** The file, each piece of which is looked through before it is decoded. */
function chunkBuffer({ file, size }: Opened, at: ChunkPlace): AsyncBuffer {
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = await read(file, start, end);
      checkPages(new Uint8Array(bytes), at);
      return bytes;
    },
  };
}

/** @throws InvalidArgument where the pages of a chunk claim more than there can be. */
function checkPages(bytes: Uint8Array, at: ChunkPlace): void {
  let offset = 0;
  let left = at.rows;
  while (left > 0 && offset < bytes.length - 1) {
    const page = claimsOf(bytes, offset, at);
    const isSound =
      page.compressedBytes <= bytes.length - page.start &&
      page.uncompressedBytes <= PAGE_BYTES_MAX &&
      page.values <= left &&
      page.entries <= page.uncompressedBytes;
    if (!isSound) {
      throw unreadable(
        `is damaged, or has pages of more than ${PAGE_BYTES_MAX} bytes, in ${whereOf(at)}`,
      );
    }
    offset = page.start + page.compressedBytes;
    left -= page.values;
  }
}

function claimsOf(bytes: Uint8Array, offset: number, at: ChunkPlace): PageClaims {
  try {
    return readPageClaims(bytes, offset);
  } catch (error) {
    throw unreadable(`is damaged in ${whereOf(at)}: ${wordsOf(error)}`, error);
  }
}

/** What they give as plain arrays. */
function plain(compressors: Compressors): Compressors {
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, decompress]) => [
      codec,
      (input: Uint8Array, length: number) => {
        const output = decompress(input, length);
        // Views of Node's shared buffers must not be handed on: readers look at `buffer` itself.
        return new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
      },
    ]),
  );
}

async function read(file: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new ArrayBuffer(Math.max(end - start, 0));
  const { bytesRead } = await file.read(new Uint8Array(bytes), 0, bytes.byteLength, start);
  return bytesRead === bytes.byteLength ? bytes : bytes.slice(0, bytesRead);
}

function whereOf({ leaf, place }: Pick<ChunkPlace, "leaf" | "place">): string {
  return `column ${JSON.stringify(leaf.name.slice(0, 120))} of row group ${place}`;
}

function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  return words.replace(/^parquet /, "").slice(0, 200);
}
