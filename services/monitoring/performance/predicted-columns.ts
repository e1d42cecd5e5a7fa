// Which columns of a captured batch are the prediction: the class and its scores, or a number.
// Names are those of DecodedBatch.columns; what the model predicts is found out as TaskOptions
// says.

import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { TaskSettings } from "../monitors/monitor-settings.ts";
import { categoryKey } from "../sketch/category-key.ts";
import { type ColumnBatch, isNull } from "../sketch/column-batch.ts";
import type { Task } from "./chunk-rows.ts";

const PREFIX = "prediction.";
const LABEL = "prediction.label";
/** Classes whose scores are kept; of more only the predicted class is. */
const SCORED_CLASSES_MAX = 256;
/** Of a single score: the class that it is not of, and the one it is of. */
const TRUTH_CLASSES = ["0", "1"] as const;
/** From here on a single score says the positive class. */
const SCORE_THRESHOLD = 0.5;

type NumericBatch = Extract<ColumnBatch, { readonly values: Float64Array }>;
type Columns = DecodedBatch["columns"];

/** Reads the predicted class of a row, and its scores. */
export interface ClassReader {
  readonly task: "classification";
  /** Classes that have scores, in their order. */
  readonly scored: readonly string[];
  /** Undefined: the row has none. */
  classAt(row: number): string | undefined;
  /** NaN: the row has none. */
  scoreAt(row: number, place: number): number;
}

/** Reads the predicted number of a row; NaN: it has none. */
export interface NumberReader {
  readonly task: "regression";
  valueAt(row: number): number;
}

/** The prediction of each row; undefined where the batch has no column that could be one. */
export function predictedColumns(
  batch: Pick<DecodedBatch, "columns" | "classLabels">,
  task: TaskSettings,
): ClassReader | NumberReader | undefined {
  return taskOf(batch, task) === "classification"
    ? classReader(batch, task)
    : numberReader(batch.columns, task.output);
}

function taskOf(
  { columns, classLabels }: Pick<DecodedBatch, "columns" | "classLabels">,
  settings: TaskSettings,
): Task {
  if (settings.type !== undefined) {
    return settings.type;
  }
  const first = firstOutput(columns);
  const isClass = first?.kind === "category" || first?.kind === "bool";
  return classLabels.length > 0 || isClass ? "classification" : "regression";
}

function numberReader(columns: Columns, output: string): NumberReader | undefined {
  const found = numericOutput(columns, output);
  return found && { task: "regression", valueAt: (row) => numberAt(found, row) };
}

function classReader(
  { columns, classLabels }: Pick<DecodedBatch, "columns" | "classLabels">,
  task: TaskSettings,
): ClassReader | undefined {
  const scores = scoresOf(columns, classLabels, task);
  const texts = classColumn(columns, { classLabels, output: task.output });
  if (scores === undefined && texts === undefined) {
    return undefined;
  }
  return {
    task: "classification",
    scored: scores?.classes ?? [],
    classAt: (row) => (texts === undefined ? scores?.bestAt(row) : texts(row)),
    scoreAt: (row, place) => scores?.scoreAt(row, place) ?? Number.NaN,
  };
}

interface Scores {
  readonly classes: readonly string[];
  scoreAt(row: number, place: number): number;
  bestAt(row: number): string | undefined;
}

/** One column a class, or one column that is the positive class's of two. */
function scoresOf(
  columns: Columns,
  classLabels: readonly string[],
  task: TaskSettings,
): Scores | undefined {
  const several = scoreColumns(columns, classLabels, task.output);
  if (several !== undefined) {
    const scoreAt = (row: number, place: number) => numberAt(several[place]!, row);
    return {
      classes: classLabels,
      scoreAt,
      bestAt: (row) => classLabels[bestOf(several.map((column) => numberAt(column, row)))],
    };
  }
  const single = singleScore(columns, classLabels, task.output);
  if (single === undefined) {
    return undefined;
  }
  const classes = classLabels.length === 2 ? classLabels : TRUTH_CLASSES;
  const positive = classes.includes(task.positiveClass) ? classes.indexOf(task.positiveClass) : 1;
  return {
    classes,
    scoreAt: (row, place) => {
      const score = numberAt(single, row);
      return place === positive ? score : 1 - score;
    },
    bestAt: (row) => {
      const score = numberAt(single, row);
      const place = score >= SCORE_THRESHOLD ? positive : 1 - positive;
      return Number.isNaN(score) ? undefined : classes[place];
    },
  };
}

