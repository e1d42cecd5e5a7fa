import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { publicValuesOf } from "../circuit/constraint-system.ts";
import { toField } from "../field.ts";
import { decodeSignals } from "../verifier/decode-signals.ts";
import { decodeWhole, encodedRange, valueEncoding } from "../verifier/signal-encoding.ts";
import { applyAfter } from "./check-lowering.ts";
import { type CompiledModel, compileModel } from "./compile-model.ts";
import { integerEvaluator } from "./integer-evaluate.ts";
import type { EachEncoding, InputEncoding } from "./integer-graph.ts";
import { checkInvariants, encodedRow, runOnnxruntime, smallModel } from "./testing.ts";

const ROWS = 120;

/** A table of which column i has values up to about sizes[i] in size. */
function table(random: SeededRandom, sizes: readonly number[], rows = ROWS): number[] {
  const any = () => random.uint32() / 2 ** 32;
  return Array.from({ length: rows }, () => sizes.map((size) => Math.fround(size * any()))).flat();
}

function encodingOf(x: readonly number[], columns: number, shape = [columns]): InputEncoding {
  const nodes = [{ op: "Relu", inputs: ["x"], outputs: ["y"] }];
  const calibration = { rows: x.length / columns, inputs: { x } };
  return compileModel(smallModel({ shape, nodes }), { calibration }).graph.inputs[0]!.encoding;
}

describe("encode-columns", () => {
  it("gives columns that differ widely scales of their own, of 16 bits each", () => {
    const x = table(new SeededRandom(1), [4000, 0.002, 1, 30]);
    expect(encodingOf(x, 4)).toEqual({
      kind: "fixed-each",
      // Up to four times the largest, in 16 bits: 2^14, 2^-6, 2^2 and 2^7.
      scaleBits: [2, 22, 14, 9],
      lo: [0, 0, 0, 0],
      hi: [65_535, 65_535, 65_535, 65_535],
    });
  });

  it("takes columns of whole numbers exactly, with room, and a sign where any column has one", () => {
    const parts = table(new SeededRandom(2), [4000, 0.002, 1, 1, 1]);
    const whole = (size: number, x: number) => Math.floor(x * size);
    const x = parts.map(
      (value, i) =>
        [value, value, whole(2, value), whole(101, value), whole(151, value)].at(i % 5)!,
    );
    expect(encodingOf(x, 5)).toEqual({
      kind: "fixed-each",
      scaleBits: [2, 22, 0, 0, 0],
      lo: [0, 0, 0, 0, 0],
      hi: [65_535, 65_535, 255, 255, 65_535],
    });
    expect(encodingOf(x.with(1, -0.0001), 5)).toEqual({
      kind: "fixed-each",
      scaleBits: [1, 21, 0, 0, 0],
      lo: [-32_768, -32_768, -128, -32_768, -32_768],
      hi: [32_767, 32_767, 127, 32_767, 32_767],
    });
  });

  it("takes 32 bits for a column that varies little beside its size, and only for that one", () => {
    const x = table(new SeededRandom(3), [1, 0.002, 1]).map((value, i) =>
      i % 3 === 0 ? Math.fround(1_700_000 + value) : value,
    );
    expect(encodingOf(x, 3)).toMatchObject({
      kind: "fixed-each",
      scaleBits: [10, 22, 14],
      hi: [2 ** 32 - 1, 65_535, 65_535],
    });
  });

  it("keeps one scale where 16 bits are enough, for for images", () => {
    const random = new SeededRandom(4);
    const even = table(random, [1, 2, 3, 4]);
    expect(encodingOf(even, 4)).toEqual({ kind: "fixed", scaleBits: 13, lo: 0, hi: 65_535 });
    const wide = table(random, [4000, 0.002, 1, 30]);
    const one = { kind: "fixed", scaleBits: 19, lo: 0, hi: 2 ** 32 - 1 };
    expect(encodingOf(wide, 4, [2, 2])).toEqual(one);
  });

  it("keeps one scale where columns are known too little, as pixels that are seldom lit", () => {
    const random = new SeededRandom(5);
    const x = Array.from({ length: ROWS * 40 }, () =>
      random.below(60) === 0 ? Math.fround(random.uint32() / 2 ** 32) : 0,
    );
    expect(encodingOf(x, 40)).toMatchObject({ kind: "fixed", lo: 0, hi: 2 ** 32 - 1 });
    const few = table(random, [4000, 0.002, 1], 2).with(3, 0.5);
    expect(encodingOf(few, 3)).toMatchObject({ kind: "fixed" });
    expect(encodingOf(few.slice(0, 3), 3)).toMatchObject({ kind: "fixed" });
  });

  it("leaves a range that was said to all values of an input", () => {
    const x = table(new SeededRandom(6), [4000, 0.002, 1, 30]);
    const nodes = [{ op: "Relu", inputs: ["x"], outputs: ["y"] }];
    const { graph } = compileModel(smallModel({ shape: [4], nodes }), {
      calibration: { rows: ROWS, inputs: { x } },
      inputs: { x: { scaleBits: 4, lo: 0, hi: 4000 } },
    });
    expect(graph.inputs[0]!.encoding).toEqual({ kind: "fixed", scaleBits: 4, lo: 0, hi: 64_000 });
  });

  it("leaves out rows with what is no number, and is the same each time", () => {
    const x = table(new SeededRandom(7), [4000, 0.002, 1, 30]);
    const same = encodingOf(x, 4);
    expect(encodingOf(x, 4)).toEqual(same);
    expect(encodingOf([...x, Number.NaN, 0, 0, 0, Number.POSITIVE_INFINITY, 0, 0, 0], 4)).toEqual(
      same,
    );
  });

  it("takes no more bits than they need of columns of whole numbers beside a large one", () => {
    const x = table(new SeededRandom(10), [300_000, 20, 300, 300_000]).map(Math.floor);
    expect(encodingOf(x, 4)).toEqual({
      kind: "fixed-each",
      scaleBits: [0, 0, 0, 0],
      lo: [0, 0, 0, 0],
      hi: [2 ** 32 - 1, 255, 65_535, 2 ** 32 - 1],
    });
    const large = table(new SeededRandom(11), [300_000, 400_000]).map(Math.floor);
    expect(encodingOf(large, 2)).toEqual({ kind: "fixed", scaleBits: 0, lo: 0, hi: 2 ** 32 - 1 });
  });

  it("takes a column that never varies as a float, where that says nothing of its size", () => {
    const x = table(new SeededRandom(9), [4000, 0.002, 1, 1, 1]).map(
      (value, i) => [value, value, 0, 2024, 0.5].at(i % 5)!,
    );
    expect(encodingOf(x, 5)).toMatchObject({
      scaleBits: [2, 22, 8, 0, 15],
      hi: [65_535, 65_535, 65_535, 65_535, 65_535],
    });
  });

  it("bounds the scale of columns that are next to nothing", () => {
    const x = table(new SeededRandom(8), [4000, 1e-38, 1]);
    const { scaleBits } = encodingOf(x, 3) as EachEncoding;
    expect(scaleBits).toEqual([2, 100, 14]);
  });
});

