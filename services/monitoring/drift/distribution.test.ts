import { describe, expect, it } from "vitest";
import { pairCategories } from "./categories.ts";
import { cumulativeAt, cumulativeOf, quantileAt } from "./cumulative.ts";
import {
  categoricalDistribution,
  histogramOf,
  momentsOf,
  numericHistogram,
  numericSample,
  sizeOf,
} from "./distribution.ts";
import { fillZeroShares, floorShares } from "./shares.ts";

describe("distribution", () => {
  it("sorts, drops NaN and counts infinities apart", () => {
    const values = [3, Number.NaN, -1, Infinity, 10, -Infinity, Infinity];
    expect(numericSample(values)).toEqual({
      form: "sample",
      sorted: Float64Array.of(-1, 3, 10),
      nan: 1,
      positiveInfinity: 2,
      negativeInfinity: 1,
    });
  });

  it("makes a histogram whose last bin is closed on the right", () => {
    const sample = numericSample([-5, 0, 0.5, 1, 1, 2, 7, 7]);
    expect(histogramOf(sample, Float64Array.of(0, 1, 2))).toEqual({
      form: "histogram",
      edges: Float64Array.of(0, 1, 2),
      counts: Float64Array.of(2, 3),
      below: 1,
      above: 2,
      n: 8,
      min: -5,
      max: 7,
      mean: 1.6875,
      std: expect.closeTo(3.648094536878122, 12),
      distinct: 6,
    });
  });

  it("makes an empty histogram of an empty sample", () => {
    const histogram = histogramOf(numericSample([]), Float64Array.of(0, 1));
    expect(histogram).toMatchObject({ n: 0, below: 0, above: 0, min: Number.NaN, std: Number.NaN });
  });

  it.each([
    ["a missing count", { counts: Float64Array.of(3) }],
    ["edges that do not ascend", { edges: Float64Array.of(0, 1, 1) }],
    ["an edge without end", { edges: Float64Array.of(0, 1, Number.POSITIVE_INFINITY) }],
    ["a wrong sum", { n: 4 }],
    ["a count below 0", { counts: Float64Array.of(4, -1) }],
    ["values below that min denies", { below: 1, n: 4 }],
    ["a min below that no count shows", { min: -1 }],
    ["a mean outside", { mean: 3 }],
  ])("refuses a histogram with %s", (_what, wrong) => {
    const right = {
      edges: Float64Array.of(0, 1, 2),
      counts: Float64Array.of(1, 2),
      below: 0,
      above: 0,
      n: 3,
      min: 0.5,
      max: 2,
      mean: 1.2,
      std: 0.6,
    };
    expect(sizeOf(numericHistogram(right))).toBe(3);
    expect(() => numericHistogram({ ...right, ...wrong })).toThrow();
  });

  it("counts categories without missing ones", () => {
    const column = categoricalDistribution(["a", null, "b", "a", undefined]);
    expect(column.counts).toEqual(
      new Map([
        ["a", 2],
        ["b", 1],
      ]),
    );
    expect(sizeOf({ ...column, other: 4 })).toBe(7);
  });

  it("keeps the mean of a constant column its value and the deviation 0", () => {
    expect(momentsOf(numericSample(new Array(10).fill(0.1)))).toEqual({ mean: 0.1, std: 0 });
  });
});

describe("cumulative", () => {
  const histogram = numericHistogram({
    edges: Float64Array.of(0, 10, 20),
    counts: Float64Array.of(4, 4),
    below: 1,
    above: 1,
    n: 10,
    min: -2,
    max: 30,
    mean: 10,
    std: 8,
  });

  it("climbs evenly inside bins, from min to max", () => {
    const cumulative = cumulativeOf(histogram);
    const at = (x: number) => cumulativeAt(cumulative, x, { before: false });
    const xs = [-3, -2, -1, 0, 5, 10, 20, 25, 30, 31];
    const expected = [0, 0, 0.05, 0.1, 0.3, 0.5, 0.9, 0.95, 1, 1];
    expect(xs.map((x) => at(x).toFixed(12))).toEqual(expected.map((f) => f.toFixed(12)));
    expect(quantileAt(cumulative, 0.3)).toBeCloseTo(5, 12);
    expect(quantileAt(cumulative, 0)).toBe(-2);
    expect(quantileAt(cumulative, 1)).toBe(30);
  });

  it("begins at min and ends at max inside the outermost bins", () => {
    const inner = cumulativeOf({ ...histogram, below: 0, above: 0, n: 8, min: 5, max: 12 });
    const at = (x: number) => cumulativeAt(inner, x, { before: false });
    expect([4, 5, 7.5, 10, 11, 12, 13].map(at)).toEqual([0, 0, 0.25, 0.5, 0.75, 1, 1]);
  });

  it("jumps at a sample's values", () => {
    const cumulative = cumulativeOf(numericSample([1, 2, 2, 3]));
    expect(cumulativeAt(cumulative, 2, { before: true })).toBe(0.25);
    expect(cumulativeAt(cumulative, 2, { before: false })).toBe(0.75);
    expect(cumulativeAt(cumulative, 2.5, { before: false })).toBe(0.75);
  });

  it("jumps where a histogram holds one value only", () => {
    const one = cumulativeOf({ ...histogram, below: 0, above: 0, n: 8, min: 5, max: 5 });
    expect(cumulativeAt(one, 5, { before: true })).toBe(0);
    expect(cumulativeAt(one, 5, { before: false })).toBe(1);
  });
});

describe("categories", () => {
  const of = (counts: Record<string, number>, other = 0) => ({
    form: "categories" as const,
    counts: new Map(Object.entries(counts)),
    other,
  });

  it("takes what is not listed as 0 where nothing is summed up", () => {
    expect(pairCategories(of({ b: 2, a: 1 }), of({ c: 3 }))).toEqual({
      categories: ["a", "b", "c"],
      baseline: Float64Array.of(1, 2, 0),
      current: Float64Array.of(0, 0, 3),
    });
  });

  it("sums up what one side may have among its others", () => {
    expect(pairCategories(of({ a: 1, b: 2 }, 5), of({ a: 4, c: 3 }))).toEqual({
      categories: ["a", "b"],
      baseline: Float64Array.of(1, 2, 5),
      current: Float64Array.of(4, 0, 3),
    });
  });
});

describe("shares", () => {
  it("fills zeros as Evidently, by the smallest share of the vector", () => {
    expect([...fillZeroShares(Float64Array.of(0.5, 0, 0.5))]).toEqual([0.5, 0.0001, 0.5]);
    expect([...fillZeroShares(Float64Array.of(0.99995, 0, 0.00005))]).toEqual([
      0.99995, 5e-11, 0.00005,
    ]);
    expect([...fillZeroShares(Float64Array.of(0.9999, 0, 0.0001))]).toEqual([
      0.9999, 1e-10, 0.0001,
    ]);
  });

  it("lifts shares to the floor", () => {
    expect([...floorShares(Float64Array.of(0.5, 0, 0.00005))]).toEqual([0.5, 0.0001, 0.0001]);
    expect([...floorShares(Float64Array.of(0.5, 0), 0.01)]).toEqual([0.5, 0.01]);
  });
});