function scoreColumns(
  columns: Columns,
  classLabels: readonly string[],
  output: string,
): NumericBatch[] | undefined {
  if (classLabels.length === 0 || classLabels.length > SCORED_CLASSES_MAX) {
    return undefined;
  }
  const ending = `.${classLabels[0]}`;
  const outputs =
    output === ""
      ? [...columns.keys()]
          .filter((name) => name.startsWith(PREFIX) && name.endsWith(ending))
          .map((name) => name.slice(PREFIX.length, -ending.length))
      : [output];
  for (const name of outputs) {
    const found = classLabels.map((label) => columns.get(`${PREFIX}${name}.${label}`));
    if (found.every((column) => column?.kind === "numeric")) {
      return found as NumericBatch[];
    }
  }
  return undefined;
}

/** An output that is named is the score; else it must be one that cannot be a class's number. */
function singleScore(
  columns: Columns,
  classLabels: readonly string[],
  output: string,
): NumericBatch | undefined {
  if (classLabels.length !== 0 && classLabels.length !== 2) {
    return undefined;
  }
  if (output !== "") {
    const named = columns.get(PREFIX + output);
    return named?.kind === "numeric" ? named : undefined;
  }
  const first = columns.has(LABEL) ? undefined : numericOutput(columns, "");
  const isScore = first !== undefined && (classLabels.length === 2 || !isWhole(first));
  return isScore ? first : undefined;
}

/** The column that names the class itself. */
function classColumn(
  columns: Columns,
  { classLabels, output }: { readonly classLabels: readonly string[]; readonly output: string },
): ((row: number) => string | undefined) | undefined {
  const named = output === "" ? firstOutput(columns) : columns.get(PREFIX + output);
  const column = columns.get(LABEL) ?? named;
  switch (column?.kind) {
    case "category":
      return (row) => (isNull(column.nulls, row) ? undefined : column.values[row]);
    case "bool":
      return (row) => (isNull(column.nulls, row) ? undefined : String(column.values[row] !== 0));
    case "numeric": {
      const isCode = columns.has(LABEL) || (classLabels.length === 0 && output === "");
      return isCode && isWhole(column)
        ? (row) => classOf(numberAt(column, row), classLabels)
        : undefined;
    }
    case "timestamp":
    case "counted":
    case undefined:
      return undefined;
  }
}

/** The label of that text, else the place in the list; as the inference service reads it. */
function classOf(value: number, classLabels: readonly string[]): string | undefined {
  if (Number.isNaN(value)) {
    return undefined;
  }
  const text = String(value);
  return classLabels.includes(text) ? text : (classLabels[value] ?? text);
}

/** Whether no row has a fraction. */
function isWhole(column: NumericBatch): boolean {
  return column.values.every((_, row) => {
    const value = numberAt(column, row);
    return Number.isNaN(value) || Number.isInteger(value);
  });
}

function firstOutput(columns: Columns): ColumnBatch | undefined {
  return [...columns].find(([name]) => name.startsWith(PREFIX))?.[1];
}

function numericOutput(columns: Columns, output: string): NumericBatch | undefined {
  if (output !== "") {
    const exact = columns.get(PREFIX + output);
    if (exact?.kind === "numeric") {
      return exact;
    }
  }
  const prefix = output === "" ? PREFIX : `${PREFIX}${output}.`;
  const found = [...columns].find(([name, { kind }]) => {
    return name.startsWith(prefix) && kind === "numeric";
  });
  return found?.[1] as NumericBatch | undefined;
}

function numberAt(column: NumericBatch, row: number): number {
  return isNull(column.nulls, row) ? Number.NaN : column.values[row]!;
}

/** The place of the first of the largest, NaN left out; -1 where all are NaN. */
function bestOf(values: readonly number[]): number {
  let best = -1;
  for (const [place, value] of values.entries()) {
    if (!Number.isNaN(value) && (best < 0 || value > values[best]!)) {
      best = place;
    }
  }
  return best;
}

/** A category, as chunks keep it; undefined: the row has none. */
export function segmentTextAt(column: ColumnBatch, row: number): string | undefined {
  if (isNull(column.nulls, row)) {
    return undefined;
  }
  if (column.kind === "category") {
    return categoryKey(column.values[row]!);
  }
  return column.kind === "bool" ? String(column.values[row] !== 0) : undefined;
}
