// Cuts the kept inferences of a batch into chunks: at window bounds, at inferences where that fits,
// and so that each chunk stays well below what a document may have. The same batch and plan always
// give the same chunks.

import type { DecodedBatch } from "../capture/decoded-batch.ts";
import { isNull } from "../sketch/column-batch.ts";
import { targetId } from "../target.ts";
import { encodeRows } from "./chunk-codec.ts";
import {
  type ChunkRows,
  NONE,
  type NumberColumn,
  type Predicted,
  type TextColumn,
  TextTable,
} from "./chunk-rows.ts";
import { classKey } from "./class-key.ts";
import {
  type ClassReader,
  type NumberReader,
  predictedColumns,
  segmentTextAt,
} from "./predicted-columns.ts";
import { type BatchPlan, type PlannedWindow, windowsOf } from "./prediction-plan.ts";
import { JOIN_KEYS_MAX, keptKeyText } from "./reference.ts";
import { windowKey } from "./window-key.ts";

const CHUNK_ROWS_MAX = 4096;
/** With its labels a chunk then is below 1 MiB. */
const CHUNK_BYTES_MAX = 900 * 1024;

/** Rows of one inference that lie together in a chunk. */
export interface Piece {
  readonly inference: number;
  /** Of the batch. */
  readonly batchRow: number;
  readonly count: number;
  /** What number the first of them has in the inference. */
  readonly first: number;
}

/** A chunk before it is stored. */
export interface BuiltChunk {
  readonly id: string;
  readonly startUs: number;
  readonly endUs: number;
  readonly pieces: readonly Piece[];
  readonly rows: ChunkRows;
  readonly data: Uint8Array;
  /** Rows of the batch and window that are not kept; on the first of its chunks. */
  readonly notKept: number;
}

type Reader = ClassReader | NumberReader;

/** All chunks of a batch; none where it has no prediction. */
export function buildChunks(batch: DecodedBatch, plan: BatchPlan): BuiltChunk[] {
  const reader = predictedColumns(batch, plan.task);
  return reader === undefined
    ? []
    : windowsOf(batch, plan).flatMap((window) => chunksOf({ batch, plan, reader }, window));
}

interface Source {
  readonly batch: DecodedBatch;
  readonly plan: BatchPlan;
  readonly reader: Reader;
}

function chunksOf(source: Source, window: PlannedWindow): BuiltChunk[] {
  const { batch } = source;
  const prefix = windowKey(targetId(batch.target), window);
  const fitting = groupsOf(piecesOf(window)).flatMap((group) => split(source, group));
  const groups = fitting.length > 0 ? fitting : [rowsOf(source, [])];
  return groups.map(({ pieces, rows, data }, part) => ({
    id: `${prefix}/${batch.sender}/${batch.sequence}/${part}`,
    startUs: window.startUs,
    endUs: window.endUs,
    pieces,
    rows,
    data,
    notKept: part === 0 ? window.notKept : 0,
  }));
}

function piecesOf({ inferences }: PlannedWindow): Piece[] {
  return inferences.flatMap(({ inference, firstRow, rows }) => {
    const pieces: Piece[] = [];
    for (let first = 0; first < rows; first += CHUNK_ROWS_MAX) {
      const count = Math.min(CHUNK_ROWS_MAX, rows - first);
      pieces.push({ inference, batchRow: firstRow + first, count, first });
    }
    return pieces;
  });
}

function groupsOf(pieces: readonly Piece[]): Piece[][] {
  const groups: Piece[][] = [];
  let rows = 0;
  for (const piece of pieces) {
    const group = groups.at(-1);
    if (group === undefined || rows + piece.count > CHUNK_ROWS_MAX) {
      groups.push([piece]);
      rows = piece.count;
    } else {
      group.push(piece);
      rows += piece.count;
    }
  }
  return groups;
}

type Encoded = Pick<BuiltChunk, "pieces" | "rows" | "data">;

