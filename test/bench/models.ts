// The models of the bench, made from a seed so that every run on every machine measures the same
// graphs. What is in them does not matter, only how much work they are.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  encodeModel,
  floats,
  type Initializer,
  type Node,
} from "../../services/common/testing/onnx-writer.ts";

/** How a model is run by every contender that runs models. */
export interface BenchModel {
  /** Also the name of its deployment. */
  readonly name: string;
  /** Columns of its only input, `input`, FP32. */
  readonly cols: number;
  /** Values a row in its only output, `output`, FP32. */
  readonly outputs: number;
  /** Sessions, each on a thread of its own. */
  readonly instances: number;
  /** Threads inside one run. */
  readonly intraOpThreads: number;
  readonly maxBatchRows: number;
  readonly bytes: () => Uint8Array;
}

/** Tabular and tiny: a run costs less than the call around it. */
export const SMALL: BenchModel = {
  name: "bench-small",
  cols: 30,
  outputs: 2,
  instances: 1,
  intraOpThreads: 1,
  maxBatchRows: 1024,
  bytes: () => perceptron([30, 64, 32, 2]),
};

/**
 * Compute-bound: 8 million multiply-adds a row, which batching makes several times cheaper. One
 * thread runs it, so that the other core of a small machine can serve and make the load.
 */
export const LARGE: BenchModel = {
  name: "bench-large",
  cols: 1024,
  outputs: 1000,
  instances: 1,
  intraOpThreads: 1,
  maxBatchRows: 64,
  bytes: () => perceptron([1024, 2048, 2048, 1000]),
};

/** One run takes about 100 ms on one core; its first dimension is fixed, so it is not batched. */
export const SLOW: BenchModel = {
  name: "bench-slow",
  cols: 64,
  outputs: 1,
  instances: 1,
  intraOpThreads: 1,
  maxBatchRows: 1,
  bytes: () => chain({ size: 1024, products: 11 }),
};

/** Every model, in the order of deployment. */
export const MODELS: readonly BenchModel[] = [SMALL, LARGE, SLOW];

/** Writes the files; returns the path of each by model name. */
export async function writeModels(folder: string): Promise<ReadonlyMap<string, string>> {
  await mkdir(folder, { recursive: true });
  const paths = new Map<string, string>();
  for (const model of MODELS) {
    const path = join(folder, `${model.name}.onnx`);
    await writeFile(path, model.bytes());
    paths.set(model.name, path);
  }
  return paths;
}

/** Gemm and Relu by turns, Softmax at the end; the first dimension is open. */
export function perceptron(sizes: readonly number[]): Uint8Array {
  const random = seeded(sizes.length + sizes[0]!);
  const initializers: Initializer[] = [];
  const nodes: Node[] = [];
  let from = "input";
  for (let layer = 1; layer < sizes.length; layer++) {
    const [rows, cols] = [sizes[layer - 1]!, sizes[layer]!];
    initializers.push(floats(`w${layer}`, [rows, cols], weights(random, rows * cols, rows)));
    initializers.push(floats(`b${layer}`, [cols], weights(random, cols, rows)));
    const last = layer === sizes.length - 1;
    nodes.push({ op: "Gemm", inputs: [from, `w${layer}`, `b${layer}`], outputs: [`g${layer}`] });
    from = last ? "output" : `r${layer}`;
    nodes.push({ op: last ? "Softmax" : "Relu", inputs: [`g${layer}`], outputs: [from] });
  }
  return encodeModel({
    nodes,
    inputs: [{ name: "input", datatype: "FP32", shape: ["N", sizes[0]!] }],
    outputs: [{ name: "output", datatype: "FP32", shape: ["N", sizes.at(-1)!] }],
    initializers,
  });
}

/** Products of one square matrix, scaled by the input so that nothing can be computed ahead. */
function chain(options: { readonly size: number; readonly products: number }): Uint8Array {
  const { size, products } = options;
  const matrix = floats("a", [size, size], weights(seeded(7), size * size, size));
  const nodes: Node[] = [
    { op: "ReduceMean", inputs: ["input"], outputs: ["mean"] },
    { op: "Mul", inputs: ["a", "mean"], outputs: ["x0"] },
  ];
  for (let step = 1; step <= products; step++) {
    nodes.push({ op: "MatMul", inputs: [`x${step - 1}`, "a"], outputs: [`x${step}`] });
  }
  nodes.push({ op: "ReduceMean", inputs: [`x${products}`], outputs: ["output"] });
  return encodeModel({
    nodes,
    inputs: [{ name: "input", datatype: "FP32", shape: [1, SLOW.cols] }],
    outputs: [{ name: "output", datatype: "FP32", shape: [1, 1] }],
    initializers: [matrix],
  });
}

/** Uniform, with the variance that keeps values in range from layer to layer. */
function weights(random: () => number, count: number, fanIn: number): Float32Array {
  const bound = Math.sqrt(3 / fanIn);
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * bound);
}

/** A 32-bit xorshift (Marsaglia, 2003), in [0, 1). */
export function seeded(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
