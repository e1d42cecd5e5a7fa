// The columns that a captured batch has: features by their names, outputs as `prediction.*`, and
// the predicted class, which is what the predictions of the inference service call the label.

import type { ColumnBatch } from "../sketch/column-batch.ts";
import { check, shown } from "./batch-faults.ts";
import {
  boolColumns,
  type CheckedTensor,
  integerTexts,
  numberColumns,
  textColumns,
} from "./tensor-values.ts";

const PREDICTION = "prediction.";
/** Before features whose names would pass for predictions. */
const INPUT = "input.";
const LABEL = "prediction.label";
/** Classes whose scores are columns; of more the output is only counted. */
const SCORES_MAX = 64;
/** In UTF-8; what a layout takes. */
const NAME_BYTES_MAX = 512;

/** A column before its values are read. */
interface NamedColumn {
  readonly name: string;
  readonly tensor: CheckedTensor;
  /** Which value of a row; undefined: all of them are only counted. */
  readonly place: number | undefined;
}

/**
 * The columns by name, inputs first.
 * @throws InvalidArgument where there are too many, or a name comes twice or is too long.
 */
export function columnsOf(
  tensors: {
    readonly inputs: readonly CheckedTensor[];
    readonly outputs: readonly CheckedTensor[];
  },
  options: {
    readonly classLabels: readonly string[];
    readonly columnsMax: number;
    readonly rows: number;
  },
): ReadonlyMap<string, ColumnBatch> {
  const { classLabels, columnsMax } = options;
  const { inputs, outputs } = tensors;
  const all = [...inputs, ...outputs];
  const values = all.reduce((sum, { columns }) => sum + Math.max(columns.length, 1), 0);
  check(values <= columnsMax, "inputs and outputs", () => tooMany(values, columnsMax));
  const label = classLabels.length === 0 ? undefined : labelColumn(outputs, classLabels);
  const named = [
    ...inputs.flatMap(inputColumns),
    ...outputs
      .flatMap((tensor) => outputColumns(tensor, classLabels))
      .filter(({ name }) => label === undefined || name !== LABEL),
  ];
  const count = named.length + (label === undefined ? 0 : 1);
  check(count <= columnsMax, "inputs and outputs", () => tooMany(count, columnsMax));
  const columns = new Map<string, ColumnBatch>();
  const read = new Map<CheckedTensor, readonly ColumnBatch[]>();
  for (const { name, tensor, place } of named) {
    checkName(name, columns);
    columns.set(name, place === undefined ? counted(tensor) : valuesOf(read, tensor)[place]!);
  }
  if (label !== undefined) {
    columns.set(LABEL, label);
  }
  return columns;
}

function tooMany(columns: number, columnsMax: number): string {
  return `have ${columns} columns; at most ${columnsMax} are counted`;
}

function checkName(name: string, before: ReadonlyMap<string, unknown>): void {
  const fits = name !== "" && Buffer.byteLength(name) <= NAME_BYTES_MAX;
  check(fits, "inputs and outputs", () => {
    return `have a column ${shown(name)}; names have 1 to ${NAME_BYTES_MAX} bytes`;
  });
  check(!before.has(name), "inputs and outputs", () => `have the column ${shown(name)} twice`);
}

function inputColumns(tensor: CheckedTensor): readonly NamedColumn[] {
  const named = (name: string) => (name.startsWith(PREDICTION) ? `${INPUT}${name}` : name);
  if (tensor.columns.length > 0) {
    return tensor.columns.map((name, place) => ({ name: named(name), tensor, place }));
  }
  const place = tensor.perRow === 1 ? 0 : undefined;
  return [{ name: named(tensor.name), tensor, place }];
}

function outputColumns(
  tensor: CheckedTensor,
  classLabels: readonly string[],
): readonly NamedColumn[] {
  const name = `${PREDICTION}${tensor.name}`;
  if (tensor.columns.length > 1) {
    return tensor.columns.map((column, place) => ({ name: `${name}.${column}`, tensor, place }));
  }
  if (tensor.perRow === 1) {
    return [{ name, tensor, place: 0 }];
  }
  const different = new Set(classLabels).size === classLabels.length;
  if (tensor.perRow === classLabels.length && tensor.perRow <= SCORES_MAX && different) {
    return classLabels.map((label, place) => ({ name: `${name}.${label}`, tensor, place }));
  }
  return [{ name, tensor, place: undefined }];
}

function counted({ rows }: CheckedTensor): ColumnBatch {
  return { kind: "counted", rows };
}

/** The columns of a tensor, read when the first of them is asked for. */
function valuesOf(
  read: Map<CheckedTensor, readonly ColumnBatch[]>,
  tensor: CheckedTensor,
): readonly ColumnBatch[] {
  let columns = read.get(tensor);
  if (columns === undefined) {
    columns = readColumns(tensor);
    read.set(tensor, columns);
  }
  return columns;
}

function readColumns(tensor: CheckedTensor): readonly ColumnBatch[] {
  switch (tensor.datatype) {
    case "BYTES":
      return textColumns(tensor).map((values) => ({ kind: "category", values }));
    case "BOOL":
      return boolColumns(tensor).map((values) => ({ kind: "bool", values }));
    default:
      return numberColumns(tensor).map((values) => ({ kind: "numeric", values }));
  }
}

/**
 * The predicted class of each row: what an output of one integer or text a row says, else the class
 * of the highest score; no value where all scores are NaN. Undefined: the outputs do not say.
 */
function labelColumn(
  outputs: readonly CheckedTensor[],
  classLabels: readonly string[],
): ColumnBatch | undefined {
  const own = outputs.find(
    ({ perRow, datatype }) => perRow === 1 && !isFloat(datatype) && datatype !== "BOOL",
  );
  if (own !== undefined) {
    return { kind: "category", values: ownLabels(own, classLabels) };
  }
  const scores = outputs.find(
    ({ perRow, datatype }) => perRow === classLabels.length && isFloat(datatype),
  );
  return scores && bestLabels(scores, classLabels);
}

function ownLabels(tensor: CheckedTensor, classLabels: readonly string[]): readonly string[] {
  if (tensor.datatype === "BYTES") {
    return textColumns(tensor)[0]!;
  }
  const known = new Set(classLabels);
  return integerTexts(tensor).map((text) => {
    return known.has(text) ? text : (classLabels[Number(text)] ?? text);
  });
}

function bestLabels(scores: CheckedTensor, classLabels: readonly string[]): ColumnBatch {
  const columns = numberColumns(scores);
  const values = new Array<string>(scores.rows);
  let nulls: Uint8Array | undefined;
  for (let row = 0; row < scores.rows; row++) {
    let best = -1;
    for (let place = 0; place < columns.length; place++) {
      const score = columns[place]![row]!;
      if (!Number.isNaN(score) && (best < 0 || score > columns[best]![row]!)) {
        best = place;
      }
    }
    values[row] = classLabels[best] ?? "";
    if (best < 0) {
      nulls ??= new Uint8Array(Math.ceil(scores.rows / 8));
      nulls[row >>> 3]! |= 1 << (row & 7);
    }
  }
  return { kind: "category", values, nulls };
}

function isFloat(datatype: string): boolean {
  return datatype.startsWith("FP");
}
