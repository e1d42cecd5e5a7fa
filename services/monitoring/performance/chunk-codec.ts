// Chunks of kept predictions as bytes: arrays as they stand in memory (little-endian), texts once,
// a checksum at the end. Read with distrust: a length is checked before anything is allocated.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss } from "../../common/errors/domain-error.ts";
import { SketchReader, SketchWriter } from "../sketch/sketch-bytes.ts";
import { damaged } from "../sketch/sketch-faults.ts";
import { sealed, unsealed } from "../sketch/window-sketch.ts";
import {
  type ChunkLabels,
  type ChunkRows,
  NONE,
  type NumberColumn,
  type Predicted,
  TEXTS_MAX,
  type TextColumn,
} from "./chunk-rows.ts";

/** First byte of both encodings. */
const VERSION = 1;
const CLASSIFICATION = 1;
const REGRESSION = 2;
const TEXTS = 1;
const NUMBERS = 2;
/** Rows of a chunk; captured batches have at most as many. */
const ROWS_MAX = 65_536;
const COLUMNS_MAX = 64;
const TEXT_BYTES_MAX = 4096;

/** The bytes of a chunk's rows. */
export function encodeRows(chunk: ChunkRows): Uint8Array {
  const writer = new SketchWriter();
  writer.byte(VERSION);
  writer.varint(chunk.rows);
  writer.varint(chunk.inferenceRows.length);
  for (const rows of chunk.inferenceRows) {
    writer.varint(rows);
  }
  writePredicted(writer, chunk.predicted);
  writer.varint(chunk.segments.length);
  for (const column of chunk.segments) {
    writeColumn(writer, column);
  }
  writer.varint(chunk.keys.length);
  for (const column of chunk.keys) {
    writeColumn(writer, column);
  }
  writer.block(chunk.erased ?? new Uint8Array(0));
  return sealed(writer.finish());
}

/** @throws DataLoss where the bytes are no chunk of this version of the format. */
export function decodeRows(bytes: Uint8Array): ChunkRows {
  return reading(() => {
    const reader = opened(bytes);
    const rows = reader.varint(ROWS_MAX, "a number of rows");
    const inferences = reader.varint(rows, "a number of inferences");
    const inferenceRows = Array.from({ length: inferences }, () => reader.varint(rows, "rows"));
    if (inferenceRows.reduce((sum, some) => sum + some, 0) !== rows) {
      throw damaged("the rows of its inferences are not its rows");
    }
    const predicted = readPredicted(reader, rows);
    const segments = readColumns(reader, rows);
    const keys = readColumns(reader, rows).filter((column) => column.kind === "texts");
    const erased = reader.block(rows, "erased rows");
    if (erased.length !== 0 && erased.length !== rows) {
      throw damaged("not every row is erased or not");
    }
    reader.end();
    const marks = erased.length === 0 ? {} : { erased: copyOf(erased) };
    return { rows, inferenceRows, predicted, segments, keys, ...marks };
  });
}

/** The bytes of a chunk's labels. */
export function encodeLabels(labels: ChunkLabels): Uint8Array {
  const writer = new SketchWriter();
  writer.byte(VERSION);
  if (labels.task === "classification") {
    writer.byte(CLASSIFICATION);
    writeTexts(writer, labels.others);
    writeArray(writer, labels.codes);
  } else {
    writer.byte(REGRESSION);
    writeArray(writer, labels.values);
  }
  return sealed(writer.finish());
}

/** Labels of a chunk of `rows` rows whose predictions know `classes` classes. @throws DataLoss */
export function decodeLabels(
  bytes: Uint8Array,
  chunk: { readonly rows: number; readonly classes: number },
): ChunkLabels {
  return reading(() => {
    const reader = opened(bytes);
    const task = reader.byte();
    if (task === CLASSIFICATION) {
      const others = readTexts(reader);
      const codes = readCodes(reader, chunk.rows, chunk.classes + others.length);
      reader.end();
      return { task: "classification", others, codes };
    }
    if (task !== REGRESSION) {
      throw damaged(`its labels are of kind ${task}`);
    }
    const values = readDoubles(reader, chunk.rows);
    reader.end();
    return { task: "regression", values };
  });
}

