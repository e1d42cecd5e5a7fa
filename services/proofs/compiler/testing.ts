// What the compiler's tests share: small models, onnxruntime to hold them against, and one check
// that compares the interpreter and the integer graph with it row by row.

import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import {
  encodeModel,
  type ElementType as FileType,
  type Graph,
  type Initializer,
  type Node,
} from "../../common/testing/onnx-writer.ts";
import type { SeededRandom } from "../../common/testing/seeded-random.ts";
import { valueEncoding } from "../verifier/signal-encoding.ts";
import { classOf } from "./calibrate.ts";
import { applyAfter } from "./check-lowering.ts";
import { type CompiledModel, type CompileOptions, compileModel } from "./compile-model.ts";
import { runFloatModel } from "./float-model.ts";
import { encodeValue } from "./input-encoding.ts";
import { integerEvaluator } from "./integer-evaluate.ts";
import type { InputEncoding, IntegerGraph } from "./integer-graph.ts";
import { modelGraph } from "./model-graph.ts";
import { readOnnx } from "./read-onnx.ts";
import { sizeOf } from "./tensor.ts";

/** A model with one FP32 input "x" and one output "y". */
export interface SmallModel {
  /** Without the batch dimension. */
  readonly shape: readonly number[];
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Initializer[];
  readonly opset?: number;
  readonly outputType?: FileType;
}

export function smallModel(model: SmallModel): Uint8Array {
  const graph: Graph = {
    nodes: model.nodes,
    inputs: [{ name: "x", shape: ["N", ...model.shape] }],
    outputs: [{ name: "y", datatype: model.outputType ?? "FP32" }],
    initializers: model.initializers ?? [],
  };
  return encodeModel(graph, { opsets: { "": model.opset ?? 17, "ai.onnx.ml": 3 } });
}

/** Runs rows one by one through onnxruntime, without its optimisations. */
export async function runOnnxruntime(
  bytes: Uint8Array,
  shape: readonly number[],
  rows: readonly ArrayLike<number>[],
  output = "y",
): Promise<number[][]> {
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
  });
  try {
    const results: number[][] = [];
    for (const row of rows) {
      const x = new OrtTensor("float32", Float32Array.from(row), [1, ...shape]);
      const found = await session.run({ x }, [output]);
      results.push(Array.from(found[output]!.data as ArrayLike<number | bigint>, Number));
    }
    return results;
  } finally {
    await session.release();
  }
}

/** Multiples of 2^-8 from -4 up to 4. */
export const GRID = { scaleBits: 8, lo: -4, hi: 4 - 2 ** -8 } as const;

/** Rows on the grid: its ends, zeros, halves and random ones. */
export function gridRows(random: SeededRandom, size: number, count: number): Float64Array[] {
  const fills = [() => GRID.lo, () => GRID.hi, () => 0, (i: number) => (i % 2 === 0 ? 0.5 : -0.5)];
  const any = () => (random.below(2048) - 1024) / 256;
  return Array.from({ length: count }, (_, row) => {
    return Float64Array.from({ length: size }, (__, i) => (fills[row] ?? any)(i));
  });
}

/** A row of one input as the circuit takes it. */
export function encodedRow(encoding: InputEncoding, row: ArrayLike<number>): number[] {
  return Array.from(row, (value, i) => encodeValue(valueEncoding(encoding, i), value));
}

export interface Checked {
  readonly compiled: CompiledModel;
  /** Largest differences from onnxruntime over all rows. */
  readonly interpreterError: number;
  readonly circuitError: number;
  /** Largest proved bound of any output. */
  readonly bound: number;
}

/** onnxruntime computes in float32; sums of a few hundred products are off by so much at most. */
const FLOAT32_TOLERANCE = 2e-5;

/**
 * Compares a model with onnxruntime on rows of the grid.
 *
 * @throws Error with the row where the interpreter or the integer graph is further off than float32
 *   and the reported bound allow
 */
