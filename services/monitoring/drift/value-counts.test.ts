import { describe, expect, it } from "vitest";
import { nextUp } from "../next-up.ts";
import { distinctTogether } from "./choose-method.ts";
import { histogramOf, numericSample } from "./distribution.ts";
import type { DriftMethod } from "./drift-method.ts";
import { measureDrift } from "./measure-drift.ts";
import { lcg } from "./testing.ts";
import { pairValues, valueCounts } from "./value-counts.ts";

/** A bin of one double for each of these values, and empty bins between them. */
function binsOf(values: readonly number[]): Float64Array {
  return Float64Array.from(values.flatMap((value) => [value, nextUp(value)]));
}

describe("value-counts", () => {
  it("counts the different values of rows", () => {
    expect(valueCounts(numericSample([2, 1, 2, 0, 0]))).toEqual({
      values: Float64Array.of(0, 1, 2),
      counts: Float64Array.of(2, 1, 2),
    });
    expect(valueCounts(numericSample([-0, 0]))?.counts).toEqual(Float64Array.of(2));
  });

  it("pairs them", () => {
    const [a, b] = [numericSample([2, 1, 2]), numericSample([3, 2])].map((s) => valueCounts(s)!);
    expect(pairValues(a!, b!)).toEqual({
      values: Float64Array.of(1, 2, 3),
      baseline: Float64Array.of(1, 2, 0),
      current: Float64Array.of(0, 1, 1),
    });
  });

  it("reads them from bins of one value, and from no others", () => {
    const sample = numericSample([-1.5, 0, 0, 7]);
    const exact = histogramOf(sample, binsOf([-1.5, 0, 7]));
    expect(valueCounts(exact)).toEqual(valueCounts(sample));
    expect(valueCounts(histogramOf(sample, Float64Array.of(-2, 0, 7)))).toBeUndefined();
    expect(valueCounts(histogramOf(sample, binsOf([-1.5, 0])))).toBeUndefined();
    const onRightEdge = numericSample([0, nextUp(7)]);
    expect(valueCounts(histogramOf(onRightEdge, binsOf([0, 7])))).toBeUndefined();
  });

  it.each([
    [0, 5e-324],
    [1, 1 + Number.EPSILON],
    [-1, -1 + Number.EPSILON / 2],
    [-5e-324, 0],
  ])("knows the next double after %d", (x, next) => {
    expect(nextUp(x)).toBe(next);
  });

  it.each([
    "psi",
    "kl_divergence",
    "jensen_shannon",
    "hellinger",
    "chi_square",
    "chi_square_contingency",
    "wasserstein",
    "kolmogorov_smirnov",
  ] satisfies DriftMethod[])("give from bins of one value what rows give: %s", (method) => {
    const baseline = numericSample(lcg(1, 800).map((x) => Math.floor(x * 6)));
    const current = numericSample(lcg(2, 700).map((x) => 1 + Math.floor(x ** 1.2 * 7)));
    const a = histogramOf(baseline, binsOf([0, 1, 2, 3, 4, 5]));
    const b = histogramOf(current, binsOf([1, 2, 3, 4, 5, 6, 7]));
    expect(distinctTogether(a, b)).toBe(8);
    const rows = measureDrift({ baseline, current }, { method });
    const bins = measureDrift({ baseline: a, current: b }, { method });
    if (rows.outcome !== "measured" || bins.outcome !== "measured") throw new Error("measured");
    expect(bins.value).toBeCloseTo(rows.value, 10);
  });
});
