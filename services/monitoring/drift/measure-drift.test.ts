import { describe, expect, it } from "vitest";
import { chooseMethod, distinctTogether } from "./choose-method.ts";
import { type CategoricalDistribution, histogramOf, numericSample } from "./distribution.ts";
import type { DriftMethod } from "./drift-method.ts";
import { type DriftResult, datasetDrift, judge, severityOf } from "./drift-result.ts";
import { measureDrift } from "./measure-drift.ts";
import { equalBins, expectClose, lcg } from "./testing.ts";

const A = numericSample(lcg(1, 2000));
const B = numericSample(lcg(2, 1500));
const counts = (all: readonly number[], other = 0): CategoricalDistribution => ({
  form: "categories",
  counts: new Map(all.map((count, i) => [`c${i}`, count])),
  other,
});
/** Evidently's assertion: categories 1 to 6. */
const V5 = {
  baseline: counts([16, 18, 16, 14, 12, 12]),
  current: counts([16, 16, 16, 16, 16, 8]),
};

describe("choose-method", () => {
  it.each([
    ["numeric", 1000, 6, "kolmogorov_smirnov"],
    ["numeric", 1000, 5, "chi_square"],
    ["numeric", 1000, 3, "chi_square"],
    ["numeric", 1000, 2, "z_test"],
    ["numeric", 1001, 6, "wasserstein"],
    ["numeric", 1001, 5, "jensen_shannon"],
    ["numeric", 1001, 2, "jensen_shannon"],
    ["categorical", 1000, 2, "z_test"],
    ["categorical", 1000, 3, "chi_square"],
    ["categorical", 1000, 300, "chi_square"],
    ["categorical", 1001, 2, "jensen_shannon"],
    ["categorical", 1001, 300, "jensen_shannon"],
    ["numeric", 10, Infinity, "kolmogorov_smirnov"],
  ] as const)("%s, %d rows, %d values: %s", (kind, baselineSize, distinct, method) => {
    expect(chooseMethod({ kind, baselineSize, distinct })).toBe(method);
  });

  it("counts different values together, and of histograms at least the bins in use", () => {
    const few = numericSample([1, 2, 2]);
    expect(distinctTogether(few, numericSample([2, 3]))).toBe(3);
    expect(distinctTogether(counts([1, 2]), counts([1, 2, 3], 4))).toBe(4);
    expect(distinctTogether(few, counts([1]))).toBe(Infinity);
    const edges = Float64Array.of(0.5, 1.5, 2.5, 3.5);
    const [a, b] = [histogramOf(few, edges), histogramOf(numericSample([3, 9]), edges)];
    expect(distinctTogether(a, b)).toBe(4);
    const { distinct: _distinct, ...unknown } = a;
    expect(distinctTogether(unknown, b)).toBe(Infinity);
    expect(distinctTogether(few, b)).toBe(2);
  });
});

describe("severity and verdict", () => {
  it.each([
    ["psi", 0.0999, "none"],
    ["psi", 0.1, "moderate"],
    ["psi", 0.2499, "moderate"],
    ["psi", 0.25, "significant"],
    ["psi", Infinity, "significant"],
    ["hellinger", 0.14, "none"],
    ["hellinger", 0.15, "moderate"],
    ["hellinger", 0.4, "significant"],
    ["kolmogorov_smirnov", 0.16, "none"],
    ["kolmogorov_smirnov", 0.15, "moderate"],
    ["kolmogorov_smirnov", 0.05, "significant"],
    ["chi_square", 0, "significant"],
  ] as const)("%s of %d is %s", (method, value, severity) => {
    expect(severityOf(method, value)).toBe(severity);
  });

  it.each([
    ["psi", 0.1, true],
    ["kolmogorov_smirnov", 0.05, true],
    ["chi_square", 0.05, false],
    ["chi_square", 0.0499, true],
    ["z_test", 0.05, false],
    ["wasserstein", 0.0999, false],
  ] as const)("%s of %d on its border: drifted %s", (method, value, drifted) => {
    const sizes = { baseline: 1, current: 1 };
    expect(judge(method, { value }, { sizes })).toMatchObject({ drifted });
  });

  it("keeps severity and the flag apart", () => {
    const result = measureDrift({ baseline: A, current: B }, { method: "psi", threshold: 0.01 });
    expect(result).toMatchObject({ drifted: true, severity: "none", threshold: 0.01 });
    const bands = { moderate: 0.001, significant: 0.01 };
    const other = measureDrift({ baseline: A, current: B }, { method: "psi", bands });
    expect(other).toMatchObject({ drifted: false, severity: "significant", threshold: 0.1 });
  });
});

