// What a model gave, row by row, for people: nested lists by output name, the predicted class and
// the score of each class where the version has class labels.

import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { PredictionSchema } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { elementCount } from "../protocol/check-shape.ts";
import { readNumber, shortestNumber, viewOf } from "../protocol/numbers.ts";
import type { Tensor } from "../tensor.ts";
import { type Element, elementToJson } from "./json-values.ts";

/** The answer for one row. */
export type Prediction = MessageInitShape<typeof PredictionSchema>;

/** A tensor, one row at a time. */
interface RowReader {
  readonly tensor: Tensor;
  /** Shape of one row. */
  readonly shape: readonly number[];
  readonly perRow: number;
  element(index: number): Element;
}

export interface PredictionOptions {
  readonly rows: number;
  /** Whether dimension 0 of the outputs counts rows. */
  readonly batched: boolean;
  readonly classLabels: readonly string[];
  /** Names of the outputs to be shown; class and scores are taken from all. */
  readonly shown: ReadonlySet<string>;
}

/** One prediction a row. */
export function predictionsFrom(
  outputs: readonly Tensor[],
  { rows, batched, classLabels, shown }: PredictionOptions,
): Prediction[] {
  const readers = outputs.map((tensor) => rowReader(tensor, batched));
  const labels = classLabels.length === 0 ? undefined : labelReader(readers);
  const scores = readers.find((r) => isFloat(r.tensor) && r.perRow === classLabels.length);
  const predictions: Prediction[] = [];
  for (let row = 0; row < rows; row++) {
    const prediction: Prediction = { outputs: rowOutputs(readers, row, shown) };
    if (classLabels.length > 0 && scores !== undefined) {
      const values = classLabels.map((_, i) => Number(scores.element(row * scores.perRow + i)));
      prediction.scores = Object.fromEntries(classLabels.map((label, i) => [label, values[i]!]));
      prediction.label = classLabels[indexOfMax(values)] ?? "";
    }
    if (labels !== undefined) {
      prediction.label = labelOf(labels.element(row), classLabels);
    }
    predictions.push(prediction);
  }
  return predictions;
}

function rowReader(tensor: Tensor, batched: boolean): RowReader {
  const shape = batched ? tensor.shape.slice(1) : tensor.shape;
  const perRow = elementCount(shape) ?? 0;
  if (tensor.datatype === "BYTES") {
    return { tensor, shape, perRow, element: (index) => tensor.data[index] ?? "" };
  }
  const { datatype, data } = tensor;
  if (datatype === "BOOL") {
    return { tensor, shape, perRow, element: (index) => data[index] === 1 };
  }
  const view = viewOf(data);
  const element = (index: number): Element => {
    const value = readNumber(view, datatype, index);
    return typeof value === "number" ? shortestNumber(value, datatype) : value;
  };
  return { tensor, shape, perRow, element };
}

function rowOutputs(
  readers: readonly RowReader[],
  row: number,
  shown: ReadonlySet<string>,
): JsonObject {
  return Object.fromEntries(
    readers
      .filter(({ tensor }) => shown.has(tensor.name))
      .map((reader) => [reader.tensor.name, nest(reader, reader.shape, row * reader.perRow)]),
  );
}

/** The elements from `first` on as nested lists of a shape. */
function nest(reader: RowReader, shape: readonly number[], first: number): JsonValue {
  if (shape.length === 0) {
    return elementToJson(reader.element(first));
  }
  const inner = shape.slice(1);
  const size = elementCount(inner) ?? 0;
  return Array.from({ length: shape[0] ?? 0 }, (_, i) => nest(reader, inner, first + i * size));
}

function isFloat(tensor: Tensor): boolean {
  return tensor.datatype.startsWith("FP");
}

/** The output that names the class itself: one integer or string a row. */
function labelReader(readers: readonly RowReader[]): RowReader | undefined {
  return readers.find(
    ({ tensor, perRow }) => perRow === 1 && !isFloat(tensor) && tensor.datatype !== "BOOL",
  );
}

/** Text is the label; a number is the label of that text, else the place in the list. */
function labelOf(element: Element, classLabels: readonly string[]): string {
  const text = String(element);
  if (typeof element === "string" || classLabels.includes(text)) {
    return text;
  }
  return classLabels[Number(element)] ?? text;
}

/** The first of the largest, NaN left out; -1 where all are NaN. */
function indexOfMax(values: readonly number[]): number {
  let best = -1;
  for (const [index, value] of values.entries()) {
    if (!Number.isNaN(value) && (best < 0 || value > values[best]!)) {
      best = index;
    }
  }
  return best;
}
