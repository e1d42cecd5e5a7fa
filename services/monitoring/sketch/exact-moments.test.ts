import { describe, expect, it } from "vitest";
import {
  addExact,
  copyExact,
  type ExactMoments,
  mergeExactInto,
  newExactMoments,
  readExact,
  readMoments,
  writeExact,
} from "./exact-moments.ts";
import { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { DRAWS, normal, seeded, shuffled } from "./testing.ts";

function momentsOf(values: readonly number[]): ExactMoments {
  const moments = newExactMoments();
  for (let start = 0; start < values.length; start += 1000) {
    const part = Float64Array.from(values.slice(start, start + 1000));
    addExact(moments, part, part.length);
  }
  return moments;
}

function bytesOf(moments: ExactMoments): string {
  const writer = new SketchWriter();
  writeExact(writer, moments);
  return Buffer.from(writer.finish()).toString("hex");
}

/** The value in units of 2^-1074, by another way than the code under test. */
function exactly(value: number): bigint {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0]!;
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & ((1n << 52n) - 1n);
  const magnitude = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return bits >> 63n === 1n ? -magnitude : magnitude;
}

describe("exact-moments", () => {
  it("gives literal moments", () => {
    expect(readMoments(momentsOf([2, 4, 4, 4, 5, 5, 7, 9]), 8)).toEqual({
      sum: 40,
      sumSquares: 232,
      mean: 5,
      variance: 4,
      std: 2,
    });
    expect(readMoments(newExactMoments(), 0)).toEqual({
      sum: 0,
      sumSquares: 0,
      mean: Number.NaN,
      variance: Number.NaN,
      std: Number.NaN,
    });
  });

  it("keeps what floating-point sums lose", () => {
    const { sum, mean } = readMoments(momentsOf([1e308, 1, 1e-300, -1e308, -1]), 5);
    expect(sum).toBe(1e-300);
    expect(mean).toBe(2e-301);
    const times = readMoments(momentsOf([1e15, 1e15 + 2, 1e15 + 4]), 3);
    expect(times.variance).toBe(8 / 3);
    const huge = readMoments(momentsOf([1e300, -1e300]), 2);
    expect(huge).toMatchObject({ sumSquares: Infinity, variance: Infinity, std: 1e300 });
    expect(readMoments(momentsOf([5e-324, 5e-324]), 2).sum).toBe(1e-323);
  });

  it("equals sums of big integers over all doubles", () => {
    const random = seeded(1);
    const values = Array.from({ length: 3000 }, () => DRAWS.anyBits!(random)).filter(
      Number.isFinite,
    );
    const back = momentsOf([...values, ...values.slice(1).map((value) => -value)]);
    expect(readMoments(back, 1).sum).toBe(values[0]);
    const sum = values.reduce((total, value) => total + exactly(value), 0n);
    const squares = values.reduce((total, value) => total + exactly(value) ** 2n, 0n);
    const hex = bytesOf(momentsOf(values));
    const magnitude = (total: bigint) => {
      const text = (total < 0n ? -total : total).toString(16);
      return text.padStart(text.length + (text.length % 2), "0").replace(/(00)+$/, "");
    };
    expect(hex).toContain(magnitude(sum));
    expect(hex).toContain(magnitude(squares));
  });

  it("is equal to the last bit in any order and grouping", () => {
    const random = seeded(2);
    for (const draw of [normal, DRAWS.logNormal!, DRAWS.times!, DRAWS.anyBits!]) {
      const values = Array.from({ length: 2000 }, () => draw(random)).filter(Number.isFinite);
      const expected = bytesOf(momentsOf(values));
      const order = shuffled(random, values);
      const cut = Math.floor(order.length * random());
      const merged = copyExact(momentsOf(order.slice(cut)));
      mergeExactInto(merged, momentsOf(order.slice(0, cut)));
      expect(bytesOf(merged)).toBe(expected);
      expect(bytesOf(readExact(new SketchReader(Buffer.from(expected, "hex"))))).toBe(expected);
    }
  });

  it("stays exact while carries are postponed for long", () => {
    const moments = newExactMoments();
    const part = new Float64Array(1000).fill(-(2 - 2 ** -52));
    for (let i = 0; i < 200; i++) {
      addExact(moments, part, part.length);
    }
    const { mean, variance } = readMoments(moments, 200_000);
    expect([mean, variance]).toEqual([-(2 - 2 ** -52), 0]);
  });
});
