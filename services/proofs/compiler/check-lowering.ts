// Holds the float program against the reference interpreter on a few rows before anything is made
// of it: two ways to the same number, so that a fault in one of them stops here.

import { classOf, type SampleRow } from "./calibrate.ts";
import { runFloatModel } from "./float-model.ts";
import { type After, type FloatProgram, runProgram } from "./float-program.ts";
import type { ModelGraph } from "./model-graph.ts";
import { sigmoid, softmax } from "./operators/evaluate.ts";

const ROWS_MAX = 4;
const TOLERANCE = 1e-6;

/**
 * @throws Error: the two differ, which is a fault of the compiler
 */
export function checkLowering(
  graph: ModelGraph,
  program: FloatProgram,
  rows: readonly SampleRow[],
): void {
  // Trees and roundings jump: float64 may fall on the other side of a step than float32 does.
  const jumps = program.steps.some(
    (step) =>
      step.kind === "trees" || (step.kind === "activate" && step.activation.kind === "round"),
  );
  if (jumps) {
    return;
  }
  for (const { floats } of rows.slice(0, ROWS_MAX)) {
    const inputs = graph.inputs.map(({ name }) => {
      const input = program.inputs.find((one) => one.name === name)!;
      return floats.subarray(input.first, input.first + input.size);
    });
    const reference = runFloatModel(graph, inputs);
    const before = runProgram(program, floats).output;
    if (program.output.argmax) {
      compareClass(program, reference, before);
      continue;
    }
    const output = applyAfter(program.output.after, before);
    const largest = output.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const off = output.findIndex(
      (value, i) => !(Math.abs(value - reference.data[i]!) <= TOLERANCE * largest),
    );
    if (off >= 0 || output.length !== reference.data.length) {
      throw new Error(
        `The lowered model gives ${output[off]} where the reference gives ${reference.data[off]} ` +
          `at ${off} of "${program.output.name}".`,
      );
    }
  }
}

function compareClass(
  program: FloatProgram,
  reference: { readonly data: Float64Array; readonly texts?: readonly string[] },
  before: Float64Array,
): void {
  const best = classOf(before);
  const second = before.filter((_, i) => i !== best).reduce((a, b) => Math.max(a, b), -Infinity);
  const given = reference.texts?.[0] ?? String(reference.data[0]);
  const isTie = before[best]! - second <= TOLERANCE * Math.max(1, Math.abs(before[best]!));
  const isNamed = program.output.classLabels.includes(given);
  const expected = isNamed ? program.output.classLabels[best] : String(best);
  if (!isTie && expected !== given && before.length > 1) {
    throw new Error(
      `The lowered model gives class ${expected} where the reference gives ${given}.`,
    );
  }
}

/** What is done to the values in the end. */
export function applyAfter(after: After, values: Float64Array): Float64Array {
  switch (after) {
    case "nothing":
      return values;
    case "sigmoid":
      return values.map(sigmoid);
    case "softmax":
      return softmax(values);
    case "tanh":
      return values.map(Math.tanh);
  }
}
