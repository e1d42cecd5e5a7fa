// Runs an integer graph exactly, by what integer-graph.ts says of its steps and by nothing else: the
// circuit and the quantisation are both held against it.

import {
  type ActivateStep,
  type IntegerGraph,
  resultCount,
  type SparseRows,
  type Step,
  type TreesStep,
} from "./integer-graph.ts";

/** All values of a graph for one row of inputs. */
export interface IntegerRun {
  readonly values: readonly (number | bigint)[] | Float64Array;
  /** Of the output, in order. With argmax they are what the argmax is of. */
  readonly output: readonly (number | bigint)[];
  /** The index of the first largest output. */
  readonly argmax: number;
}

/** Runs a graph on whole numbers, those of all inputs one after another. */
export type IntegerEvaluator = (inputs: ArrayLike<number>) => IntegerRun;

const EXACT_MAX = Number.MAX_SAFE_INTEGER;

/** Plain numbers while they are exact; all over again in bigints for a row where they are not. */
export function integerEvaluator(graph: IntegerGraph): IntegerEvaluator {
  const sizes = graph.steps.map((step) =>
    step.kind === "linear" ? rowSizes(step.rows) : undefined,
  );
  return (inputs) => {
    const values = runNumbers(graph, sizes, inputs);
    if (values === undefined) {
      const exact = evaluateExactly(graph, Array.from(inputs, BigInt));
      return { values: exact, ...outputOf(graph, exact) };
    }
    return { values, ...outputOf(graph, values) };
  };
}

function outputOf(graph: IntegerGraph, values: ArrayLike<number | bigint>) {
  const output = Array.from(graph.output.values, (value) => values[value]!);
  let argmax = 0;
  output.forEach((value, i) => {
    argmax = value > output[argmax]! ? i : argmax;
  });
  return { output, argmax };
}

/** For each row the sum of its weights in size, and its bias in size. */
function rowSizes(rows: SparseRows): {
  readonly weights: Float64Array;
  readonly bias: Float64Array;
} {
  const weights = new Float64Array(rows.bias.length);
  for (let row = 0; row < weights.length; row++) {
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      weights[row]! += Math.abs(rows.weights[entry]!);
    }
  }
  return { weights, bias: rows.bias.map(Math.abs) };
}

/** undefined where a sum could go beyond the safe integers. */
function runNumbers(
  graph: IntegerGraph,
  sizes: readonly (ReturnType<typeof rowSizes> | undefined)[],
  inputs: ArrayLike<number>,
): Float64Array | undefined {
  const values = new Float64Array(countValues(graph, inputs.length));
  values.set(Array.from(inputs));
  let at = inputs.length;
  let largest = 0;
  const look = (from: number) => {
    for (let i = from; i < at; i++) {
      largest = Math.max(largest, Math.abs(values[i]!));
    }
  };
  look(0);
  for (const [index, step] of graph.steps.entries()) {
    const from = at;
    if (step.kind === "linear") {
      const { weights, bias } = sizes[index]!;
      if (!weights.every((weight, row) => weight * largest + bias[row]! <= EXACT_MAX)) {
        return undefined;
      }
      at = sumRows(step.rows, values, at);
    } else {
      if (step.kind === "activate" && largest + 2 ** step.shiftBits > EXACT_MAX) {
        return undefined;
      }
      at = runStep(step, values, at);
    }
    look(from);
    if (!(largest <= EXACT_MAX)) {
      return undefined;
    }
  }
  return values;
}

function countValues(graph: IntegerGraph, inputs: number): number {
  return graph.steps.reduce((sum, step) => sum + resultCount(step), inputs);
}

function sumRows(rows: SparseRows, values: Float64Array, first: number): number {
  const { rowStart, columns, weights, bias } = rows;
  for (let row = 0; row < bias.length; row++) {
    let sum = bias[row]!;
    const end = rowStart[row + 1]!;
    for (let entry = rowStart[row]!; entry < end; entry++) {
      sum += weights[entry]! * values[columns[entry]!]!;
    }
    values[first + row] = sum;
  }
  return first + bias.length;
}

