import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { applyAfter } from "./check-lowering.ts";
import { type CompiledModel, type CompileOptions, compileModel } from "./compile-model.ts";
import { runFloatModel } from "./float-model.ts";
import { encodeValue } from "./input-encoding.ts";
import { integerEvaluator } from "./integer-evaluate.ts";
import { modelGraph } from "./model-graph.ts";
import { readOnnx } from "./read-onnx.ts";
import { encodedRow, runOnnxruntime, type SmallModel, smallModel } from "./testing.ts";
import { UnsupportedModel } from "./unsupported.ts";

const COLUMNS = 4;
const MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"];
/** Thresholds that a careless comparison gets wrong. */
const HARD = [
  0,
  -0,
  0.1,
  1e-45,
  -1e-45,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  16777216,
  1 / 3,
];

interface Forest {
  readonly op: "TreeEnsembleRegressor" | "TreeEnsembleClassifier";
  readonly classes: number;
  readonly attributes: Node["attributes"];
  readonly thresholds: readonly number[];
}

/** Complete trees of depth 3 with random splits. */
function forest(
  random: SeededRandom,
  options: {
    readonly op: Forest["op"];
    readonly classes: number;
    readonly trees?: number;
    readonly idOf?: (score: number) => number;
    readonly weight?: () => number;
    readonly extra?: Node["attributes"];
  },
): Forest {
  const { op, classes, trees = 5, idOf = (score) => score, extra = {} } = options;
  const weight = options.weight ?? (() => random.uint32() / 2 ** 31 - 1);
  const scores = options.idOf === undefined ? classes : 1;
  const lists: Record<string, number[]> = {};
  const put = (name: string, value: number) => {
    lists[name] = [...(lists[name] ?? []), value];
  };
  const modes: string[] = [];
  const thresholds: number[] = [];
  for (let tree = 0; tree < trees; tree++) {
    for (let id = 0; id < 15; id++) {
      const isLeaf = id >= 7;
      const value =
        random.below(3) === 0 ? random.pick(HARD) : Math.fround(random.uint32() / 2 ** 30 - 2);
      put("nodes_treeids", tree);
      put("nodes_nodeids", id);
      put("nodes_featureids", isLeaf ? 0 : random.below(COLUMNS));
      put("nodes_truenodeids", isLeaf ? 0 : 2 * id + 1);
      put("nodes_falsenodeids", isLeaf ? 0 : 2 * id + 2);
      put("values", isLeaf ? 0 : value);
      modes.push(isLeaf ? "LEAF" : random.pick(MODES));
      if (!isLeaf) {
        thresholds.push(Math.fround(value));
      }
      for (let score = 0; isLeaf && score < scores; score++) {
        put("treeids", tree);
        put("nodeids", id);
        put("ids", idOf(score));
        put("weights", weight());
      }
    }
  }
  const prefix = op === "TreeEnsembleClassifier" ? "class" : "target";
  const integers = (name: string) => ({ integers: lists[name]! });
  return {
    op,
    classes,
    thresholds,
    attributes: {
      nodes_treeids: integers("nodes_treeids"),
      nodes_nodeids: integers("nodes_nodeids"),
      nodes_featureids: integers("nodes_featureids"),
      nodes_truenodeids: integers("nodes_truenodeids"),
      nodes_falsenodeids: integers("nodes_falsenodeids"),
      nodes_values: { floats: lists.values! },
      nodes_modes: { texts: modes },
      [`${prefix}_treeids`]: integers("treeids"),
      [`${prefix}_nodeids`]: integers("nodeids"),
      [`${prefix}_ids`]: integers("ids"),
      [`${prefix}_weights`]: { floats: lists.weights! },
      ...(op === "TreeEnsembleClassifier"
        ? {
            classlabels_int64s: { integers: Array.from({ length: classes }, (_, i) => 10 * i + 7) },
          }
        : { n_targets: classes }),
      ...extra,
    },
  };
}

