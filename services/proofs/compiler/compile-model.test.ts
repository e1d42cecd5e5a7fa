import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { canonicalBytes, modelCommitment } from "./canonical.ts";
import { type CompileOptions, compileModel } from "./compile-model.ts";
import type { IntegerGraph } from "./integer-graph.ts";
import { checkModel, GRID, type SmallModel, smallModel } from "./testing.ts";
import { UnsupportedModel } from "./unsupported.ts";

const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Node["attributes"] = {},
) => ({
  op,
  inputs,
  outputs: [output],
  attributes,
});
const grid = { inputs: { x: GRID } };

describe("compile-model", () => {
  it("lists every node that cannot be proved, each with its name, operator and advice", () => {
    const bytes = smallModel({
      shape: [4],
      nodes: [
        { ...node("Erf", ["x"], "a") },
        { ...node("Relu", ["a"], "b") },
        { ...node("Mul", ["x", "x"], "c") },
        { ...node("Sigmoid", ["x"], "d") },
        { ...node("Add", ["d", "x"], "e") },
        { ...node("SVMClassifier", ["x"], "f"), domain: "ai.onnx.ml" },
        { ...node("Concat", ["b", "c", "e", "f"], "y", { axis: 1 }) },
      ],
    });
    try {
      compileModel(bytes, grid);
      expect.unreachable();
    } catch (error) {
      const { nodes, violations } = error as UnsupportedModel;
      expect(error).toBeInstanceOf(UnsupportedModel);
      const told = nodes.map(({ name, operator }) => `${name} ${operator}`);
      expect(told).toEqual(["a Erf", "c Mul", "d Sigmoid", "f ai.onnx.ml.SVMClassifier"]);
      expect(nodes.every(({ why, advice }) => why.length > 10 && advice.length > 10)).toBe(true);
      expect(violations).toHaveLength(4);
      expect((error as Error).message).toContain('its result goes on into "e" (Add)');
    }
  });

  it.each<readonly [string, CompileOptions]>([
    ["weightBits: 1;", { ...grid, weightBits: 1 }],
    ["activationBits: 99;", { ...grid, activationBits: 99 }],
    ["inputs.x: it is float32", {}],
    ["inputs.x: scaleBits", { inputs: { x: { lo: 0, hi: 1 } } }],
    ["inputs.x: scaleBits 8, lo 3, hi 2", { inputs: { x: { scaleBits: 8, lo: 3, hi: 2 } } }],
    ["calibration.inputs.x: 0 values", { calibration: { rows: 2, inputs: {} } }],
    ["calibration: 0 rows", { calibration: { rows: 0, inputs: { x: [] } } }],
    [
      "no row has only values",
      { ...grid, calibration: { rows: 1, inputs: { x: [9, 0, 0, Number.NaN] } } },
    ],
  ])("refuses options: %s", (told, options) => {
    const bytes = smallModel({ shape: [4], nodes: [node("Relu", ["x"], "y")] });
    expect(() => compileModel(bytes, options)).toThrow(told);
  });

  it("counts rows that the encoding does not take", () => {
    const bytes = smallModel({ shape: [2], nodes: [node("Relu", ["x"], "y")] });
    const x = [1, 2, 9, 0, Number.POSITIVE_INFINITY, 0, -4, 3];
    const { report } = compileModel(bytes, { ...grid, calibration: { rows: 4, inputs: { x } } });
    expect(report).toMatchObject({ samples: 4, rows: 2, refusedRows: 2 });
  });

  it("takes whole numbers in data exactly, and floats as finely as they vary", () => {
    const bytes = smallModel({ shape: [2], nodes: [node("Relu", ["x"], "y")] });
    const encodingOf = (x: readonly number[]) =>
      compileModel(bytes, { calibration: { rows: x.length / 2, inputs: { x } } }).graph.inputs[0]!
        .encoding;
    expect(encodingOf([0, 255, 3, 4])).toEqual({ kind: "fixed", scaleBits: 0, lo: 0, hi: 255 });
    expect(encodingOf([-1, 127, 3, 4])).toEqual({ kind: "fixed", scaleBits: 0, lo: -128, hi: 127 });
    expect(encodingOf([-1, 300, 3, 4])).toEqual({
      kind: "fixed",
      scaleBits: 0,
      lo: -32768,
      hi: 32767,
    });
    expect(encodingOf([0.5, -0.25, 1, 0.3])).toEqual({
      kind: "fixed",
      scaleBits: 14,
      lo: -32768,
      hi: 32767,
    });
    expect(encodingOf([0.001, 4000.5, 0.002, 1.5])).toMatchObject({
      kind: "fixed",
      lo: 0,
      hi: 2 ** 32 - 1,
    });
  });

  it("reports regressions by their error, and dead and constant values", () => {
    const bytes = smallModel({
      shape: [2],
      nodes: [
        node("Gemm", ["x", "w", "b"], "h"),
        node("Relu", ["h"], "r"),
        node("Gemm", ["r", "v"], "y"),
      ],
      initializers: [
        floats("w", [2, 3], [1, 1, 0, 1, -1, 0]),
        floats("b", [3], [0, -100, 2]),
        floats("v", [3, 1], [1, 1, 1]),
      ],
    });
    const calibration = { rows: 3, inputs: { x: [1, 2, -1, 3, 0, 0] }, labels: [5, 4, 2.5] };
    const { report } = compileModel(bytes, { ...grid, calibration });
    expect(report.metric).toEqual({
      name: "rmse",
      float: Math.sqrt(0.25 / 3),
      quantized: Math.sqrt(0.25 / 3),
    });
    expect(report.argmaxAgreement).toBeUndefined();
    const relu = report.layers.find(({ kind }) => kind === "activate")!;
    // One is never above 0, and one depends on nothing.
    expect(relu).toMatchObject({ name: "r", values: 3, dead: 2, constant: 2 });
    expect(relu.headroomBits).toBe(relu.bitsMax - relu.bitsSeen);
    // Up to 8 in multiples of 2^-8.
    expect(relu.bitsMax).toBe(11);
  });

  it("keeps no more bits of an activation than asked, and no fewer than are exact", () => {
    const model = (factor: number) =>
      smallModel({
        shape: [2],
        nodes: [node("Mul", ["x", "c"], "m"), node("Relu", ["m"], "y")],
        initializers: [floats("c", [], [factor])],
      });
    const shifts = (factor: number, activationBits: number) =>
      compileModel(model(factor), { ...grid, activationBits }).graph.steps.flatMap((step) =>
        step.kind === "activate" ? [step.shiftBits] : [],
      );
    expect(shifts(0.75, 4)).toEqual([8]);
    expect(shifts(0.75, 32)).toEqual([0]);
  });

  it("leaves out what the output does not depend on", () => {
    const model: SmallModel = {
      shape: [2],
      nodes: [
        node("Gemm", ["x", "w"], "h"),
        node("Relu", ["h"], "r"),
        node("Slice", ["r", "from", "to", "axis"], "y"),
        node("Erf", ["x"], "unused"),
      ],
      initializers: [
        floats("w", [2, 8], new Array<number>(16).fill(0.5)),
        ...[["from", 2] as const, ["to", 4] as const, ["axis", 1] as const].map(
          ([name, value]) => ({
            name,
            datatype: "INT64" as const,
            shape: [1],
            data: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
          }),
        ),
      ],
    };
    const { graph } = compileModel(smallModel(model), grid);
    expect(
      graph.steps.map((step) => [step.kind, "rows" in step ? step.rows.bias.length : 0]),
    ).toEqual([
      ["linear", 2],
      ["activate", 0],
    ]);
  });
});