function runStep(
  step: Exclude<Step, { kind: "linear" }>,
  values: Float64Array,
  first: number,
): number {
  let at = first;
  switch (step.kind) {
    case "activate": {
      const divisor = 2 ** step.shiftBits;
      const half = step.shiftBits === 0 ? 0 : divisor / 2;
      for (const value of step.values) {
        values[at++] = activate(Math.floor((values[value]! + half) / divisor), step);
      }
      break;
    }
    case "max":
      for (let group = 0; group + 1 < step.groupStart.length; group++) {
        let largest = Number.NEGATIVE_INFINITY;
        for (let i = step.groupStart[group]!; i < step.groupStart[group + 1]!; i++) {
          largest = Math.max(largest, values[step.values[i]!]!);
        }
        values[at++] = largest;
      }
      break;
    case "trees":
      for (const score of treeScores(step, (feature) => values[feature]!)) {
        values[at++] = score;
      }
  }
  return at;
}

function activate(y: number, step: ActivateStep): number {
  switch (step.activation.kind) {
    case "none":
      return y;
    case "relu":
      return Math.max(y, 0);
    case "leaky-relu":
      return y >= 0 ? y : Math.floor(y / 2 ** step.activation.slopeBits);
    case "clip":
      return Math.min(Math.max(y, step.activation.lo), step.activation.hi);
  }
}

function treeScores(step: TreesStep, read: (feature: number) => number | bigint): number[] {
  const scores = [...step.base];
  const features = Array.from(step.features, read);
  for (const { nodes } of step.trees) {
    let node = nodes[0]!;
    while (node.kind === "split") {
      node = nodes[features[node.feature]! <= node.threshold ? node.ifTrue : node.ifFalse]!;
    }
    node.scores.forEach((score, i) => {
      scores[i]! += score;
    });
  }
  return scores;
}

/** All values in bigints: slow, and exact whatever the weights are. */
export function evaluateExactly(graph: IntegerGraph, inputs: readonly bigint[]): bigint[] {
  const values = [...inputs];
  for (const step of graph.steps) {
    for (const value of exactStep(step, values)) {
      values.push(value);
    }
  }
  return values;
}

function exactStep(step: Step, values: readonly bigint[]): bigint[] {
  switch (step.kind) {
    case "linear": {
      const { rowStart, columns, weights, bias } = step.rows;
      return Array.from(bias, (start, row) => {
        let sum = BigInt(start);
        for (let entry = rowStart[row]!; entry < rowStart[row + 1]!; entry++) {
          sum += BigInt(weights[entry]!) * values[columns[entry]!]!;
        }
        return sum;
      });
    }
    case "activate":
      return Array.from(step.values, (value) => exactActivation(values[value]!, step));
    case "max":
      return Array.from({ length: step.groupStart.length - 1 }, (_, group) => {
        const members = step.values.subarray(step.groupStart[group], step.groupStart[group + 1]);
        const found = Array.from(members, (value) => values[value]!);
        return found.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0))[0]!;
      });
    case "trees":
      return treeScores(step, (feature) => values[feature]!).map(BigInt);
  }
}

function exactActivation(value: bigint, step: ActivateStep): bigint {
  const shift = BigInt(step.shiftBits);
  // A shift to the right rounds down, for negative numbers too.
  const y = step.shiftBits === 0 ? value : (value + (1n << (shift - 1n))) >> shift;
  const { activation } = step;
  switch (activation.kind) {
    case "none":
      return y;
    case "relu":
      return y > 0n ? y : 0n;
    case "leaky-relu":
      return y >= 0n ? y : y >> BigInt(activation.slopeBits);
    case "clip": {
      const lo = BigInt(activation.lo);
      const hi = BigInt(activation.hi);
      return y < lo ? lo : y > hi ? hi : y;
    }
  }
}
