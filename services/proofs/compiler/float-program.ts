// The model between ONNX and whole numbers: activations, maxima and trees, and sparse rows of
// float64 between them. Shapes and node boundaries are gone, nothing is rounded yet. Every value
// that a circuit keeps has a number: first the inputs, then what each step gives, in order.

import { type FloatRows, rowCount } from "./float-rows.ts";
import { orderedKey } from "./ordered-float.ts";
import type { ElementType } from "./tensor.ts";

export interface FloatProgram {
  readonly inputs: readonly ProgramInput[];
  readonly steps: readonly FloatStep[];
  readonly output: ProgramOutput;
  /** How many values there are. */
  readonly values: number;
}

/** One input tensor; its values are numbered from `first`. */
export interface ProgramInput {
  readonly name: string;
  readonly type: ElementType;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
  readonly first: number;
  readonly size: number;
}

export type FloatStep = FloatActivate | FloatMax | FloatTrees;

interface StepBase {
  readonly name: string;
  /** Number of the first value that it gives. */
  readonly first: number;
}

/** One value a row. */
export interface FloatActivate extends StepBase {
  readonly kind: "activate";
  readonly rows: FloatRows;
  readonly activation: FloatActivation;
}

/**
 * "round" is what QuantizeLinear does: to the nearest whole number, ties to even, held in [lo, hi].
 * "leaky-relu" has the slope 2^-slopeBits.
 */
export type FloatActivation =
  | { readonly kind: "none" }
  | { readonly kind: "relu" }
  | { readonly kind: "leaky-relu"; readonly slopeBits: number }
  | { readonly kind: "clip"; readonly lo: number; readonly hi: number }
  | { readonly kind: "round"; readonly lo: number; readonly hi: number };

/** One value a group of rows: the largest. */
export interface FloatMax extends StepBase {
  readonly kind: "max";
  readonly rows: FloatRows;
  readonly groupStart: Int32Array;
  /** Rows. */
  readonly members: Int32Array;
}

/** One value a score. */
export interface FloatTrees extends StepBase {
  readonly kind: "trees";
  /** Values that are features: inputs. */
  readonly features: Int32Array;
  readonly base: readonly number[];
  readonly trees: readonly FloatTree[];
}

export interface FloatTree {
  readonly nodes: readonly FloatTreeNode[];
}

/** Goes to `ifTrue` where the key of the feature (ordered-float.ts) is at most the threshold. */
export type FloatTreeNode =
  | {
      readonly kind: "split";
      readonly feature: number;
      readonly threshold: number;
      readonly ifTrue: number;
      readonly ifFalse: number;
    }
  | { readonly kind: "leaf"; readonly scores: readonly number[] };

export type After = "nothing" | "sigmoid" | "softmax" | "tanh";

export interface ProgramOutput {
  readonly name: string;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
  readonly rows: FloatRows;
  readonly after: After;
  readonly argmax: boolean;
  readonly classLabels: readonly string[];
}

/** How many values a step gives. */
export function stepSize(step: FloatStep): number {
  switch (step.kind) {
    case "activate":
      return rowCount(step.rows);
    case "max":
      return step.groupStart.length - 1;
    case "trees":
      return step.base.length;
  }
}

/** What a program gives for one row of inputs: every value, and the output's before `after`. */
export interface ProgramRun {
  readonly values: Float64Array;
  readonly output: Float64Array;
}

/** Runs the program in float64 on the values of all inputs, one after another. */
export function runProgram(program: FloatProgram, inputs: ArrayLike<number>): ProgramRun {
  const values = new Float64Array(program.values);
  for (let i = 0; i < inputs.length; i++) {
    values[i] = inputs[i]!;
  }
  for (const step of program.steps) {
    runStep(step, values);
  }
  return { values, output: applyRows(program.output.rows, values) };
}

/** bias + sum of weight times value, by row. */
function applyRows(rows: FloatRows, values: Float64Array): Float64Array {
  const { rowStart, columns, weights, bias } = rows;
  const results = new Float64Array(bias.length);
  for (let row = 0; row < bias.length; row++) {
    let sum = bias[row]!;
    const end = rowStart[row + 1]!;
    for (let entry = rowStart[row]!; entry < end; entry++) {
      sum += weights[entry]! * values[columns[entry]!]!;
    }
    results[row] = sum;
  }
  return results;
}

function runStep(step: FloatStep, values: Float64Array): void {
  switch (step.kind) {
    case "activate": {
      const results = applyRows(step.rows, values);
      for (let i = 0; i < results.length; i++) {
        values[step.first + i] = activate(results[i]!, step.activation);
      }
      break;
    }
    case "max": {
      const results = applyRows(step.rows, values);
      for (let group = 0; group + 1 < step.groupStart.length; group++) {
        let largest = Number.NEGATIVE_INFINITY;
        for (let i = step.groupStart[group]!; i < step.groupStart[group + 1]!; i++) {
          largest = Math.max(largest, results[step.members[i]!]!);
        }
        values[step.first + group] = largest;
      }
      break;
    }
    case "trees":
      runTrees(step, values);
  }
}

function activate(value: number, activation: FloatActivation): number {
  switch (activation.kind) {
    case "none":
      return value;
    case "relu":
      return Math.max(value, 0);
    case "leaky-relu":
      return value < 0 ? value * 2 ** -activation.slopeBits : value;
    case "clip":
      return Math.min(Math.max(value, activation.lo), activation.hi);
    case "round":
      return Math.min(Math.max(roundHalfEven(value), activation.lo), activation.hi);
  }
}

/** To the nearest whole number, ties to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function runTrees(step: FloatTrees, values: Float64Array): void {
  const keys = Array.from(step.features, (feature) => orderedKey(values[feature]!));
  step.base.forEach((base, score) => {
    values[step.first + score] = base;
  });
  for (const { nodes } of step.trees) {
    let node = nodes[0]!;
    while (node.kind === "split") {
      node = nodes[keys[node.feature]! <= node.threshold ? node.ifTrue : node.ifFalse]!;
    }
    node.scores.forEach((score, i) => {
      values[step.first + i]! += score;
    });
  }
}
