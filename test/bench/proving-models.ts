// What the bench proves: the examples' smallest models, a network of MNIST's size, boosted trees,
// and the network that other systems publish figures of. Weights come from a seed: what is in them
// does not matter to the size of a circuit.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeModel, type Node } from "../../services/common/testing/onnx-writer.ts";
import type { CompileOptions } from "../../services/proofs/compiler/compile-model.ts";
import { perceptron, seeded } from "./models.ts";
import { ROOT } from "./tools.ts";

/** A model and how it is made a circuit. */
export interface ProvedModel {
  readonly name: string;
  readonly options: () => Promise<CompileOptions>;
  readonly outputMode?: "values" | "argmax";
  readonly bytes: () => Promise<Uint8Array>;
  /** A row that the circuit takes. */
  readonly row: (random: () => number) => Promise<Float64Array>;
}

/** Pixels: multiples of 1/256, as networks over images take them. */
const PIXELS = { scaleBits: 8, lo: 0, hi: 255 / 256 } as const;
const pixels =
  (columns: number) =>
  async (random: () => number): Promise<Float64Array> =>
    Float64Array.from({ length: columns }, () => Math.floor(random() * 256) / 256);

/** Two classes, 30 columns of very different size. */
export const LOGISTIC: ProvedModel = {
  name: "logistic",
  options: () => heldOut("breast-cancer", "logistic", "features"),
  bytes: () => example("breast-cancer", "logistic"),
  row: async () => {
    const { calibration } = await heldOut("breast-cancer", "logistic", "features");
    return Float64Array.from(calibration.inputs.features!.slice(0, 30));
  },
};

/** 64-32-10. */
export const DIGITS: ProvedModel = {
  name: "digits",
  options: async () => ({ inputs: { pixels: { scaleBits: 0, lo: 0, hi: 16 } } }),
  bytes: () => example("digits", "mlp"),
  row: async (random) => Float64Array.from({ length: 64 }, () => Math.floor(random() * 17)),
};

/** As large as a network for MNIST. */
export const MNIST: ProvedModel = {
  name: "mlp-784-128-10",
  options: async () => ({ inputs: { input: PIXELS }, weightBits: 7, activationBits: 10 }),
  bytes: async () => perceptron([784, 128, 10]),
  row: pixels(784),
};

/** The same, and what it answers is a class: few public values for a contract. */
export const MNIST_ARGMAX: ProvedModel = { ...MNIST, name: "mlp-argmax", outputMode: "argmax" };

/** The network that EZKL (1310 s, 21 GB), zkml and DeepProve publish figures of. */
export const BIG: ProvedModel = {
  name: "mlp-784-2000-60-4000-10",
  options: async () => ({ inputs: { input: PIXELS }, weightBits: 7, activationBits: 8 }),
  bytes: async () => perceptron([784, 2000, 60, 4000, 10]),
  row: pixels(784),
};

const TREES = { trees: 100, depth: 6, features: 30, bins: 255 } as const;

/** 100 trees of depth 6 over 30 features; thresholds from histograms, as boosting makes them. */
export const BOOSTED: ProvedModel = {
  name: "trees-100x6",
  options: async () => ({}),
  bytes: async () => boostedTrees(),
  row: async (random) => Float64Array.from({ length: TREES.features }, () => Math.fround(random())),
};

function example(folder: string, model: string): Promise<Uint8Array> {
  return readFile(join(ROOT, "examples", folder, `${model}.onnx`));
}

/** The example's own rows say which ranges its columns need. */
async function heldOut(folder: string, model: string, input: string) {
  const path = join(ROOT, "examples", folder, `${model}.heldout.json`);
  const { inputs } = JSON.parse(await readFile(path, "utf8")) as {
    readonly inputs: Readonly<Record<string, { readonly shape: number[]; data: number[] }>>;
  };
  const { shape, data } = inputs[input]!;
  return { calibration: { rows: shape[0]!, inputs: { [input]: data } } };
}

function boostedTrees(): Uint8Array {
  const { trees, depth, features, bins } = TREES;
  const random = seeded(100);
  const inner = 2 ** depth - 1;
  const nodes = 2 * inner + 1;
  const at = Array.from({ length: trees * nodes }, (_, i) => ({
    tree: Math.floor(i / nodes),
    node: i % nodes,
  }));
  const isLeaf = (node: number) => node >= inner;
  const leaves = at.filter(({ node }) => isLeaf(node));
  const forest: Node = {
    op: "TreeEnsembleRegressor",
    domain: "ai.onnx.ml",
    inputs: ["input"],
    outputs: ["output"],
    attributes: {
      n_targets: 1,
      nodes_treeids: { integers: at.map(({ tree }) => tree) },
      nodes_nodeids: { integers: at.map(({ node }) => node) },
      nodes_featureids: {
        integers: at.map(({ node }) => (isLeaf(node) ? 0 : Math.floor(random() * features))),
      },
      nodes_modes: { texts: at.map(({ node }) => (isLeaf(node) ? "LEAF" : "BRANCH_LEQ")) },
      nodes_values: {
        floats: at.map(({ node }) => (isLeaf(node) ? 0 : (1 + Math.floor(random() * bins)) / 256)),
      },
      nodes_truenodeids: { integers: at.map(({ node }) => (isLeaf(node) ? 0 : 2 * node + 1)) },
      nodes_falsenodeids: { integers: at.map(({ node }) => (isLeaf(node) ? 0 : 2 * node + 2)) },
      target_treeids: { integers: leaves.map(({ tree }) => tree) },
      target_nodeids: { integers: leaves.map(({ node }) => node) },
      target_ids: { integers: leaves.map(() => 0) },
      target_weights: { floats: leaves.map(() => random() - 0.5) },
    },
  };
  return encodeModel(
    {
      nodes: [forest],
      inputs: [{ name: "input", datatype: "FP32", shape: ["N", features] }],
      outputs: [{ name: "output", datatype: "FP32", shape: ["N", 1] }],
    },
    { opsets: { "": 17, "ai.onnx.ml": 3 } },
  );
}
