// What must hold of every measure whatever the columns: bounds, symmetry, zero for equals, and that
// the histogram form comes to the form of the rows as bins become fine.

import { describe, expect, it } from "vitest";
import { pairInBins, sturgesEdges } from "./bins.ts";
import { chiSquareContingency } from "./chi-square.ts";
import { numericSample } from "./distribution.ts";
import { hellingerDistance } from "./hellinger.ts";
import { jensenShannonDistance } from "./jensen-shannon.ts";
import { klDivergence } from "./kl-divergence.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { measureDrift } from "./measure-drift.ts";
import { populationStabilityIndex } from "./psi.ts";
import { fillZeroShares, sharesOf } from "./shares.ts";
import { equalBins, expectClose, lcg } from "./testing.ts";
import { wassersteinDistance } from "./wasserstein.ts";

/** Pairs of counts of 1 to 40 categories, about a third of them 0, from fixed seeds. */
const COUNT_PAIRS = Array.from({ length: 60 }, (_, seed) => {
  const size = 1 + (seed % 40);
  const random = lcg(seed + 1000, 2 * size);
  const counts = random.map((x) => Math.max(0, Math.floor(x * 300) - 100));
  const [baseline, current] = [counts.slice(0, size), counts.slice(size)];
  // No side is empty, and they have one category in common.
  baseline[0] = (baseline[0] as number) + 1;
  current[0] = (current[0] as number) + 1;
  return { baseline, current };
});

/** Pairs of samples of 1 to 60 values with many ties. */
const SAMPLE_PAIRS = Array.from({ length: 40 }, (_, seed) => {
  const random = lcg(seed + 5000, 121).map((x) => Math.floor(x * 25) / 4);
  const size = 1 + ((seed * 7) % 60);
  return {
    baseline: numericSample(random.slice(0, size)),
    current: numericSample(random.slice(60, 61 + ((seed * 11) % 60)).map((x) => x ** 1.1)),
  };
});

describe("laws of the binned measures", () => {
  it("are 0 for equal shares, whatever the sizes", () => {
    for (const { baseline } of COUNT_PAIRS) {
      const twice = baseline.map((count) => 2 * count);
      const [p, q] = [sharesOf(baseline), sharesOf(twice)];
      expect(populationStabilityIndex(p, q)).toBe(0);
      expect(klDivergence(p, q)).toBe(0);
      expect(jensenShannonDistance(baseline, twice, { base: "e" })).toBe(0);
      expect(hellingerDistance(baseline, twice)).toBe(0);
      expect(chiSquareContingency({ baseline, current: baseline }).pValue).toBe(1);
    }
  });

  it("are symmetric but for Kullback-Leibler, whose two ways add up to PSI", () => {
    for (const { baseline, current } of COUNT_PAIRS) {
      const [p, q] = [sharesOf(baseline), sharesOf(current)];
      const js = jensenShannonDistance(p, q, { base: "e" });
      expectClose(jensenShannonDistance(q, p, { base: "e" }), js, 1e-14);
      expectClose(hellingerDistance(q, p), hellingerDistance(p, q), 1e-14);
      const table = chiSquareContingency({ baseline, current });
      const swapped = chiSquareContingency({ baseline: current, current: baseline });
      expectClose(swapped.statistic, table.statistic, 1e-12);
      const [pf, qf] = [sharesOf(fillZeroShares(p)), sharesOf(fillZeroShares(q))];
      const psi = populationStabilityIndex(pf, qf);
      expectClose(populationStabilityIndex(qf, pf), psi, 1e-14);
      expectClose(klDivergence(pf, qf) + klDivergence(qf, pf), psi, 1e-12);
    }
  });

  it("stay within their bounds", () => {
    for (const { baseline, current } of COUNT_PAIRS) {
      const [p, q] = [sharesOf(baseline), sharesOf(current)];
      const js = jensenShannonDistance(p, q, { base: "e" });
      const hellinger = hellingerDistance(p, q);
      expect(js).toBeGreaterThanOrEqual(0);
      expect(js).toBeLessThanOrEqual(Math.sqrt(Math.LN2));
      expectClose(jensenShannonDistance(p, q, { base: "2" }), js / Math.sqrt(Math.LN2), 1e-14);
      expect(hellinger).toBeGreaterThanOrEqual(0);
      expect(hellinger).toBeLessThanOrEqual(1);
      // H^2 ln 2 <= JSD <= H^2 (Lin 1991, Topsoe 2000).
      expect(js ** 2).toBeLessThanOrEqual(hellinger ** 2 * (1 + 1e-12));
      expect(js ** 2).toBeGreaterThanOrEqual(hellinger ** 2 * Math.LN2 * (1 - 1e-12));
      expect(klDivergence(fillZeroShares(p), fillZeroShares(q))).toBeGreaterThanOrEqual(0);
    }
  });

  it("are infinite, or not, for a zero that is not filled", () => {
    const [p, q] = [Float64Array.of(0.5, 0.5, 0), Float64Array.of(1, 0, 0)];
    expect(populationStabilityIndex(p, q)).toBe(Number.POSITIVE_INFINITY);
    expect(klDivergence(p, q)).toBe(Number.POSITIVE_INFINITY);
    expectClose(klDivergence(q, p), Math.LN2, 1e-15);
  });
});