describe("corner cases against onnxruntime", () => {
  const random = new SeededRandom(3);
  const zeros = (count: number) => new Array<number>(count).fill(0);
  it.each<readonly [string, SmallModel]>([
    [
      "a row of weights that are all 0",
      {
        shape: [2],
        nodes: [node("Gemm", ["x", "w", "b"], "h"), node("Relu", ["h"], "y")],
        initializers: [floats("w", [2, 2], [1, 0, -1, 0]), floats("b", [2], [0, 0.75])],
      },
    ],
    [
      "all weights 0",
      {
        shape: [2],
        nodes: [
          node("Gemm", ["x", "w", "b"], "h"),
          node("Relu", ["h"], "r"),
          node("Add", ["r", "x"], "y"),
        ],
        initializers: [floats("w", [2, 2], zeros(4)), floats("b", [2], [-0, -1.3])],
      },
    ],
    [
      "negative zeros",
      {
        shape: [2],
        nodes: [node("Mul", ["x", "c"], "y")],
        initializers: [floats("c", [2], [-0, 1])],
      },
    ],
    [
      "duplicate inputs",
      {
        shape: [2],
        nodes: [
          node("Concat", ["x", "x", "x"], "c", { axis: 1 }),
          node("MatMul", ["c", "w"], "m"),
          node("Relu", ["m"], "y"),
        ],
        initializers: [floats("w", [6, 2], [1, 2, 3, 4, -1, -2, 0.5, 6, -7, 0.1, 3, 0.3])],
      },
    ],
    [
      "exact halves",
      {
        shape: [4],
        nodes: [node("Mul", ["x", "c"], "m"), node("Relu", ["m"], "y")],
        initializers: [floats("c", [], [2 ** -10])],
      },
    ],
    [
      "weights of very different sizes",
      {
        shape: [3],
        nodes: [node("MatMul", ["x", "w"], "m"), node("Relu", ["m"], "y")],
        initializers: [floats("w", [3, 2], [1000, 1e-4, 1, 3e-4, 0.001, -2e-4])],
      },
    ],
    [
      "a large bias",
      {
        shape: [2],
        nodes: [node("Gemm", ["x", "w", "b"], "h"), node("Relu", ["h"], "y")],
        initializers: [floats("w", [2, 1], [0.001, -0.002]), floats("b", [1], [1000])],
      },
    ],
  ])("%s", async (_, model) => {
    await checkModel(model, random, { rows: 30 });
  });
});