function treeModel(forest_: Forest, before: readonly Node[] = [], input = "x"): SmallModel {
  const isClassifier = forest_.op === "TreeEnsembleClassifier";
  const node: Node = {
    op: forest_.op,
    domain: "ai.onnx.ml",
    inputs: [input],
    outputs: isClassifier ? ["label", "y"] : ["y"],
    attributes: forest_.attributes ?? {},
  };
  return { shape: [COLUMNS], nodes: [...before, node] };
}

const view = new DataView(new ArrayBuffer(4));
/** The float32 so many steps away, which is next to a threshold. */
function neighbour(value: number, steps: number): number {
  view.setFloat32(0, value);
  const bits = view.getInt32(0);
  view.setInt32(0, bits + steps);
  const found = view.getFloat32(0);
  return Number.isFinite(found) ? found : value;
}

function rowsFor(random: SeededRandom, thresholds: readonly number[], count = 60): number[][] {
  return Array.from({ length: count }, () =>
    Array.from({ length: COLUMNS }, () =>
      random.below(8) === 0 ? -0 : neighbour(random.pick(thresholds), random.below(3) - 1),
    ),
  );
}

function run(compiled: CompiledModel, row: readonly number[]): Float64Array {
  const { inputs, output } = compiled.graph;
  const { output: found } = integerEvaluator(compiled.graph)(encodedRow(inputs[0]!.encoding, row));
  return Float64Array.from(found, (value) => Number(value) * 2 ** -output.scaleBits);
}

/** The largest error over rows; the interpreter must agree too where it can. */
async function compare(
  model: SmallModel,
  rows: readonly number[][],
  options: CompileOptions & { readonly interprets?: boolean } = {},
): Promise<number> {
  const { interprets = true, ...compile } = options;
  const bytes = smallModel(model);
  const compiled = compileModel(bytes, compile);
  expect(compiled.graph.inputs[0]!.encoding).toEqual({ kind: "ordered-float32" });
  const expected = await runOnnxruntime(bytes, model.shape, rows);
  const graph = modelGraph(readOnnx(bytes));
  let worst = 0;
  rows.forEach((row, at) => {
    const found = applyAfter(compiled.graph.output.after, run(compiled, row));
    expect(found.length).toBe(expected[at]!.length);
    const off = Math.max(...Array.from(found, (value, i) => Math.abs(value - expected[at]![i]!)));
    if (interprets) {
      const reference = runFloatModel(graph, [row]).data;
      const other = Math.max(...Array.from(reference, (v, i) => Math.abs(v - expected[at]![i]!)));
      expect(other).toBeLessThan(1e-5);
    }
    worst = Math.max(worst, off);
  });
  return worst;
}

