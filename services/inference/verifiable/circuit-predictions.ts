// What a circuit gives for a row, as predictions are shown. Nothing here comes of the float model.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ProvedOutput } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { elementToJson } from "../predict/json-values.ts";
import type { Prediction } from "../predict/predictions.ts";

/** What is shown of it. */
export interface ShownOptions {
  readonly classLabels: readonly string[];
  /** Names of the outputs to be shown; class and scores are shown in any case. */
  readonly shown: ReadonlySet<string>;
}

/** The prediction that is proved. Values stand as the model gives them, its last function applied. */
export function circuitPrediction(
  output: ProvedOutput,
  { classLabels, shown }: ShownOptions,
): Pick<Prediction, "outputs" | "label" | "scores"> {
  const values = output.after === "" ? output.values : output.valuesAfter;
  const outputs: JsonObject = shown.has(output.name)
    ? { [output.name]: outputValue(output, values) }
    : {};
  const label = labelOf(output, classLabels);
  const isScores = classLabels.length > 0 && values.length === classLabels.length;
  return {
    outputs,
    label,
    ...(isScores && {
      scores: Object.fromEntries(classLabels.map((name, i) => [name, values[i]!])),
    }),
  };
}

/** The values; of a circuit that proves no more, the class or whether the threshold is reached. */
function outputValue(output: ProvedOutput, values: readonly number[]): JsonValue {
  if (output.reached !== undefined) {
    return output.reached;
  }
  if (values.length === 0 && output.classIndex !== undefined) {
    return elementToJson(output.classIndex);
  }
  return nest(values, output.shape.map(Number));
}

/** Row-major values as nested lists. */
function nest(values: readonly number[], shape: readonly number[]): JsonValue {
  const [length, ...inner] = shape;
  if (length === undefined) {
    return elementToJson(values[0] ?? Number.NaN);
  }
  const size = values.length / length;
  return Array.from({ length }, (_, i) => nest(values.slice(i * size, (i + 1) * size), inner));
}

/** Empty where the version has no labels or the circuit gives no class. */
function labelOf(output: ProvedOutput, classLabels: readonly string[]): string {
  if (classLabels.length === 0 || output.classIndex === undefined) {
    return "";
  }
  return output.classLabel || (classLabels[Number(output.classIndex)] ?? "");
}
