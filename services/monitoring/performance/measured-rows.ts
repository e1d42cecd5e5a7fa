// The rows of several windows as one, in the terms of the model: its classes, its positive class,
// the score from which on it says so.

import type { TaskSettings } from "../monitors/monitor-settings.ts";
import { NONE, type NumberColumn, type TextColumn, TextTable } from "./chunk-rows.ts";
import { classKey } from "./class-key.ts";
import { type ClassRows, NO_CLASS, UNKNOWN_CLASS } from "./metrics/class-rows.ts";
import type { ClassColumns, WindowRows } from "./window-rows.ts";

/** The threshold that a class of the model's own stands for. */
const OWN_THRESHOLD = 0.5;

/** Rows of a classifier or of a regression, and where each window's rows begin. */
export type MeasuredRows =
  | (Measured & {
      readonly task: "classification";
      readonly model: ModelClasses;
      readonly rows: ClassRows;
    })
  | (Measured & {
      readonly task: "regression";
      readonly predicted: Float64Array;
      readonly labels: Float64Array;
    });

interface Measured {
  readonly count: number;
  readonly windows: readonly WindowPlace[];
}

/** A window's rows among all. */
export interface WindowPlace {
  readonly window: WindowRows;
  readonly first: number;
}

/** What a model can say. */
export interface ModelClasses {
  /** In the order of the confusion matrix. */
  readonly classes: readonly string[];
  /** Place of the positive one, where there are two. */
  readonly positive: number | undefined;
}

/**
 * Puts windows together, in order of time; those of another task than the last one are left out.
 */
export function measuredRows(
  windows: readonly WindowRows[],
  model: { readonly classLabels: readonly string[]; readonly task: TaskSettings },
): MeasuredRows | undefined {
  const last = windows.at(-1);
  if (last === undefined) {
    return undefined;
  }
  const task = last.columns.task;
  let count = 0;
  const places: WindowPlace[] = [];
  for (const window of windows) {
    if (window.columns.task === task) {
      places.push({ window, first: count });
      count += window.rows;
    }
  }
  return task === "classification" ? classRows(places, count, model) : numberRows(places, count);
}

function numberRows(places: readonly WindowPlace[], count: number): MeasuredRows {
  const predicted = new Float64Array(count);
  const labels = new Float64Array(count);
  for (const { window, first } of places) {
    if (window.columns.task === "regression") {
      predicted.set(window.columns.predicted, first);
      labels.set(window.columns.labels, first);
    }
  }
  return { task: "regression", count, windows: places, predicted, labels };
}

function classRows(
  places: readonly WindowPlace[],
  count: number,
  { classLabels, task }: { readonly classLabels: readonly string[]; readonly task: TaskSettings },
): MeasuredRows {
  const columns = places.map(({ window }) => window.columns as ClassColumns);
  const own = ownClasses(columns, classLabels.map(classKey));
  const classes = allClasses(columns, own);
  const model = own.length > 0 ? own : classes;
  const positive = model.length === 2 ? positiveOf(model, task.positiveClass) : undefined;
  const scored = columns.some((column) => fits(column, own)) ? own.length : 0;
  const rows = {
    rows: count,
    predicted: new Uint16Array(count),
    labels: new Uint16Array(count),
    classes: classes.length,
    positive,
    scored,
    scores: new Float32Array(count * scored).fill(Number.NaN),
  };
  const table = new TextTable(classes);
  for (const [at, { first }] of places.entries()) {
    fill(rows, first, { column: columns[at]!, table, own });
  }
  applyThreshold(rows, task.scoreThreshold);
  return { task: "classification", count, windows: places, model: { classes, positive }, rows };
}

/** The version's class labels, else those that scores are of; empty: any text may be a class. */
function ownClasses(columns: readonly ClassColumns[], labels: readonly string[]) {
  const scored = columns.findLast((column) => column.scored > 0);
  return labels.length > 0 ? labels : (scored?.classes.slice(0, scored.scored) ?? []);
}

/** The model's own, then what was predicted besides; of an unknown model all that occurs. */
function allClasses(columns: readonly ClassColumns[], own: readonly string[]): readonly string[] {
  const others = new Set<string>();
  for (const { classes, predicted, labels } of columns) {
    const seen = new Uint8Array(classes.length);
    for (const codes of own.length === 0 ? [predicted, labels] : [predicted]) {
      for (const code of codes) {
        if (code !== NONE) {
          seen[code] = 1;
        }
      }
    }
    for (const [code, text] of classes.entries()) {
      if (seen[code] === 1 && !own.includes(text)) {
        others.add(text);
      }
    }
  }
  return [...own, ...[...others].sort((a, b) => (a < b ? -1 : 1))];
}

function positiveOf(classes: readonly string[], positiveClass: string): number {
  const place = classes.indexOf(classKey(positiveClass));
  return place < 0 ? 1 : place;
}

function fits(column: ClassColumns, own: readonly string[]): boolean {
  return column.scored === own.length && own.every((text, at) => text === column.classes[at]);
}

function fill(
  rows: ClassRows,
  first: number,
  of: { readonly column: ClassColumns; readonly table: TextTable; readonly own: readonly string[] },
): void {
  const { column } = of;
  const places = column.classes.map((text) => of.table.find(text));
  for (const [row, code] of column.predicted.entries()) {
    rows.predicted[first + row] = code === NONE ? NO_CLASS : (places[code] ?? NO_CLASS);
  }
  for (const [row, code] of column.labels.entries()) {
    rows.labels[first + row] = code === NONE ? NO_CLASS : (places[code] ?? UNKNOWN_CLASS);
  }
  if (rows.scored > 0 && fits(column, of.own)) {
    rows.scores.set(column.scores, first * rows.scored);
  }
}

/** Of two classes with scores another threshold than the model's own says what was predicted. */
function applyThreshold(
  { rows, predicted, positive, scored, scores }: ClassRows,
  threshold: number,
) {
  if (threshold === OWN_THRESHOLD || positive === undefined || scored !== 2) {
    return;
  }
  for (let row = 0; row < rows; row++) {
    const score = scores[row * scored + positive]!;
    if (!Number.isNaN(score)) {
      predicted[row] = score >= threshold ? positive : 1 - positive;
    }
  }
}

/** A segment column of all windows together; rows of windows that lack it have no value. */
export function segmentOfAll(
  { windows, count }: MeasuredRows,
  name: string,
): TextColumn | NumberColumn | undefined {
  const found = windows.map(({ window }) => window.segments.find((column) => column.name === name));
  const kind = found.findLast((column) => column !== undefined)?.kind;
  if (kind === undefined) {
    return undefined;
  }
  const values = new Float64Array(kind === "numbers" ? count : 0).fill(Number.NaN);
  const codes = new Uint16Array(kind === "texts" ? count : 0).fill(NONE);
  const table = new TextTable();
  for (const [at, { first }] of windows.entries()) {
    const column = found[at];
    if (column?.kind === "numbers" && kind === "numbers") {
      values.set(column.values, first);
    } else if (column?.kind === "texts" && kind === "texts") {
      const places = column.texts.map((text) => table.place(text));
      for (const [row, code] of column.codes.entries()) {
        codes[first + row] = places[code] ?? NONE;
      }
    }
  }
  return kind === "numbers" ? { kind, name, values } : { kind, name, texts: table.texts(), codes };
}
