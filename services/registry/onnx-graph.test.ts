import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { WireError } from "../common/onnx-wire.ts";
import { encodeModel, type Graph } from "../common/testing/onnx-writer.ts";
import { readOnnxGraph } from "./onnx-graph.ts";
import { linearModel, singleNode } from "./test-models.ts";

const read = (bytes: Uint8Array) =>
  readOnnxGraph({
    size: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  });

describe("onnx-graph", () => {
  it("reads what a model says of itself", () => {
    const bytes = linearModel({ metadata: { "plinth.columns": '["a"]', long: "x".repeat(5000) } });
    expect(read(bytes)).toEqual({
      irVersion: 8,
      opsets: { "ai.onnx": 17 },
      producer: "plinth-test 1",
      operators: { "ai.onnx.Gemm": 1 },
      metadata: { "plinth.columns": '["a"]', long: "x".repeat(4096) },
      parameterCount: 5,
      inputs: [{ name: "x", kind: "tensor", elementType: 1, shape: ["N", 4] }],
      outputs: [{ name: "y", kind: "tensor", elementType: 1, shape: ["N", 1] }],
      externalFiles: [],
    });
  });

  it.each([
    ["breast-cancer/forest", "ai.onnx.ml.TreeEnsembleClassifier"],
    ["digits/cnn", "ai.onnx.Conv"],
    ["flights/delay", "ai.onnx.ml.TreeEnsembleRegressor"],
  ])("reads the example %s", (name, operator) => {
    const url = new URL(`../../examples/${name}.onnx`, import.meta.url);
    const graph = read(readFileSync(url));
    expect(Object.keys(graph.operators)).toContain(operator);
    expect(graph.inputs.every((input) => input.kind === "tensor")).toBe(true);
  });

  it("finds non-tensor values, unknown ranks and open dimensions", () => {
    const kinds = ["sequence", "map", "optional", "tensor"] as const;
    const graph = read(
      singleNode("Op", {
        inputs: [{ name: "x", shape: [null, 2] }],
        outputs: kinds.map((kind) => ({ name: kind, kind })),
      }),
    );
    expect(graph.outputs.map((output) => output.kind)).toEqual([...kinds]);
    expect(graph.outputs.at(-1)).not.toHaveProperty("shape");
    expect(graph.inputs[0]?.shape).toEqual(["", 2]);
  });

  it("finds weights in other files, also in subgraphs, and counts the operators there", () => {
    const inner: Graph = {
      nodes: [{ op: "Identity", inputs: ["w"], outputs: ["o"] }],
      inputs: [],
      outputs: [{ name: "o" }],
      initializers: [{ name: "w", datatype: "FP32", shape: [2], external: "weights.bin" }],
    };
    const graph = read(singleNode("If", { attributes: { then_branch: inner } }));
    expect(graph.externalFiles).toEqual(["weights.bin"]);
    expect(graph.operators).toEqual({ "ai.onnx.If": 1, "ai.onnx.Identity": 1 });
  });

  it("leaves out the initializers that old files list as inputs", () => {
    const graph = read(
      singleNode("Add", {
        inputs: [{ name: "x" }, { name: "w" }],
        initializers: [{ name: "w", datatype: "FP32", shape: [] }],
      }),
    );
    expect(graph.inputs.map((input) => input.name)).toEqual(["x"]);
  });

  it("bounds the depth of graphs", () => {
    let graph: Graph = { nodes: [], inputs: [], outputs: [] };
    for (let depth = 0; depth < 40; depth++) {
      const node = { op: "If", inputs: [], outputs: [], attributes: { b: graph } };
      graph = { nodes: [node], inputs: [], outputs: [] };
    }
    expect(() => read(encodeModel(graph))).toThrow(/nested deeper than 32/);
  });

  it.each([
    ["nothing", []],
    ["a length beyond the end", [0x3a, 0x7f, 0x01]],
    ["a length of 2^63", [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a number without end", [0x08, ...new Array<number>(20).fill(0xff)]],
    ["a number cut off", [0x08, 0xff]],
    ["field number 0", [0x00, 0x01]],
    ["a group", [0x0b, 0x0c]],
    ["text", [...Buffer.from("<!DOCTYPE html>")]],
  ])("refuses %s", (_what, bytes) => {
    expect(() => read(Uint8Array.from(bytes))).toThrow(WireError);
  });

  it("refuses or reads any damaged file, and nothing else happens", () => {
    const seeds = [
      linearModel({ metadata: { a: "b" } }),
      singleNode("If", { outputs: [{ name: "s", kind: "sequence" }] }),
    ];
    let refused = 0;
    const random = randomOf(20_260_101);
    for (let round = 0; round < 3000; round++) {
      const bytes = Uint8Array.from(seeds[round % seeds.length] ?? []);
      for (let hits = 1 + random(4); hits > 0; hits--) {
        bytes[random(bytes.length)] = random(256);
      }
      const damaged = round % 3 === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
      try {
        read(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(500);
  });
});

/**
 * Whole numbers below a bound from a linear congruential generator (Numerical Recipes' constants).
 */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