const ENDS: readonly (readonly Node[])[] = [
  [
    { op: "Relu", inputs: ["h"], outputs: ["r"] },
    { op: "MatMul", inputs: ["r", "v"], outputs: ["y"] },
  ],
  [{ op: "Sigmoid", inputs: ["h"], outputs: ["y"] }],
  [
    { op: "Relu", inputs: ["z"], outputs: ["c"] },
    { op: "Concat", inputs: ["c", "h"], outputs: ["y"], attributes: { axis: 1 } },
  ],
  [
    { op: "Relu", inputs: ["x"], outputs: ["c"] },
    { op: "Mul", inputs: ["c", "scale"], outputs: ["d"] },
    { op: "Concat", inputs: ["d", "h"], outputs: ["y"], attributes: { axis: 1 } },
  ],
];

/** Layers over a table: a scaler, products with weights of the columns' own size, activations. */
function network(random: SeededRandom, sizes: readonly number[], seed: number) {
  const columns = sizes.length;
  const any = () => random.uint32() / 2 ** 31 - 1;
  const hidden = 2 + random.below(5);
  const nodes: Node[] = [
    { op: "Mul", inputs: ["x", "scale"], outputs: ["scaled"] },
    { op: "Sub", inputs: ["scaled", "mean"], outputs: ["z"] },
    { op: "Gemm", inputs: ["z", "w", "b"], outputs: ["h"] },
    ...ENDS[seed % 4]!,
  ];
  const initializers = [
    floats(
      "scale",
      [columns],
      sizes.map((size) => 1 / size),
    ),
    floats("mean", [columns], sizes.map(any)),
    floats("w", [columns, hidden], Array.from({ length: columns * hidden }, any)),
    floats("b", [hidden], Array.from({ length: hidden }, any)),
    floats("v", [hidden, 2], Array.from({ length: 2 * hidden }, any)),
  ];
  return smallModel({ shape: [columns], nodes, initializers });
}