describe("laws of the measures of rows", () => {
  it("are 0 for equal samples and symmetric", () => {
    for (const { baseline, current } of SAMPLE_PAIRS) {
      expect(wassersteinDistance(baseline, baseline)).toBe(0);
      expect(kolmogorovSmirnov(current, current)).toMatchObject({ statistic: 0, pValue: 1 });
      const w = wassersteinDistance(baseline, current);
      expectClose(wassersteinDistance(current, baseline), w, 1e-13);
      const ks = kolmogorovSmirnov(baseline, current);
      const swapped = kolmogorovSmirnov(current, baseline);
      expect(swapped.statistic).toBe(ks.statistic);
      expectClose(swapped.pValue, ks.pValue, 1e-12);
      expect(ks.statistic).toBeGreaterThanOrEqual(0);
      expect(ks.statistic).toBeLessThanOrEqual(1);
      expect(ks.pValue).toBeGreaterThan(0);
      expect(ks.pValue).toBeLessThanOrEqual(1);
    }
  });

  it("move with a shift, grow with a scale, and keep the triangle", () => {
    for (const { baseline, current } of SAMPLE_PAIRS) {
      const shifted = numericSample(baseline.sorted.map((x) => x + 16));
      expectClose(wassersteinDistance(baseline, shifted), 16, 1e-13);
      const w = wassersteinDistance(baseline, current);
      const scaled = [baseline, current].map(({ sorted }) =>
        numericSample(sorted.map((x) => 8 * x)),
      );
      expectClose(wassersteinDistance(scaled[0]!, scaled[1]!), 8 * w, 1e-13);
      const around = wassersteinDistance(baseline, shifted) + wassersteinDistance(shifted, current);
      expect(w).toBeLessThanOrEqual(around * (1 + 1e-13));
    }
  });

  it("are no smaller than the difference of the means", () => {
    const mean = (sorted: Float64Array) => sorted.reduce((a, b) => a + b, 0) / sorted.length;
    for (const { baseline, current } of SAMPLE_PAIRS) {
      const difference = Math.abs(mean(baseline.sorted) - mean(current.sorted));
      const w = wassersteinDistance(baseline, current);
      expect(w).toBeGreaterThanOrEqual(difference * (1 - 1e-12));
    }
  });
});

describe("the histogram form", () => {
  const baseline = numericSample(lcg(1, 2000));
  const current = numericSample(lcg(2, 1500).map((x) => x ** 1.5));

  it.each([
    ["wasserstein", 1e-4],
    ["kolmogorov_smirnov", 0.1],
    ["psi", 0.03],
    ["psi_deciles", 0.1],
    ["kl_divergence", 0.03],
    ["jensen_shannon", 0.02],
    ["jensen_shannon_base2", 0.02],
  ] as const)("comes to the form of the rows: %s", (method, tolerance) => {
    const measured = (a: typeof baseline | ReturnType<typeof equalBins>, b: typeof a) => {
      const result = measureDrift({ baseline: a, current: b }, { method });
      if (result.outcome !== "measured") throw new Error(result.outcome);
      return method === "kolmogorov_smirnov" ? (result.statistic as number) : result.value;
    };
    const exact = measured(baseline, current);
    const errorWith = (bins: number) =>
      Math.abs(measured(equalBins(baseline, { bins }), equalBins(current, { bins })) - exact);
    expect(errorWith(100) / exact).toBeLessThan(0.1);
    expect(errorWith(2000) / exact).toBeLessThan(tolerance);
    expect(errorWith(200_000) / exact).toBeLessThan(tolerance / 20);
    // One side may have kept its rows.
    expect(
      Math.abs(measured(baseline, equalBins(current, { bins: 2000 })) - exact) / exact,
    ).toBeLessThan(tolerance * 2);
  });

  it("is within the width of a bin of the exact Wasserstein distance", () => {
    const exact = wassersteinDistance(baseline, current);
    for (const bins of [1, 2, 5, 10, 50]) {
      const binned = wassersteinDistance(
        equalBins(baseline, { bins, from: 0.1, to: 0.9 }),
        equalBins(current, { bins, from: 0.1, to: 0.9 }),
      );
      expect(Math.abs(binned - exact)).toBeLessThan(0.8 / bins + 0.1);
    }
  });

  it("keeps the size whatever the bins", () => {
    const histogram = equalBins(current, { bins: 37, from: 0.05, to: 0.8 });
    const pair = { baseline: histogram, current: histogram };
    const counts = pairInBins(pair, sturgesEdges(pair)).baseline;
    expectClose(
      counts.reduce((a, b) => a + b, 0),
      1500,
      1e-12,
    );
  });
});