export async function checkModel(
  model: SmallModel,
  random: SeededRandom,
  options: { readonly rows?: number; readonly compile?: CompileOptions } = {},
): Promise<Checked> {
  const bytes = smallModel(model);
  const rows = gridRows(random, sizeOf(model.shape), options.rows ?? 20);
  const compiled = compileModel(bytes, {
    inputs: { x: GRID },
    weightBits: 16,
    activationBits: 16,
    ...options.compile,
  });
  checkInvariants(compiled.graph);
  const expected = await runOnnxruntime(bytes, model.shape, rows);
  const graph = modelGraph(readOnnx(bytes));
  const evaluate = integerEvaluator(compiled.graph);
  const { output, inputs } = compiled.graph;
  const bound = Math.max(...compiled.report.outputs.map((one) => one.bound));
  let interpreterError = 0;
  let circuitError = 0;
  rows.forEach((row, at) => {
    const truth = expected[at]!;
    const size = Math.max(1, ...truth.map(Math.abs));
    const reference = Array.from(runFloatModel(graph, [row]).data);
    const run = evaluate(encodedRow(inputs[0]!.encoding, row));
    const before = Float64Array.from(run.output, (value) => Number(value) * 2 ** -output.scaleBits);
    const found = output.argmax ? [classOf(before)] : Array.from(applyAfter(output.after, before));
    const far = (values: readonly number[]) =>
      values.length === truth.length
        ? Math.max(...values.map((value, i) => Math.abs(value - truth[i]!)))
        : Number.POSITIVE_INFINITY;
    const told = `row ${at} ${Array.from(row).slice(0, 8)}: onnxruntime ${truth.slice(0, 8)}`;
    if (!(far(reference) <= FLOAT32_TOLERANCE * size)) {
      throw new Error(`${told}, interpreter ${reference.slice(0, 8)}`);
    }
    if (!output.argmax && !(far(found) <= bound + FLOAT32_TOLERANCE * size)) {
      throw new Error(`${told}, circuit ${found.slice(0, 8)}, bound ${bound}`);
    }
    if (output.argmax && !isClose(before, found[0]!, { truth: truth[0]!, bound })) {
      throw new Error(`${told}, circuit ${found}`);
    }
    interpreterError = Math.max(interpreterError, far(reference));
    circuitError = Math.max(circuitError, output.argmax ? 0 : far(found));
  });
  return { compiled, interpreterError, circuitError, bound };
}

/**
 * What integer-graph.ts promises to whoever builds a circuit.
 *
 * @throws Error: a promise is broken
 */
export function checkInvariants(graph: IntegerGraph): void {
  const broken = (what: string) => new Error(`The integer graph has ${what}.`);
  for (const step of graph.steps) {
    if (step.kind === "activate" && !(step.shiftBits >= 0 && step.shiftBits < 200)) {
      throw broken(`a shift of ${step.shiftBits}`);
    }
    if (step.kind !== "linear") {
      continue;
    }
    const { rowStart, columns, weights, bias } = step.rows;
    for (let row = 0; row < bias.length; row++) {
      for (let entry = rowStart[row]! + 1; entry < rowStart[row + 1]!; entry++) {
        if (columns[entry]! <= columns[entry - 1]!) {
          throw broken(`columns ${columns[entry - 1]} and ${columns[entry]} in one row`);
        }
      }
    }
    const isWhole = (value: number) => Number.isSafeInteger(value) && !Object.is(value, -0);
    if (!weights.every((weight) => isWhole(weight) && weight !== 0) || !bias.every(isWhole)) {
      throw broken("a weight or bias that is 0, negative zero or no safe integer");
    }
  }
}

/** Another class is right only where the two scores are within the bound of each other. */
function isClose(
  scores: Float64Array,
  found: number,
  by: { readonly truth: number; readonly bound: number },
): boolean {
  const slack = 2 * by.bound + FLOAT32_TOLERANCE * Math.max(1, Math.abs(scores[found]!));
  return found === by.truth || scores[found]! - scores[by.truth]! <= slack;
}