function opened(bytes: Uint8Array): SketchReader {
  const reader = new SketchReader(unsealed(bytes));
  const version = reader.byte();
  if (version !== VERSION) {
    throw damaged(`it is of format ${version}, this server reads ${VERSION}`);
  }
  return reader;
}

/** The reader's errors speak of sketches. */
function reading<R>(read: () => R): R {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DataLoss)) {
      throw error;
    }
    throw new DataLoss(
      "Kept predictions are damaged: their bytes do not fit their checksum or format. " +
        "Performance of their window cannot be measured; leave it out of the range.",
      { reason: ErrorReason.DIGEST_MISMATCH, cause: error },
    );
  }
}

function writePredicted(writer: SketchWriter, predicted: Predicted): void {
  if (predicted.task === "regression") {
    writer.byte(REGRESSION);
    writeArray(writer, predicted.values);
    return;
  }
  writer.byte(CLASSIFICATION);
  writeTexts(writer, predicted.classes);
  writeArray(writer, predicted.codes);
  writer.varint(predicted.scored);
  writeArray(writer, predicted.scores);
}

function readPredicted(reader: SketchReader, rows: number): Predicted {
  const task = reader.byte();
  if (task === REGRESSION) {
    return { task: "regression", values: readDoubles(reader, rows) };
  }
  if (task !== CLASSIFICATION) {
    throw damaged(`its predictions are of kind ${task}`);
  }
  const classes = readTexts(reader);
  const codes = readCodes(reader, rows, classes.length);
  const scored = reader.varint(classes.length, "a number of scores");
  const bytes = reader.raw(rows * scored * Float32Array.BYTES_PER_ELEMENT);
  return { task: "classification", classes, codes, scored, scores: floatsOf(bytes) };
}

function writeColumn(writer: SketchWriter, column: TextColumn | NumberColumn): void {
  writer.text(column.name);
  if (column.kind === "numbers") {
    writer.byte(NUMBERS);
    writeArray(writer, column.values);
  } else {
    writer.byte(TEXTS);
    writeTexts(writer, column.texts);
    writeArray(writer, column.codes);
  }
}

function readColumns(reader: SketchReader, rows: number): (TextColumn | NumberColumn)[] {
  const count = reader.varint(COLUMNS_MAX, "a number of columns");
  return Array.from({ length: count }, () => {
    const name = reader.text(TEXT_BYTES_MAX, "the name of a column");
    const kind = reader.byte();
    if (kind === NUMBERS) {
      return { kind: "numbers", name, values: readDoubles(reader, rows) };
    }
    if (kind !== TEXTS) {
      throw damaged(`a column is of kind ${kind}`);
    }
    const texts = readTexts(reader);
    return { kind: "texts", name, texts, codes: readCodes(reader, rows, texts.length) };
  });
}

function writeTexts(writer: SketchWriter, texts: readonly string[]): void {
  writer.varint(texts.length);
  for (const text of texts) {
    writer.text(text);
  }
}

function readTexts(reader: SketchReader): string[] {
  const count = reader.varint(TEXTS_MAX, "a number of texts");
  const texts: string[] = [];
  for (let place = 0; place < count; place++) {
    texts.push(reader.text(TEXT_BYTES_MAX, "a text"));
  }
  return texts;
}

function writeArray(writer: SketchWriter, array: Uint16Array | Float32Array | Float64Array): void {
  writer.raw(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

function readCodes(reader: SketchReader, rows: number, texts: number): Uint16Array {
  const bytes = copyOf(reader.raw(rows * Uint16Array.BYTES_PER_ELEMENT));
  const codes = new Uint16Array(bytes.buffer, 0, rows);
  for (const code of codes) {
    if (code >= texts && code !== NONE) {
      throw damaged(`a row has the text ${code} of ${texts}`);
    }
  }
  return codes;
}

function readDoubles(reader: SketchReader, rows: number): Float64Array {
  const bytes = copyOf(reader.raw(rows * Float64Array.BYTES_PER_ELEMENT));
  return new Float64Array(bytes.buffer, 0, rows);
}

function floatsOf(view: Uint8Array): Float32Array {
  const bytes = copyOf(view);
  return new Float32Array(bytes.buffer, 0, bytes.length / Float32Array.BYTES_PER_ELEMENT);
}

/** In memory of its own, aligned; slices of Buffers share theirs. */
function copyOf(view: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view);
}