/** Halves a group until each part fits. */
function split(source: Source, pieces: readonly Piece[]): Encoded[] {
  const encoded = rowsOf(source, pieces);
  if (encoded.data.length <= CHUNK_BYTES_MAX || encoded.rows.rows === 1) {
    return [encoded];
  }
  const only = pieces[0]!;
  const halves = pieces.length > 1 ? inTwo(pieces) : halvesOf(only);
  return halves.flatMap((half) => split(source, half));
}

function inTwo(pieces: readonly Piece[]): (readonly Piece[])[] {
  const middle = pieces.length >>> 1;
  return [pieces.slice(0, middle), pieces.slice(middle)];
}

function halvesOf(piece: Piece): (readonly Piece[])[] {
  const count = piece.count >>> 1;
  const { batchRow, first } = piece;
  const rest = { batchRow: batchRow + count, first: first + count, count: piece.count - count };
  return [[{ ...piece, count }], [{ ...piece, ...rest }]];
}

function rowsOf({ batch, plan, reader }: Source, pieces: readonly Piece[]): Encoded {
  const batchRows = pieces.flatMap(({ batchRow, count }) => {
    return Array.from({ length: count }, (_, at) => batchRow + at);
  });
  const rows: ChunkRows = {
    rows: batchRows.length,
    inferenceRows: pieces.map(({ count }) => count),
    predicted: predictedOf(reader, batchRows),
    segments: plan.task.segmentColumns.flatMap((name) => segmentOf(batch, name, batchRows)),
    keys: keysOf(batch, batchRows),
  };
  return { pieces, rows, data: encodeRows(rows) };
}

function predictedOf(reader: Reader, batchRows: readonly number[]): Predicted {
  if (reader.task === "regression") {
    return {
      task: "regression",
      values: Float64Array.from(batchRows, (row) => reader.valueAt(row)),
    };
  }
  const classes = reader.scored.map(classKey);
  const table = new TextTable(classes);
  // Two classes of one name cannot be told apart; neither can their scores.
  const scored = new Set(classes).size === classes.length ? classes.length : 0;
  const codes = Uint16Array.from(batchRows, (row) => {
    const text = reader.classAt(row);
    return text === undefined ? NONE : table.place(classKey(text));
  });
  const scores = new Float32Array(batchRows.length * scored);
  for (const [at, row] of batchRows.entries()) {
    for (let place = 0; place < scored; place++) {
      scores[at * scored + place] = reader.scoreAt(row, place);
    }
  }
  return { task: "classification", classes: table.texts(), codes, scored, scores };
}

/** A column of truth values is one of the texts "false" and "true". */
function segmentOf(
  { columns }: DecodedBatch,
  name: string,
  batchRows: readonly number[],
): (TextColumn | NumberColumn)[] {
  const column = columns.get(name);
  switch (column?.kind) {
    case "numeric":
    case "timestamp": {
      const values = Float64Array.from(batchRows, (row) => {
        return isNull(column.nulls, row) ? Number.NaN : column.values[row]!;
      });
      return [{ kind: "numbers", name, values }];
    }
    case "category":
    case "bool": {
      return [textColumn(name, batchRows, (row) => segmentTextAt(column, row))];
    }
    case "counted":
    case undefined:
      return [];
  }
}

function keysOf({ entityKeys }: DecodedBatch, batchRows: readonly number[]): TextColumn[] {
  return entityKeys.slice(0, JOIN_KEYS_MAX).map(({ joinKey, values }) => {
    return textColumn(keptKeyText(joinKey), batchRows, (row) => {
      const value = values[row] ?? "";
      return value === "" ? undefined : keptKeyText(value);
    });
  });
}

function textColumn(
  name: string,
  batchRows: readonly number[],
  textAt: (row: number) => string | undefined,
): TextColumn {
  const table = new TextTable();
  const codes = Uint16Array.from(batchRows, (row) => {
    const text = textAt(row);
    return text === undefined ? NONE : table.place(text);
  });
  return { kind: "texts", name, texts: table.texts(), codes };
}