/** Rows that the encoding holds exactly: its ends, and anything that samples go up to. */
function exactRows(random: SeededRandom, encoding: InputEncoding, x: readonly number[]) {
  const columns = encoding.kind === "fixed-each" ? encoding.lo.length : 0;
  const at = (i: number, share: number) => {
    const own = valueEncoding(encoding, i);
    const { lo, hi } = encodedRange(own);
    // Float32 holds 24 bits, which columns of 32 bits must be kept to.
    const step = 2 ** Math.max(0, Math.log2((hi + 1 - lo) / 2 ** 24));
    return decodeWhole(own, Math.floor((lo + share * (hi - lo)) / step) * step);
  };
  const shares = [() => 0, () => 1, (i: number) => i % 2, (i: number) => (i + 1) % 2];
  const ends = shares.map((share) => Array.from({ length: columns }, (_, i) => at(i, share(i))));
  const seen = Array.from({ length: 16 }, (_, row) =>
    Array.from({ length: columns }, (__, i) => {
      const own = valueEncoding(encoding, i);
      const near = x[((row * 7) % ROWS) * columns + i]!;
      const whole = encodedRow(own, [near])[0]!;
      return Math.fround(decodeWhole(own, whole)) + 0 * random.below(2);
    }),
  );
  return [...ends, ...seen];
}

/** The output that a circuit's public values say, after checking them against the interpreter. */
function proved({ graph, commitment }: CompiledModel) {
  const circuit = compileCircuit(graph, { modelCommitment: commitment });
  const evaluate = integerEvaluator(graph);
  return (row: readonly number[]) => {
    const inputs = circuit.encodeInputs({ tensors: [row], kind: "floats" });
    const witness = circuit.program.run(inputs);
    const values = publicValuesOf(circuit.system, witness).map((value) => toField(BigInt(value)));
    const { output, inputs: shown } = decodeSignals(circuit.schema, values);
    if (output.mode !== "values" || shown.mode !== "public") throw new Error("another mode");
    const { encoding } = graph.inputs[0]!;
    expect(output.integers).toEqual(evaluate(encodedRow(encoding, row)).output.map(BigInt));
    expect(shown.tensors[0]!.values).toEqual(row.map((value) => value + 0));
    return output.values;
  };
}

describe("tables whose columns differ widely, against onnxruntime", () => {
  it.each(Array.from({ length: 32 }, (_, i) => i))(
    "table %i is within the reported bound, in the circuit too",
    async (seed) => {
      const random = new SeededRandom(seed + 50);
      const columns = 3 + random.below(8);
      const sizes = Array.from({ length: columns }, (_, i) =>
        i < 2 ? [4096, 2 ** -9][i]! : 2 ** (random.below(24) - 12),
      );
      const bytes = network(random, sizes, seed);
      const x = table(random, sizes).map((value, i) => (seed % 3 === 0 && i % 2 ? -value : value));
      const compiled = compileModel(bytes, { calibration: { rows: ROWS, inputs: { x } } });
      checkInvariants(compiled.graph);
      const { encoding } = compiled.graph.inputs[0]!;
      expect(encoding.kind).toBe("fixed-each");
      const rows = exactRows(random, encoding, x);
      const expected = await runOnnxruntime(bytes, [columns], rows);
      const outputOf = proved(compiled);
      rows.forEach((row, at) => {
        const found = applyAfter(compiled.graph.output.after, Float64Array.from(outputOf(row)));
        expected[at]!.forEach((truth, i) => {
          const { bound } = compiled.report.outputs[i]!;
          const tolerance = bound + 1e-5 * Math.max(4, Math.abs(truth));
          expect(Math.abs(found[i]! - truth), `row ${at}, output ${i}`).toBeLessThan(tolerance);
        });
      });
      // What an activation of all columns gives has one scale, as far apart as they are.
      const most = seed % 4 === 3 ? 3 : 0.02;
      expect(Math.max(...compiled.report.outputs.map(({ max }) => max))).toBeLessThan(most);
    },
  );
});
