// The sketches of all columns of one (version, window): what replicas count apart, merge, and
// keep as a few kilobytes. Mutable while rows come in; equal contents have equal bytes.

import { promisify } from "node:util";
import { crc32, zstdCompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { inTurns } from "../../common/in-turns.ts";
import { readCategories, writeCategories } from "./category-codec.ts";
import {
  addBools,
  addTexts,
  type CategorySketch,
  copyCategory,
  mergeCategoryInto,
  newCategorySketch,
} from "./category-sketch.ts";
import {
  type ColumnBatch,
  checkBatch,
  countNulls,
  type RowsBatch,
  rowsOf,
} from "./column-batch.ts";
import { COLUMNS_MAX, type ColumnLayout, type WindowLayout } from "./column-layout.ts";
import {
  addNumbers,
  copyNumeric,
  mergeNumericBytes,
  mergeNumericInto,
  type NumericSketch,
  newNumericSketch,
  readNumeric,
  writeNumeric,
} from "./numeric-sketch.ts";
import { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { checkRows, damaged, otherLayout } from "./sketch-faults.ts";

/** First byte of the bytes of a window; another one is another format. */
const VERSION = 1;
const ID_BYTES_MAX = 64;
const CHECKSUM_BYTES = 4;
/** Far above what 2,000 columns take. */
const SEALED_BYTES_MAX = 2 ** 28;

const compress = promisify(zstdCompress);

/** Presence alone. */
export interface CountedSketch {
  rows: number;
  nulls: number;
  mistyped: number;
}

export type ColumnSketch =
  | { readonly kind: "numeric" | "timestamp"; readonly numbers: NumericSketch }
  | { readonly kind: "bool" | "category"; readonly categories: CategorySketch }
  | { readonly kind: "counted"; readonly counted: CountedSketch };

export interface WindowSketch {
  readonly layout: WindowLayout;
  /** All rows; a column may have seen fewer, when senders left it out. */
  rows: number;
  /** Values in columns that the layout does not have. */
  strayValues: number;
  /** In the layout's order. */
  readonly columns: readonly ColumnSketch[];
}

export function newWindowSketch(layout: WindowLayout): WindowSketch {
  return { layout, rows: 0, strayValues: 0, columns: layout.columns.map(emptyColumn) };
}

/**
 * Adds the rows, or nothing where the batch is not right. A column of another kind than the
 * layout's counts as mistyped in all its rows; one the layout lacks is counted as stray values.
 * @throws InvalidArgument that says what is wrong with the batch.
 */
export function addRows(window: WindowSketch, batch: RowsBatch): void {
  checkBatch(batch, COLUMNS_MAX);
  checkRows(window.rows + batch.rows);
  window.rows += batch.rows;
  for (const [name, column] of batch.columns) {
    const place = window.layout.places.get(name);
    if (place === undefined) {
      window.strayValues = Math.min(window.strayValues + rowsOf(column), Number.MAX_SAFE_INTEGER);
    } else {
      addColumn(window.columns[place]!, column);
    }
  }
}

/** The sketch of a column; undefined where the layout has none of that name. */
export function columnOf(window: WindowSketch, name: string): ColumnSketch | undefined {
  const place = window.layout.places.get(name);
  return place === undefined ? undefined : window.columns[place];
}

/**
 * What one window over the rows of both would be. Neither changes.
 * @throws FailedPrecondition where they were made for different baselines.
 */
export function mergeWindows(a: WindowSketch, b: WindowSketch): WindowSketch {
  const merged = { ...a, columns: a.columns.map(copyColumn) };
  mergeWindowInto(merged, b);
  return merged;
}

/** As mergeWindows, into `target`; nothing is merged where it throws. */
export function mergeWindowInto(target: WindowSketch, from: WindowSketch): void {
  if (target.layout.id !== from.layout.id) {
    throw otherLayout(`their layouts are ${target.layout.id} and ${from.layout.id}`);
  }
  checkRows(target.rows + from.rows);
  target.rows += from.rows;
  target.strayValues = Math.min(target.strayValues + from.strayValues, Number.MAX_SAFE_INTEGER);
  target.columns.forEach((column, place) => {
    mergeColumnInto(column, from.columns[place]!);
  });
}

/** Version, layout id, columns in the layout's order, CRC-32 of all before. */
export function encodeWindow(window: WindowSketch): Uint8Array {
  const writer = new SketchWriter();
  for (const _ of columnsInto(writer, window)) {
    // None of them waits.
  }
  return sealed(writer.finish());
}

/**
 * As encodeWindow, in turns of the thread: wide windows take hundreds of milliseconds. The window
 * must not change until it resolves.
 */
export async function encodeWindowInTurns(window: WindowSketch): Promise<Uint8Array> {
  const writer = new SketchWriter();
  await inTurns(columnsInto(writer, window));
  const bytes = writer.finish();
  // With the size, which the other way of compressing knows by itself, the bytes are the same.
  return withChecksum(await compress(bytes, { pledgedSrcSize: bytes.length }));
}

/** Writes what a window's bytes begin with, then a column a step. */
function* columnsInto(writer: SketchWriter, window: WindowSketch): Generator<undefined, void> {
  writer.byte(VERSION);
  writer.text(window.layout.id);
  writer.varint(window.rows);
  writer.varint(window.strayValues);
  for (const column of window.columns) {
    switch (column.kind) {
      case "numeric":
      case "timestamp":
        writeNumeric(writer, column.numbers);
        break;
      case "bool":
      case "category":
        writeCategories(writer, column.categories);
        break;
      case "counted":
        writer.varint(column.counted.rows);
        writer.varint(column.counted.nulls);
        writer.varint(column.counted.mistyped);
        break;
    }
    yield;
  }
}

/**
 * @throws DataLoss where the bytes are no window of this version of the format; FailedPrecondition
 *   where they are one of another layout.
 */
export function decodeWindow(bytes: Uint8Array, layout: WindowLayout): WindowSketch {
  const { reader, rows, strayValues } = beginDecode(bytes, layout);
  const columns = layout.columns.map((column) => {
    const sketch = readColumn(reader, column);
    checkColumnRows(rowsOfSketch(sketch), rows);
    return sketch;
  });
  reader.end();
  return { layout, rows, strayValues, columns };
}

/**
 * As decodeWindow and mergeWindowInto, in a fraction of their time.
 * @throws as decodeWindow; of DataLoss the target is to be thrown away.
 */
export function mergeEncodedInto(target: WindowSketch, bytes: Uint8Array): void {
  const { layout } = target;
  const { reader, rows, strayValues } = beginDecode(bytes, layout);
  checkRows(target.rows + rows);
  target.rows += rows;
  target.strayValues = Math.min(target.strayValues + strayValues, Number.MAX_SAFE_INTEGER);
  layout.columns.forEach((column, place) => {
    const added = mergeColumnBytes(target.columns[place]!, reader, column);
    checkColumnRows(added, rows);
  });
  reader.end();
}

/**
 * The id of the layout that a window was encoded with.
 * @throws DataLoss where the bytes are no window of this version of the format.
 */
export function layoutIdOf(bytes: Uint8Array): string {
  return opened(bytes).id;
}

/** How many rows a column has seen. */
export function rowsOfSketch(column: ColumnSketch): number {
  return countersOf(column).rows;
}

/** The counts that all kinds have. */
export function countersOf(column: ColumnSketch): CountedSketch {
  switch (column.kind) {
    case "numeric":
    case "timestamp":
      return column.numbers;
    case "bool":
    case "category":
      return column.categories;
    case "counted":
      return column.counted;
  }
}

/** Compressed (Zstandard), with a checksum behind: values that are kept apart have much in common. */
export function sealed(bytes: Uint8Array): Uint8Array {
  return withChecksum(zstdCompressSync(bytes));
}

function withChecksum(body: Uint8Array): Uint8Array {
  const whole = Buffer.alloc(body.length + CHECKSUM_BYTES);
  whole.set(body);
  whole.writeUInt32LE(crc32(body), body.length);
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** @throws DataLoss where the bytes are not what `sealed` made. */
export function unsealed(bytes: Uint8Array): Uint8Array {
  const length = bytes.length - CHECKSUM_BYTES;
  const body = bytes.subarray(0, Math.max(length, 0));
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (length < 0 || whole.readUInt32LE(length) !== crc32(body)) {
    throw damaged("its checksum does not fit its bytes");
  }
  try {
    const inside = zstdDecompressSync(body, { maxOutputLength: SEALED_BYTES_MAX });
    return new Uint8Array(inside.buffer, inside.byteOffset, inside.length);
  } catch {
    throw damaged("it cannot be decompressed");
  }
}

function beginDecode(
  bytes: Uint8Array,
  layout: WindowLayout,
): { readonly reader: SketchReader; readonly rows: number; readonly strayValues: number } {
  const { id, reader } = opened(bytes);
  if (id !== layout.id) {
    throw otherLayout(`the kept window has the layout ${id}, the baseline has ${layout.id}`);
  }
  const rows = reader.count("a number of rows");
  const strayValues = reader.varint(Number.MAX_SAFE_INTEGER, "a number of values");
  return { reader, rows, strayValues };
}

function opened(bytes: Uint8Array): { readonly id: string; readonly reader: SketchReader } {
  const reader = new SketchReader(unsealed(bytes));
  const version = reader.byte();
  if (version !== VERSION) {
    throw damaged(`it is of format ${version}, this server reads ${VERSION}`);
  }
  return { id: reader.text(ID_BYTES_MAX, "the id of a layout"), reader };
}

function emptyColumn(column: ColumnLayout): ColumnSketch {
  switch (column.kind) {
    case "numeric":
    case "timestamp":
      return { kind: column.kind, numbers: newNumericSketch(column.layout) };
    case "bool":
    case "category":
      return { kind: column.kind, categories: newCategorySketch(column.layout) };
    case "counted":
      return { kind: column.kind, counted: { rows: 0, nulls: 0, mistyped: 0 } };
  }
}

function addColumn(sketch: ColumnSketch, batch: ColumnBatch): void {
  if (sketch.kind === "counted") {
    sketch.counted.rows += rowsOf(batch);
    sketch.counted.nulls += countNulls(batch.nulls, rowsOf(batch));
  } else if (sketch.kind === "bool" && batch.kind === "bool") {
    addBools(sketch.categories, batch.values, batch.nulls);
  } else if (sketch.kind === "category" && batch.kind === "category") {
    addTexts(sketch.categories, batch.values, batch.nulls);
  } else if (isNumbers(sketch) && (batch.kind === "numeric" || batch.kind === "timestamp")) {
    addNumbers(sketch.numbers, batch.values, batch.nulls);
  } else {
    const counters = countersOf(sketch);
    const nulls = countNulls(batch.nulls, rowsOf(batch));
    counters.rows += rowsOf(batch);
    counters.nulls += nulls;
    counters.mistyped += rowsOf(batch) - nulls;
  }
}

function isNumbers(sketch: ColumnSketch): sketch is ColumnSketch & { kind: "numeric" } {
  return sketch.kind === "numeric" || sketch.kind === "timestamp";
}

function copyColumn(column: ColumnSketch): ColumnSketch {
  switch (column.kind) {
    case "numeric":
    case "timestamp":
      return { kind: column.kind, numbers: copyNumeric(column.numbers) };
    case "bool":
    case "category":
      return { kind: column.kind, categories: copyCategory(column.categories) };
    case "counted":
      return { kind: column.kind, counted: { ...column.counted } };
  }
}

/** Of one layout, so of one kind. */
function mergeColumnInto(target: ColumnSketch, from: ColumnSketch): void {
  if ("numbers" in target && "numbers" in from) {
    mergeNumericInto(target.numbers, from.numbers);
  } else if ("categories" in target && "categories" in from) {
    mergeCategoryInto(target.categories, from.categories);
  } else if ("counted" in target && "counted" in from) {
    target.counted.rows += from.counted.rows;
    target.counted.nulls += from.counted.nulls;
    target.counted.mistyped += from.counted.mistyped;
  }
}

/** Returns the rows that were added. */
function mergeColumnBytes(
  target: ColumnSketch,
  reader: SketchReader,
  column: ColumnLayout,
): number {
  if ("numbers" in target) {
    return mergeNumericBytes(target.numbers, reader);
  }
  const read = readColumn(reader, column);
  mergeColumnInto(target, read);
  return rowsOfSketch(read);
}

function checkColumnRows(column: number, window: number): void {
  if (column > window) {
    throw damaged(`a column has ${column} rows, its window ${window}`);
  }
}

function readColumn(reader: SketchReader, column: ColumnLayout): ColumnSketch {
  switch (column.kind) {
    case "numeric":
    case "timestamp":
      return { kind: column.kind, numbers: readNumeric(reader, column.layout) };
    case "bool":
    case "category":
      return { kind: column.kind, categories: readCategories(reader, column.layout) };
    case "counted": {
      const counted = {
        rows: reader.count("a number of rows"),
        nulls: reader.count("a number of nulls"),
        mistyped: reader.count("a number of mistyped rows"),
      };
      if (counted.nulls + counted.mistyped > counted.rows) {
        throw damaged("a column has more nulls than rows");
      }
      return { kind: column.kind, counted };
    }
  }
}
