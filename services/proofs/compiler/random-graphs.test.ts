import { describe, expect, it } from "vitest";
import { floats, type Initializer, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { evaluateExactly, integerEvaluator } from "./integer-evaluate.ts";
import { checkModel, type SmallModel } from "./testing.ts";

/** A graph that grows node by node; shapes are without the batch. */
class GraphMaker {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  readonly #random: SeededRandom;
  name = "x";
  shape: readonly number[];

  constructor(random: SeededRandom, shape: readonly number[]) {
    this.#random = random;
    this.shape = shape;
  }

  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  weights(shape: readonly number[], scale: number): string {
    const name = `w${this.initializers.length}`;
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Array.from(
      { length: count },
      () => (this.#random.uint32() / 2 ** 31 - 1) * scale,
    );
    this.initializers.push(floats(name, shape, values));
    return name;
  }

  add(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes: Node["attributes"] = {},
  ): void {
    const output = `t${this.nodes.length}`;
    this.nodes.push({ op, inputs, outputs: [output], attributes });
    this.name = output;
    this.shape = shape;
  }

  step(): void {
    const flat = this.shape.length === 1;
    this.#random.pick(flat ? FLAT_STEPS : IMAGE_STEPS)(this, this.#random);
  }
}

type Growth = (graph: GraphMaker, random: SeededRandom) => void;

const same =
  (op: string, attributes: Node["attributes"] = {}): Growth =>
  (graph) =>
    graph.add(op, [graph.name], graph.shape, attributes);

const BOTH: readonly Growth[] = [
  same("Relu"),
  same("LeakyRelu", { alpha: { float: 0.25 } }),
  same("LeakyRelu", { alpha: { float: 0.2 } }),
  (graph) => {
    graph.initializers.push(floats("six", [], [1.5]), floats("zero", [], [-0.25]));
    graph.add("Clip", [graph.name, "zero", "six"], graph.shape);
  },
  (graph) => graph.add("Mul", [graph.name, graph.weights([], 1.5)], graph.shape),
  (graph) => graph.add("Add", [graph.name, graph.weights(graph.shape, 1)], graph.shape),
  (graph) => {
    const start = graph.name;
    graph.add("Relu", [start], graph.shape);
    graph.add("Sub", [start, graph.name], graph.shape);
  },
];

const FLAT_STEPS: readonly Growth[] = [
  ...BOTH,
  (graph, random) => {
    const width = 2 + random.below(6);
    const scale = 1 / Math.sqrt(graph.size);
    const inputs = [
      graph.name,
      graph.weights([graph.size, width], scale),
      graph.weights([width], 0.5),
    ];
    graph.add("Gemm", inputs, [width]);
  },
  (graph) => {
    const start = graph.name;
    graph.add("MatMul", [start, graph.weights([graph.size, graph.size], 0.4)], graph.shape);
    graph.add("Add", [graph.name, start], graph.shape);
  },
];

const IMAGE_STEPS: readonly Growth[] = [
  ...BOTH,
  (graph, random) => {
    const [channels = 1, height = 1, width = 1] = graph.shape;
    const out = 1 + random.below(3);
    const scale = 1 / Math.sqrt(channels * 9);
    const inputs = [
      graph.name,
      graph.weights([out, channels, 3, 3], scale),
      graph.weights([out], 0.3),
    ];
    graph.add("Conv", inputs, [out, height, width], { pads: { integers: [1, 1, 1, 1] } });
  },
  (graph) => {
    const [channels = 1, height = 1, width = 1] = graph.shape;
    if (height > 1 && width > 1) {
      const op = graph.nodes.length % 2 === 0 ? "MaxPool" : "AveragePool";
      const kernel = { kernel_shape: { integers: [2, 2] } };
      graph.add(op, [graph.name], [channels, height - 1, width - 1], kernel);
    }
  },
  (graph) => graph.add("Flatten", [graph.name], [graph.size]),
  (graph) => {
    const [channels = 1, height = 1, width = 1] = graph.shape;
    const perm = { perm: { integers: [0, 1, 3, 2] } };
    graph.add("Transpose", [graph.name], [channels, width, height], perm);
  },
];

function randomModel(seed: number): SmallModel {
  const random = new SeededRandom(seed);
  const shape = random.below(2) === 0 ? [3 + random.below(5)] : [1 + random.below(2), 4, 5];
  const graph = new GraphMaker(random, shape);
  const steps = 2 + random.below(6);
  for (let i = 0; i < steps; i++) {
    graph.step();
  }
  graph.add(random.pick(["Identity", "Sigmoid", "Tanh"]), [graph.name], graph.shape);
  const last = graph.nodes.at(-1)!;
  const nodes = [...graph.nodes.slice(0, -1), { ...last, outputs: ["y"] }];
  const unique = new Map(graph.initializers.map((one) => [one.name, one]));
  return { shape, nodes, initializers: [...unique.values()] };
}

describe("random graphs against onnxruntime", () => {
  it.each(Array.from({ length: 60 }, (_, i) => i))(
    "graph %i is within the reported bound",
    async (seed) => {
      const model = randomModel(seed);
      const random = new SeededRandom(seed + 1000);
      const { compiled, bound } = await checkModel(model, random, { rows: 12 });
      expect(bound).toBeLessThan(1);
      const evaluate = integerEvaluator(compiled.graph);
      const inputs = Array.from(
        { length: model.shape.reduce((a, b) => a * b, 1) },
        () => random.below(2048) - 1024,
      );
      const exact = evaluateExactly(compiled.graph, inputs.map(BigInt));
      expect(Array.from(evaluate(inputs).values, BigInt)).toEqual(exact);
    },
  );
});
