import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { exponentAbove, halvings, powerOfTwo } from "./binary-scale.ts";
import { encodeValue } from "./input-encoding.ts";
import { evaluateExactly, integerEvaluator } from "./integer-evaluate.ts";
import type { IntegerGraph, Step } from "./integer-graph.ts";
import { floatOfKey, KEY_MAX, KEY_MIN, orderedKey } from "./ordered-float.ts";

describe("ordered-float", () => {
  it("keeps the order of float32 and gives it back", () => {
    const random = new SeededRandom(1);
    const view = new DataView(new ArrayBuffer(4));
    const any = () => {
      view.setUint32(0, random.uint32());
      return view.getFloat32(0);
    };
    for (let i = 0; i < 100_000; i++) {
      const a = any();
      const b = random.below(4) === 0 ? -a : any();
      if (Number.isFinite(a) && Number.isFinite(b)) {
        expect(Math.sign(orderedKey(a) - orderedKey(b))).toBe(Math.sign(Math.sign(a - b)));
        expect(floatOfKey(orderedKey(a)) === a).toBe(true);
      }
    }
  });

  it("gives the keys that inputs are encoded by", () => {
    // The bits of a float32: those of negative numbers flipped, of others with the first one set.
    const keys: readonly (readonly [value: number, key: number])[] = [
      [-3.4028234663852886e38, 0x00800000],
      [-1, 0x407fffff],
      [-(2 ** -149), 0x7ffffffe],
      [2 ** -149, 0x80000001],
      [0.1, 0xbdcccccd],
      [1, 0xbf800000],
      [3.4028234663852886e38, 0xff7fffff],
    ];
    for (const [value, key] of keys) {
      expect(orderedKey(value)).toBe(key);
      expect(encodeValue({ kind: "ordered-float32" }, value)).toBe(key);
      expect(floatOfKey(key)).toBe(Math.fround(value));
    }
    expect([KEY_MIN, KEY_MAX]).toEqual([keys[0]?.[1], keys.at(-1)?.[1]]);
  });

  it("takes -0 as 0 and leaves infinities outside", () => {
    expect(orderedKey(-0)).toBe(orderedKey(0));
    expect(orderedKey(0)).toBe(0x80000000);
    expect(floatOfKey(0x7fffffff)).toBe(-0);
    for (const above of [Number.POSITIVE_INFINITY, 3.5e38]) {
      expect(orderedKey(above)).toBe(KEY_MAX + 1);
      expect(orderedKey(-above)).toBe(KEY_MIN - 1);
    }
  });
});

describe("input-encoding", () => {
  const fixed = { kind: "fixed", scaleBits: 1, lo: -8, hi: 7 } as const;

  it("rounds halves away from zero, without a negative zero, and never clamps", () => {
    const encoded = [0.25, -0.25, 0.75, 0.2499999999999999, -0.1, -0, 3.7, -4.2].map((value) =>
      encodeValue(fixed, value),
    );
    expect(encoded).toEqual([1, -1, 2, 0, 0, 0, 7, -8]);
    for (const value of [3.75, -4.25, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => encodeValue(fixed, value)).toThrow(RangeError);
    }
  });
});

describe("binary-scale", () => {
  it("gives powers, exponents and halvings from the bits", () => {
    expect([-1022, -3, 0, 10, 1023].map(powerOfTwo)).toEqual([
      2 ** -1022,
      0.125,
      1,
      1024,
      2 ** 1023,
    ]);
    expect([1, 1.0001, 0.5, 0.75, -8, 9].map(exponentAbove)).toEqual([0, 1, -1, 0, 3, 4]);
    expect([0.5, 0.25, 1, 0.3, 0, -0.5].map(halvings)).toEqual([
      1,
      2,
      0,
      undefined,
      undefined,
      undefined,
    ]);
    expect(() => powerOfTwo(1024)).toThrow(RangeError);
    expect(() => powerOfTwo(0.5)).toThrow(RangeError);
  });
});

describe("integer-evaluate", () => {
  const graphOf = (steps: readonly Step[], values: number): IntegerGraph => ({
    compilerVersion: 1,
    inputs: [
      {
        name: "x",
        shape: [2],
        encoding: { kind: "fixed", scaleBits: 0, lo: -(2 ** 31), hi: 2 ** 31 - 1 },
      },
    ],
    steps,
    output: {
      name: "y",
      shape: [1],
      values: Int32Array.of(values),
      scaleBits: 0,
      after: "nothing",
      argmax: false,
      classLabels: [],
    },
  });
  const sum = (columns: readonly number[], weights: readonly number[], bias: number): Step => ({
    kind: "linear",
    name: "sum",
    rows: {
      rowStart: Int32Array.of(0, columns.length),
      columns: Int32Array.from(columns),
      weights: Float64Array.from(weights),
      bias: Float64Array.of(bias),
    },
  });

  it("stays exact beyond the safe integers", () => {
    const large = 2 ** 50 - 1;
    const graph = graphOf([sum([0, 1], [large, large], 1), sum([1, 2], [3, 5], 7)], 3);
    const run = integerEvaluator(graph)([2 ** 31 - 1, 2 ** 31 - 3]);
    const first = BigInt(large) * (2n ** 32n - 4n) + 1n;
    expect(run.output).toEqual([3n * (2n ** 31n - 3n) + 5n * first + 7n]);
  });

  it("is exact where large products cancel each other", () => {
    const large = 2 ** 50 - 1;
    const graph = graphOf([sum([0, 1], [large, -large], 5)], 2);
    const run = integerEvaluator(graph)([2 ** 31 - 1, 2 ** 31 - 3]);
    expect(Number(run.output[0])).toBe(2 * large + 5);
  });

  it.each<readonly [number, readonly number[], readonly number[]]>([
    [1, [3, 2, 1, 0, -1, -2, -3], [2, 1, 1, 0, 0, -1, -1]],
    [2, [7, 6, 5, 2, 1, -1, -2, -3, -6, -7], [2, 2, 1, 1, 0, 0, 0, -1, -1, -2]],
    [0, [1, -1], [1, -1]],
  ])("rounds half up at a shift of %i", (shiftBits, given, rounded) => {
    const step: Step = {
      kind: "activate",
      name: "round",
      values: Int32Array.of(0),
      shiftBits,
      activation: { kind: "none" },
    };
    const graph = graphOf([step], 2);
    expect(given.map((x) => integerEvaluator(graph)([x, 0]).output[0])).toEqual(rounded);
    const exact = given.map((x) => evaluateExactly(graph, [BigInt(x), 0n])[2]);
    expect(exact).toEqual(rounded.map(BigInt));
  });

  it("takes the first of equal maxima as the class", () => {
    const graph = graphOf([], 0);
    const all = { ...graph, output: { ...graph.output, values: Int32Array.of(0, 1, 0) } };
    expect(integerEvaluator(all)([5, 5]).argmax).toBe(0);
    expect(integerEvaluator(all)([4, 5]).argmax).toBe(1);
  });
});