describe("trees against onnxruntime", () => {
  it.each([1, 2, 3, 4, 5, 6])(
    "decides as float32 does, at thresholds and next to them (%i)",
    async (seed) => {
      const random = new SeededRandom(seed);
      const made = forest(random, { op: "TreeEnsembleRegressor", classes: 1 + (seed % 2) });
      expect(await compare(treeModel(made), rowsFor(random, made.thresholds))).toBeLessThan(1e-5);
    },
  );

  it("never splits between -0 and 0, which are one value with two keys", () => {
    const random = new SeededRandom(21);
    const made = forest(random, { op: "TreeEnsembleRegressor", classes: 1, trees: 40 });
    const { graph } = compileModel(smallModel(treeModel(made)));
    const thresholds = graph.steps.flatMap((step) =>
      step.kind === "trees" ? step.trees.flatMap(({ nodes }) => nodes) : [],
    );
    const keys = thresholds.flatMap((node) => (node.kind === "split" ? [node.threshold] : []));
    expect(keys).toContain(0x80000000);
    expect(keys).toContain(0x7ffffffe);
    expect(keys).not.toContain(0x7fffffff);
  });

  it("averages, adds base values and applies a logistic", async () => {
    const random = new SeededRandom(7);
    const extra = {
      aggregate_function: { text: "AVERAGE" },
      base_values: { floats: [0.75, -2] },
      post_transform: { text: "LOGISTIC" },
    };
    const made = forest(random, { op: "TreeEnsembleRegressor", classes: 2, extra });
    expect(await compare(treeModel(made), rowsFor(random, made.thresholds))).toBeLessThan(1e-5);
  });

  it.each(["NONE", "SOFTMAX", "LOGISTIC"])("classifies three classes with %s", async (post) => {
    const random = new SeededRandom(8);
    const extra = { post_transform: { text: post }, base_values: { floats: [0.1, 0.2, -0.3] } };
    const made = forest(random, { op: "TreeEnsembleClassifier", classes: 3, extra });
    expect(await compare(treeModel(made), rowsFor(random, made.thresholds))).toBeLessThan(1e-5);
  });

  const positive = (random: SeededRandom) => () => random.uint32() / 2 ** 35;
  const binary = ["NONE", "SOFTMAX", "LOGISTIC"].flatMap((post) =>
    [0, 1].flatMap((id) => [true, false].map((isPositive) => ({ post, id, isPositive }))),
  );
  it.each(binary)("treats one score for two classes as onnxruntime does: %o", async (of) => {
    const random = new SeededRandom(9);
    const extra = { post_transform: { text: of.post } };
    const weight = of.isPositive ? positive(random) : () => random.uint32() / 2 ** 31 - 1;
    const made = forest(random, {
      op: "TreeEnsembleClassifier",
      classes: 2,
      idOf: () => of.id,
      weight,
      extra,
    });
    const rows = rowsFor(random, made.thresholds);
    expect(await compare(treeModel(made), rows)).toBeLessThan(1e-5);
    const labels = await runOnnxruntime(labelModel(made), [COLUMNS], rows);
    const found = compileLabel(made);
    rows.forEach((row, at) => {
      expect(found(row)).toBe(String(labels[at]![0]));
    });
  });

  it("takes two scores of their own, but not onnxruntime's label of them", async () => {
    const random = new SeededRandom(10);
    const made = forest(random, { op: "TreeEnsembleClassifier", classes: 2 });
    expect(await compare(treeModel(made), rowsFor(random, made.thresholds))).toBeLessThan(1e-5);
    expect(() => compileLabel(made)).toThrow(UnsupportedModel);
  });

  /** The label as the only output. */
  function labelModel(made: Forest): Uint8Array {
    const [node] = treeModel(made).nodes;
    const tree = { ...node!, outputs: ["label", "scores"] };
    const nodes = [tree, { op: "Identity", inputs: ["label"], outputs: ["y"] }];
    return smallModel({ shape: [COLUMNS], nodes, outputType: "INT64" });
  }

  function compileLabel(made: Forest): (row: readonly number[]) => string {
    const compiled = compileModel(labelModel(made));
    const evaluate = integerEvaluator(compiled.graph);
    const { encoding } = compiled.graph.inputs[0]!;
    return (row) => {
      const { argmax } = evaluate(encodedRow(encoding, row));
      return compiled.graph.output.classLabels[argmax]!;
    };
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "folds a Scaler into the thresholds exactly (%i)",
    async (seed) => {
      const random = new SeededRandom(seed * 31);
      const scale = Array.from({ length: COLUMNS }, () =>
        Math.fround((random.uint32() / 2 ** 31 - 1) * 3),
      );
      const offset = Array.from({ length: COLUMNS }, () =>
        Math.fround(random.uint32() / 2 ** 29 - 4),
      );
      const scaler: Node = {
        op: "Scaler",
        domain: "ai.onnx.ml",
        inputs: ["x"],
        outputs: ["s"],
        attributes: { scale: { floats: scale }, offset: { floats: offset } },
      };
      const made = forest(random, { op: "TreeEnsembleRegressor", classes: 1 });
      const undone = made.thresholds.map((value, i) => {
        const column = i % COLUMNS;
        const back = Math.fround(value / scale[column]! + offset[column]!);
        return Number.isFinite(back) ? back : 0;
      });
      const rows = rowsFor(random, undone, 150).map((row) =>
        row.map((value, i) => (i === 0 ? value : value)),
      );
      const error = await compare(treeModel(made, [scaler], "s"), rows, { interprets: false });
      expect(error).toBeLessThan(1e-5);
    },
  );

  it("folds Mul, Sub, Div and Add into the thresholds exactly", async () => {
    const random = new SeededRandom(77);
    const before: Node[] = [
      { op: "Mul", inputs: ["x", "a"], outputs: ["p"] },
      { op: "Sub", inputs: ["b", "p"], outputs: ["q"] },
      { op: "Div", inputs: ["q", "c"], outputs: ["r"] },
      { op: "Add", inputs: ["r", "b"], outputs: ["s"] },
      { op: "Gather", inputs: ["s", "i"], outputs: ["t"], attributes: { axis: 1 } },
    ];
    const made = forest(random, { op: "TreeEnsembleRegressor", classes: 1, trees: 20 });
    const model: SmallModel = {
      ...treeModel(made, before, "t"),
      initializers: [
        floats("a", [COLUMNS], [0.37, -2.2, 5, 1e-3]),
        floats("b", [], [0.77]),
        floats("c", [1, COLUMNS], [3, -7, 0.013, 1.1]),
        {
          name: "i",
          datatype: "INT64",
          shape: [4],
          data: new Uint8Array(BigInt64Array.from([3n, 2n, 0n, 1n]).buffer),
        },
      ],
    };
    const rows = Array.from({ length: 400 }, () =>
      Array.from({ length: COLUMNS }, () => Math.fround(random.uint32() / 2 ** 30 - 2)),
    );
    expect(await compare(model, rows, { interprets: false })).toBeLessThan(1e-5);
  });

  it("refuses NaN and infinities, and takes -0 as 0", () => {
    const encoding = { kind: "ordered-float32" } as const;
    expect(() => encodeValue(encoding, Number.NaN)).toThrow(RangeError);
    expect(() => encodeValue(encoding, Number.POSITIVE_INFINITY)).toThrow(RangeError);
    expect(() => encodeValue(encoding, 1e39)).toThrow(RangeError);
    expect(encodeValue(encoding, -0)).toBe(encodeValue(encoding, 0));
  });

  it.each([
    ["BRANCH_EQ", { nodes_modes: { texts: ["BRANCH_EQ", "LEAF", "LEAF"] } }],
    ["MAX", { aggregate_function: { text: "MAX" } }],
    ["reaches 1 of its 3", { nodes_truenodeids: { integers: [0, 0, 0] } }],
    ["2 roots", { nodes_falsenodeids: { integers: [1, 0, 0] } }],
    [
      "two parents",
      {
        nodes_modes: { texts: ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"] },
        nodes_truenodeids: { integers: [1, 2, 0] },
        nodes_falsenodeids: { integers: [2, 2, 0] },
        target_nodeids: { integers: [2, 2] },
      },
    ],
    ["entries", { nodes_values: { floats: [1] } }],
    ["weight", { target_nodeids: { integers: [0, 2] } }],
    ["feature 9", { nodes_featureids: { integers: [9, 0, 0] } }],
    ["PROBIT", { post_transform: { text: "PROBIT" } }],
  ])("refuses trees that are not: %s", (told, change) => {
    const attributes = {
      nodes_treeids: { integers: [0, 0, 0] },
      nodes_nodeids: { integers: [0, 1, 2] },
      nodes_featureids: { integers: [0, 0, 0] },
      nodes_truenodeids: { integers: [1, 0, 0] },
      nodes_falsenodeids: { integers: [2, 0, 0] },
      nodes_values: { floats: [0.5, 0, 0] },
      nodes_modes: { texts: ["BRANCH_LEQ", "LEAF", "LEAF"] },
      target_treeids: { integers: [0, 0] },
      target_nodeids: { integers: [1, 2] },
      target_ids: { integers: [0, 0] },
      target_weights: { floats: [1, 2] },
      ...change,
    };
    const node = {
      op: "TreeEnsembleRegressor",
      domain: "ai.onnx.ml",
      inputs: ["x"],
      outputs: ["y"],
      attributes,
    };
    const compile = () => compileModel(smallModel({ shape: [COLUMNS], nodes: [node] }));
    expect(compile).toThrow(UnsupportedModel);
    expect(compile).toThrow(told);
  });
});