describe("measure-drift", () => {
  it("says method, value, threshold, direction, sizes", () => {
    const result = measureDrift({ baseline: A, current: B });
    expect(result).toEqual({
      outcome: "measured",
      method: "wasserstein",
      value: expect.closeTo(0.03248672355436, 12),
      threshold: 0.1,
      comparison: ">=",
      drifted: false,
      severity: "none",
      sizes: { baseline: 2000, current: 1500 },
    });
  });

  it("tests categories as Evidently asserts", () => {
    const result = measureDrift(V5);
    expect(result).toMatchObject({
      method: "chi_square",
      comparison: "<",
      degreesOfFreedom: 5,
      drifted: false,
    });
    expect(result.outcome === "measured" && result.value).toBeCloseTo(0.67309, 5);
    const hellinger = measureDrift(V5, { method: "hellinger", sizeMin: 1 });
    expect(hellinger.outcome === "measured" && hellinger.value).toBeCloseTo(0.06813, 5);
    const twice = { ...V5, baseline: counts([32, 36, 32, 28, 24, 24]) };
    const scaled = measureDrift(twice);
    expect(scaled.outcome === "measured" && scaled.value).toBeCloseTo(0.67309, 5);
    const same = measureDrift({ baseline: counts([10, 10, 10]), current: counts([10, 10, 10]) });
    expect(same).toMatchObject({ method: "chi_square", value: 1, drifted: false });
    const two = measureDrift({ baseline: counts([20, 20]), current: counts([20, 20]) });
    expect(two).toMatchObject({ method: "z_test", value: 1, statistic: 0, drifted: false });
  });

  it("calls a category that the baseline never had drift", () => {
    const columns = { baseline: counts([50, 50, 0]), current: counts([40, 40, 1]) };
    expect(measureDrift(columns)).toMatchObject({
      method: "chi_square",
      value: 0,
      statistic: Infinity,
      drifted: true,
      severity: "significant",
    });
  });

  it("has too few samples as a result of its own", () => {
    const current = numericSample([1e9, 1e9]);
    expect(measureDrift({ baseline: A, current })).toEqual({
      outcome: "too-few-samples",
      method: "wasserstein",
      sizes: { baseline: 2000, current: 2 },
      sizeMin: 500,
    });
    const few = numericSample(B.sorted.slice(0, 29));
    const options = { method: "kolmogorov_smirnov" } as const;
    expect(measureDrift({ baseline: A, current: few }, options)).toMatchObject({ sizeMin: 30 });
    const measured = measureDrift({ baseline: A, current }, { sizeMin: 2 });
    expect(measured).toMatchObject({ outcome: "measured", drifted: true });
  });

  const empty = numericSample([Number.NaN, Infinity]);
  const ones = numericSample(new Array(600).fill(1));
  const one = (n: number) => counts([n]);
  it.each([
    ["baseline-empty", { baseline: empty, current: A }, undefined],
    ["current-empty", { baseline: A, current: empty }, undefined],
    ["baseline-empty", { baseline: counts([]), current: counts([3]) }, undefined],
    ["kinds-differ", { baseline: A, current: counts([3]) }, undefined],
    ["kinds-differ", { baseline: counts([3]), current: A }, undefined],
    ["constant", { baseline: ones, current: ones }, undefined],
    [
      "numbers-too-large",
      { baseline: numericSample([-1.7e308, 0, 1.7e308]), current: A },
      undefined,
    ],
    ["constant", { baseline: one(700), current: one(800) }, undefined],
    [
      "method-does-not-apply",
      { baseline: counts([900, 9]), current: counts([900, 9]) },
      "wasserstein",
    ],
    [
      "method-does-not-apply",
      { baseline: counts([900, 9]), current: counts([900, 9]) },
      "psi_deciles",
    ],
    [
      "method-does-not-apply",
      { baseline: counts([90, 9]), current: counts([9]) },
      "kolmogorov_smirnov",
    ],
    ["method-does-not-apply", V5, "z_test"],
    [
      "bins-differ",
      { baseline: equalBins(A, { bins: 8 }), current: equalBins(B, { bins: 9 }) },
      "chi_square",
    ],
  ] as const)("is not comparable: %s (%#)", (reason, columns, method) => {
    const options = method === undefined ? {} : { method, sizeMin: 1 };
    expect(measureDrift(columns, options)).toMatchObject({ outcome: "not-comparable", reason });
  });

  it("does not take others on both sides for one constant category", () => {
    const columns = { baseline: counts([], 900), current: counts([], 800) };
    expect(measureDrift(columns)).toMatchObject({ outcome: "measured", drifted: false });
  });

  it.each([
    "psi",
    "psi_deciles",
    "kl_divergence",
    "jensen_shannon",
    "jensen_shannon_base2",
    "hellinger",
    "wasserstein",
    "kolmogorov_smirnov",
    "chi_square",
    "chi_square_contingency",
    "z_test",
  ] satisfies DriftMethod[])("finds a constant that became another: %s", (method) => {
    const columns = { baseline: ones, current: numericSample(new Array(600).fill(1.001)) };
    expect(measureDrift(columns, { method })).toMatchObject({
      outcome: "measured",
      drifted: true,
      severity: "significant",
    });
  });

  it.each([
    ["next to each other", (x: number) => 1e16 + 2 * Math.floor(3 * x)],
    ["tiny", (x: number) => x * 1e-320],
    ["huge", (x: number) => x * 1e150],
    ["below zero", (x: number) => -x],
  ])("gives numbers for values that are %s", (_what, change) => {
    const columns = {
      baseline: numericSample(A.sorted.map(change)),
      current: numericSample(B.sorted.map((x) => change(x ** 1.5))),
    };
    for (const method of ["psi", "psi_deciles", "jensen_shannon_base2", "hellinger"] as const) {
      const result = measureDrift(columns, { method });
      expect(result.outcome === "measured" && result.value, method).toBeGreaterThan(0);
    }
    for (const method of ["wasserstein", "kolmogorov_smirnov"] as const) {
      const result = measureDrift(columns, { method });
      expect(result.outcome === "measured" && Number.isFinite(result.value), method).toBe(true);
    }
  });

  it("treats few numbers as categories, in histograms as in rows", () => {
    const baseline = numericSample([...new Array(40).fill(1), ...new Array(60).fill(2)]);
    const current = numericSample([...new Array(30).fill(1), ...new Array(50).fill(2), 3]);
    const edges = Float64Array.of(0.5, 1.5, 2.5);
    const [a, b] = [histogramOf(baseline, edges), histogramOf(current, edges)];
    for (const method of [
      "psi",
      "jensen_shannon",
      "chi_square",
      "chi_square_contingency",
    ] as const) {
      const options = { method, sizeMin: 1 };
      const rows = measureDrift({ baseline, current }, options);
      const bins = measureDrift({ baseline: a, current: b }, options);
      const mixed = measureDrift({ baseline, current: b }, options);
      expect(bins).toEqual(rows);
      expect(mixed).toEqual(rows);
    }
  });

  it("uses the size of a histogram for the p-value", () => {
    const rows = measureDrift({ baseline: A, current: B }, { method: "kolmogorov_smirnov" });
    const bins = measureDrift(
      { baseline: equalBins(A, { bins: 100_000 }), current: equalBins(B, { bins: 100_000 }) },
      { method: "kolmogorov_smirnov" },
    );
    if (rows.outcome !== "measured" || bins.outcome !== "measured") throw new Error("measured");
    expectClose(bins.value, rows.value, 0.02);
  });
});

describe("dataset drift", () => {
  const column = (value: number): DriftResult =>
    judge("psi", { value }, { sizes: { baseline: 1, current: 1 } });
  const sizes = { baseline: 0, current: 0 };
  const none: DriftResult = { outcome: "not-comparable", reason: "baseline-empty", sizes };

  it("is the share of drifted columns among the measured ones", () => {
    expect(datasetDrift([column(0.3), column(0), none])).toEqual({
      columns: 3,
      measured: 2,
      drifted: 1,
      share: 0.5,
      threshold: 0.5,
      isDrifted: true,
    });
    expect(datasetDrift([column(0.3), column(0), column(0)])).toMatchObject({ isDrifted: false });
    const strict = datasetDrift([column(0.3), column(0), column(0)], { threshold: 0.3 });
    expect(strict).toMatchObject({ isDrifted: true, threshold: 0.3 });
  });

  it("is not there without a measure", () => {
    expect(datasetDrift([none])).toMatchObject({ share: 0, isDrifted: false, measured: 0 });
    expect(datasetDrift([], { threshold: 0 })).toMatchObject({ isDrifted: false });
  });
});