describe("canonical", () => {
  const graph = (name: string): IntegerGraph => ({
    compilerVersion: 1,
    inputs: [{ name: "x", shape: [2], encoding: { kind: "fixed", scaleBits: 0, lo: -0, hi: 255 } }],
    steps: [
      {
        kind: "linear",
        name,
        rows: {
          rowStart: Int32Array.of(0, 2),
          columns: Int32Array.of(0, 1),
          weights: Float64Array.of(3, -4),
          bias: Float64Array.of(-0),
        },
      },
    ],
    output: {
      name: "y",
      shape: [1],
      values: Int32Array.of(2),
      scaleBits: 1,
      after: "nothing",
      argmax: false,
      classLabels: ["é"],
    },
  });

  it("writes the same bytes whatever the names of the steps, and no negative zero", () => {
    const text = new TextDecoder().decode(canonicalBytes(graph("a")));
    expect(text).toBe(
      '{"format":"plinth-integer-graph-1","compilerVersion":1,"inputs":[{"name":"x","shape":[2],' +
        '"encoding":{"kind":"fixed","scaleBits":0,"lo":0,"hi":255}}],"steps":[{"kind":"linear",' +
        '"rowStart":[0,2],"columns":[0,1],"weights":[3,-4],"bias":[0]}],"output":{"name":"y",' +
        '"shape":[1],"scaleBits":1,"after":"nothing","argmax":false,"classLabels":["é"]},"outputValues":[2]}',
    );
    expect(modelCommitment(graph("a"))).toBe(modelCommitment(graph("another")));
    expect(modelCommitment({ ...graph("a"), compilerVersion: 2 })).not.toBe(
      modelCommitment(graph("a")),
    );
  });

  it("refuses what is no safe integer", () => {
    const broken = graph("a");
    (broken.steps[0] as { rows: { weights: Float64Array } }).rows.weights[0] = 0.5;
    expect(() => canonicalBytes(broken)).toThrow(RangeError);
  });
});

describe("a perceptron of MNIST's size", () => {
  it("compiles in well under a second and agrees with its floats", () => {
    const random = new SeededRandom(11);
    const weights = (count: number, scale: number) =>
      Array.from({ length: count }, () => (random.uint32() / 2 ** 31 - 1) * scale);
    const bytes = smallModel({
      shape: [784],
      nodes: [
        node("Div", ["x", "max"], "s"),
        node("Gemm", ["s", "w1", "b1"], "h"),
        node("Relu", ["h"], "r"),
        node("Gemm", ["r", "w2", "b2"], "l"),
        node("Softmax", ["l"], "y"),
      ],
      initializers: [
        floats("max", [], [255]),
        floats("w1", [784, 128], weights(784 * 128, 0.1)),
        floats("b1", [128], weights(128, 0.1)),
        floats("w2", [128, 10], weights(1280, 0.2)),
        floats("b2", [10], weights(10, 0.1)),
      ],
    });
    const x = Uint8Array.from({ length: 100 * 784 }, () => random.below(256));
    const { graph, report } = compileModel(bytes, { calibration: { rows: 100, inputs: { x } } });
    expect(graph.inputs[0]!.encoding).toEqual({ kind: "fixed", scaleBits: 0, lo: 0, hi: 255 });
    expect(graph.steps.map(({ kind }) => kind)).toEqual(["linear", "activate", "linear"]);
    expect(report.argmaxAgreement).toBeGreaterThan(0.98);
  });
});
