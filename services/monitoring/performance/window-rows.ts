// The kept predictions of one window as they are measured: the rows of all its chunks in one array
// a column. Rows that were erased are left out.

import { decodeLabels, decodeRows } from "./chunk-codec.ts";
import {
  type ChunkLabels,
  type ChunkRows,
  NONE,
  type NumberColumn,
  noLabels,
  type Task,
  type TextColumn,
  TextTable,
} from "./chunk-rows.ts";
import type { ChunkRecord } from "./prediction-collections.ts";

/** Classes, and labels by their places in `classes`; NONE: none. */
export interface ClassColumns {
  readonly task: "classification";
  /** The model's own first, which scores are of; then others that were predicted or right. */
  readonly classes: readonly string[];
  readonly predicted: Uint16Array;
  readonly labels: Uint16Array;
  readonly scored: number;
  readonly scores: Float32Array;
}

/** Numbers; NaN: none. */
export interface NumberColumns {
  readonly task: "regression";
  readonly predicted: Float64Array;
  readonly labels: Float64Array;
}

/** One window of one target. */
export interface WindowRows {
  readonly startUs: number;
  readonly endUs: number;
  readonly rows: number;
  readonly labelled: number;
  readonly notKept: number;
  readonly columns: ClassColumns | NumberColumns;
  readonly segments: readonly (TextColumn | NumberColumn)[];
  /** About; of all arrays. */
  readonly bytes: number;
}

/** A chunk, decoded. */
export interface DecodedChunk {
  readonly record: ChunkRecord;
  readonly rows: ChunkRows;
  readonly labels: ChunkLabels;
  /** Rows that were not erased. */
  readonly kept: Uint32Array;
}

/** @throws DataLoss */
export function decodeChunk(record: ChunkRecord): DecodedChunk {
  const rows = decodeRows(record.data);
  const { predicted, erased } = rows;
  const classes = predicted.task === "classification" ? predicted.classes.length : 0;
  const labels =
    record.labels.length === 0
      ? noLabels(predicted.task, rows.rows)
      : decodeLabels(record.labels, { rows: rows.rows, classes });
  const kept = Uint32Array.from({ length: rows.rows }, (_, row) => row);
  return {
    record,
    rows,
    labels,
    kept: erased === undefined ? kept : kept.filter((row) => erased[row] !== 1),
  };
}

/**
 * The rows of all chunks of a window. Chunks of another task than the last one's (the monitor has
 * been changed) are left out. At least one chunk.
 */
export function windowRows(chunks: readonly DecodedChunk[]): WindowRows {
  const last = chunks.at(-1)!;
  const { startUs, endUs, task } = last.record;
  const alike = chunks.filter(({ record }) => record.task === task);
  const rows = alike.reduce((sum, { kept }) => sum + kept.length, 0);
  const columns = task === "classification" ? classColumns(alike, rows) : numbers(alike, rows);
  const segments = segmentNames(alike).map((name) => segmentColumn(alike, name, rows));
  return {
    startUs,
    endUs,
    rows,
    labelled: labelledOf(columns),
    notKept: alike.reduce((sum, { record }) => sum + record.notKept, 0),
    columns,
    segments,
    bytes: bytesOf(columns, segments),
  };
}

function numbers(chunks: readonly DecodedChunk[], rows: number): NumberColumns {
  const predicted = new Float64Array(rows);
  const labels = new Float64Array(rows);
  let at = 0;
  for (const chunk of chunks) {
    if (chunk.rows.predicted.task !== "regression" || chunk.labels.task !== "regression") {
      continue;
    }
    for (const row of chunk.kept) {
      predicted[at] = chunk.rows.predicted.values[row]!;
      labels[at++] = chunk.labels.values[row]!;
    }
  }
  return { task: "regression" satisfies Task, predicted, labels };
}

function classColumns(chunks: readonly DecodedChunk[], rows: number): ClassColumns {
  const scoredClasses = scoredClassesOf(chunks);
  const scored = scoredClasses.length;
  const table = new TextTable(scoredClasses);
  const predicted = new Uint16Array(rows);
  const labels = new Uint16Array(rows);
  const scores = new Float32Array(rows * scored).fill(Number.NaN);
  let at = 0;
  for (const chunk of chunks) {
    const guess = chunk.rows.predicted;
    if (guess.task !== "classification" || chunk.labels.task !== "classification") {
      continue;
    }
    const places = [...guess.classes, ...chunk.labels.others].map((text) => table.place(text));
    const hasScores = isSame(guess.classes.slice(0, guess.scored), scoredClasses);
    for (const row of chunk.kept) {
      predicted[at] = places[guess.codes[row]!] ?? NONE;
      labels[at] = places[chunk.labels.codes[row]!] ?? NONE;
      for (let place = 0; hasScores && place < scored; place++) {
        scores[at * scored + place] = guess.scores[row * scored + place]!;
      }
      at += 1;
    }
  }
  return { task: "classification", classes: table.texts(), predicted, labels, scored, scores };
}

/** Those of the last chunk that has some. */
function scoredClassesOf(chunks: readonly DecodedChunk[]): readonly string[] {
  const last = chunks.findLast(({ rows: { predicted } }) => {
    return predicted.task === "classification" && predicted.scored > 0;
  })?.rows.predicted;
  return last?.task === "classification" ? last.classes.slice(0, last.scored) : [];
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, at) => text === b[at]);
}

function segmentNames(chunks: readonly DecodedChunk[]): string[] {
  return [...new Set(chunks.flatMap(({ rows }) => rows.segments.map(({ name }) => name)))];
}

/** A column that was of another kind in some chunks has no values there. */
function segmentColumn(
  chunks: readonly DecodedChunk[],
  name: string,
  rows: number,
): TextColumn | NumberColumn {
  const found = chunks.map((chunk) => chunk.rows.segments.find((column) => column.name === name));
  const kind = found.findLast((column) => column !== undefined)?.kind ?? "texts";
  const values = new Float64Array(kind === "numbers" ? rows : 0).fill(Number.NaN);
  const codes = new Uint16Array(kind === "texts" ? rows : 0).fill(NONE);
  const table = new TextTable();
  let at = 0;
  for (const [index, { kept }] of chunks.entries()) {
    const column = found[index];
    if (column?.kind === "numbers" && kind === "numbers") {
      kept.forEach((row, place) => {
        values[at + place] = column.values[row]!;
      });
    } else if (column?.kind === "texts" && kind === "texts") {
      const places = column.texts.map((text) => table.place(text));
      kept.forEach((row, place) => {
        codes[at + place] = places[column.codes[row]!] ?? NONE;
      });
    }
    at += kept.length;
  }
  return kind === "numbers" ? { kind, name, values } : { kind, name, texts: table.texts(), codes };
}

function labelledOf(columns: ClassColumns | NumberColumns): number {
  let count = 0;
  if (columns.task === "classification") {
    for (const code of columns.labels) {
      count += code === NONE ? 0 : 1;
    }
  } else {
    for (const value of columns.labels) {
      count += Number.isNaN(value) ? 0 : 1;
    }
  }
  return count;
}

function bytesOf(
  columns: ClassColumns | NumberColumns,
  segments: readonly (TextColumn | NumberColumn)[],
): number {
  const { predicted, labels } = columns;
  const scores = columns.task === "classification" ? columns.scores.byteLength : 0;
  const rest = segments.reduce((sum, column) => {
    const { byteLength } = column.kind === "numbers" ? column.values : column.codes;
    return sum + byteLength;
  }, 0);
  return predicted.byteLength + labels.byteLength + scores + rest;
}
