// Models with a single class: nothing is left to choose between, and what is proved says so.

import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { checkSoundness } from "../circuit/soundness.ts";
import { compileModel } from "./compile-model.ts";
import { checkModel, GRID, gridRows, runOnnxruntime, smallModel } from "./testing.ts";

const random = new SeededRandom(5);
const SCORE = { op: "MatMul", inputs: ["x", "w"], outputs: ["m"] };
const WEIGHTS = floats("w", [3, 1], [0.5, -1, 2]);

const ONE_CLASS_TREE: Node = {
  op: "TreeEnsembleClassifier",
  domain: "ai.onnx.ml",
  inputs: ["x"],
  outputs: ["label", "y"],
  attributes: {
    nodes_treeids: { integers: [0, 0, 0] },
    nodes_nodeids: { integers: [0, 1, 2] },
    nodes_featureids: { integers: [0, 0, 0] },
    nodes_values: { floats: [0.5, 0, 0] },
    nodes_modes: { texts: ["BRANCH_LEQ", "LEAF", "LEAF"] },
    nodes_truenodeids: { integers: [1, 0, 0] },
    nodes_falsenodeids: { integers: [2, 0, 0] },
    class_treeids: { integers: [0, 0] },
    class_nodeids: { integers: [1, 2] },
    class_ids: { integers: [0, 0] },
    class_weights: { floats: [0.25, -1.5] },
    classlabels_int64s: { integers: [7] },
    post_transform: { text: "NONE" },
  },
};

const ONE_CLASS_LINEAR: Node = {
  op: "LinearClassifier",
  domain: "ai.onnx.ml",
  inputs: ["x"],
  outputs: ["label", "y"],
  attributes: {
    coefficients: { floats: [0.5, -1, 2] },
    intercepts: { floats: [0.25] },
    classlabels_ints: { integers: [7] },
  },
};

describe("a model of one class", () => {
  it("is always of that class, as in onnxruntime, and soundly", async () => {
    const argmax = {
      op: "ArgMax",
      inputs: ["m"],
      outputs: ["y"],
      attributes: { axis: 1, keepdims: 0 },
    };
    const bytes = smallModel({
      shape: [3],
      nodes: [SCORE, argmax],
      initializers: [WEIGHTS],
      outputType: "INT64",
    });
    const rows = gridRows(random, 3, 12);
    const { graph } = compileModel(bytes, { inputs: { x: GRID } });
    const circuit = compileCircuit(graph, { modelCommitment: "0".repeat(64) });
    const expected = await runOnnxruntime(bytes, [3], rows);
    for (const [at, row] of rows.entries()) {
      const signals = circuit.encodeInputs({ tensors: [row], kind: "floats" });
      const witness = circuit.program.run(signals);
      expect(witness[1]).toBe(expected[at]?.[0]);
      if (at === 0) expect(checkSoundness(circuit, witness).isSound).toBe(true);
    }
  });

  it("has a softmax of 1", async () => {
    const softmax = { op: "Softmax", inputs: ["m"], outputs: ["y"], attributes: { axis: 1 } };
    const { circuitError } = await checkModel(
      { shape: [3], nodes: [SCORE, softmax], initializers: [WEIGHTS] },
      random,
    );
    expect(circuitError).toBe(0);
  });

  it.each([
    ["trees", ONE_CLASS_TREE],
    ["a linear model", ONE_CLASS_LINEAR],
  ])("is refused by name where it is a classifier: %s", (_, node) => {
    const bytes = smallModel({ shape: [3], nodes: [node] });
    expect(() => compileModel(bytes, { inputs: { x: GRID } })).toThrow(/label .*two classes/);
  });
});
