// How far what windows say is from what the rows would have said. BOUNDS is what we promise of
// reports; medians are near 1e-5 for Wasserstein and 0 for the binned measures.

import { describe, expect, it } from "vitest";
import { numericSample } from "../drift/distribution.ts";
import type { DriftMethod } from "../drift/drift-method.ts";
import { measureDrift } from "../drift/measure-drift.ts";
import { normal, seeded } from "../sketch/testing.ts";
import { numericPair, widthPair } from "./numeric-pair.ts";
import { baselineOf, binsOf, DRIFTING, numbersIn, windowOf } from "./testing.ts";

/**
 * The value's own error up to 0.3, relative to it beyond: a distance of 1.4 need not be known to
 * the third digit. Of Kolmogorov-Smirnov the error of D.
 */
const BOUNDS: Readonly<Partial<Record<DriftMethod, number>>> = {
  wasserstein: 0.002,
  kolmogorov_smirnov: 0.006,
  psi_deciles: 0.01,
  psi: 0.01,
  kl_divergence: 0.01,
  jensen_shannon: 0.012,
  jensen_shannon_base2: 0.012,
  hellinger: 0.03,
};
const METHODS = Object.keys(BOUNDS) as DriftMethod[];
const SIZES = [
  [5000, 1000],
  [10_000, 10_000],
  [600, 600],
] as const;

function draw(name: string, options: { size: number; t: number; seed: number }): Float64Array {
  const random = seeded(options.seed);
  return Float64Array.from({ length: options.size }, () => DRIFTING[name]!(random, options.t));
}

function measured(method: DriftMethod, pair: Parameters<typeof measureDrift>[0]): number {
  const result = measureDrift(pair, { method, sizeMin: 1, exactStepsMax: 0 });
  if (result.outcome !== "measured") {
    return Number.NaN;
  }
  return method === "kolmogorov_smirnov" ? (result.statistic ?? Number.NaN) : result.value;
}

/** By method and column, the largest of all sizes, drifts and ways to make a baseline. */
function worstErrors(): ReadonlyMap<string, number> {
  const worst = new Map<string, number>();
  for (const name of Object.keys(DRIFTING)) {
    for (const [place, [n, m]] of SIZES.entries()) {
      const before = draw(name, { size: n, t: 0, seed: 1000 * place });
      const baselines = ([1, 2] as const).map((passes) => baselineOf({ x: before }, passes));
      for (const t of [0, 0.3, 1, 3]) {
        const now = draw(name, { size: m, t, seed: 1000 * place + 10 * t + 500 });
        const rows = { baseline: numericSample(before), current: numericSample(now) };
        const exact = METHODS.map((method) => measured(method, rows));
        for (const { layout, baseline } of baselines) {
          const pair = numericPair(numbersIn(baseline), numbersIn(windowOf(layout, { x: now })));
          METHODS.forEach((method, i) => {
            const error = Math.abs(measured(method, pair) - exact[i]!);
            const key = `${method} of ${name}`;
            worst.set(key, Math.max(worst.get(key) ?? 0, error / Math.max(1, exact[i]! / 0.3)));
          });
        }
      }
    }
  }
  return worst;
}

describe("drift from windows against drift from rows", () => {
  const worst = worstErrors();

  for (const method of METHODS) {
    it(`is within its bound: ${method}`, () => {
      for (const name of Object.keys(DRIFTING)) {
        const key = `${method} of ${name}`;
        expect(worst.get(key), key).toBeLessThanOrEqual(BOUNDS[method] ?? 0);
      }
    });
  }

  it("is that of the rows where both sides kept their values apart", () => {
    const exact = ["hours", "few", "decimals", "delays"];
    for (const name of exact) {
      const before = draw(name, { size: 3000, t: 0, seed: 1 });
      const now = draw(name, { size: 2000, t: 0.5, seed: 2 });
      for (const passes of [1, 2] as const) {
        const { layout, baseline } = baselineOf({ x: before }, passes);
        const pair = numericPair(numbersIn(baseline), numbersIn(windowOf(layout, { x: now })));
        for (const method of METHODS) {
          const rows = { baseline: numericSample(before), current: numericSample(now) };
          const wanted = measured(method, rows);
          const error = Math.abs(measured(method, pair) - wanted);
          expect(error / wanted, `${method} of ${name}`).toBeLessThan(1e-9);
        }
      }
    }
  });

  it("is 0 where both have the same rows", () => {
    for (const name of Object.keys(DRIFTING)) {
      const rows = { x: draw(name, { size: 4000, t: 0, seed: 7 }) };
      const { layout, baseline } = baselineOf(rows);
      const pair = numericPair(numbersIn(baseline), numbersIn(windowOf(layout, rows)));
      for (const method of METHODS) {
        expect(measured(method, pair), `${method} of ${name}`).toBe(0);
      }
    }
  });
});

describe("numericPair", () => {
  it("reads both sides on one grid where only one kept its values apart", () => {
    const random = seeded(3);
    const spiked = (size: number) =>
      Float64Array.from({ length: size }, () => (random() < 0.8 ? 0 : normal(random)));
    const { layout, baseline } = baselineOf({ x: spiked(20_000) });
    const now = numbersIn(windowOf(layout, { x: spiked(500) }));
    expect(now.buckets.level).toBeLessThan(numbersIn(baseline).buckets.level);
    const pair = numericPair(numbersIn(baseline), now);
    const { statistic, drifted } = measureDrift(pair, {
      method: "kolmogorov_smirnov",
    }) as { statistic: number; drifted: boolean };
    expect(statistic).toBeLessThan(0.05);
    expect(drifted).toBe(false);
  });

  it("compares two layouts, by value and in bins", () => {
    for (const [name, bound] of [
      ["decimals", 1e-9],
      ["normal", 0.01],
      ["logNormal", 0.01],
    ] as const) {
      const before = draw(name, { size: 6000, t: 0, seed: 11 });
      const now = draw(name, { size: 5000, t: 1, seed: 12 });
      const [old, next] = [baselineOf({ x: before }, 1), baselineOf({ x: now })];
      expect(old.layout.id).not.toBe(next.layout.id);
      const pair = numericPair(numbersIn(old.baseline), numbersIn(next.baseline));
      const rows = { baseline: numericSample(before), current: numericSample(now) };
      for (const method of ["wasserstein", "kolmogorov_smirnov", "jensen_shannon"] as const) {
        const error = Math.abs(measured(method, pair) - measured(method, rows));
        expect(error, `${method} of ${name}`).toBeLessThan(bound);
      }
    }
  });

  it("says what sizes there are where one side is empty", () => {
    const { layout, baseline } = baselineOf({ x: Float64Array.of(1, 2, 3) });
    const empty = windowOf(layout, { x: Float64Array.of(Number.NaN, Infinity) });
    expect(measureDrift(numericPair(numbersIn(baseline), numbersIn(empty)))).toEqual({
      outcome: "not-comparable",
      reason: "current-empty",
      sizes: { baseline: 3, current: 0 },
    });
    expect(measureDrift(numericPair(numbersIn(empty), numbersIn(baseline)))).toMatchObject({
      reason: "baseline-empty",
      sizes: { baseline: 0, current: 3 },
    });
  });

  it("keeps a constant column constant, and sees that it is not any more", () => {
    const { layout, baseline } = baselineOf({ x: new Float64Array(800).fill(0.1) }, 1);
    const same = windowOf(layout, { x: new Float64Array(700).fill(0.1) });
    expect(measureDrift(numericPair(numbersIn(baseline), numbersIn(same)))).toMatchObject({
      reason: "constant",
    });
    const other = windowOf(layout, { x: new Float64Array(700).fill(0.2) });
    expect(measureDrift(numericPair(numbersIn(baseline), numbersIn(other)))).toMatchObject({
      outcome: "measured",
      drifted: true,
    });
  });

  it("takes the bins for categories where a test of categories is asked of many values", () => {
    const before = draw("normal", { size: 5000, t: 0, seed: 21 });
    const now = draw("normal", { size: 5000, t: 1, seed: 22 });
    const { layout, baseline } = baselineOf({ x: before });
    const column = layout.columns[0]!;
    const current = numbersIn(windowOf(layout, { x: now }));
    const pair = numericPair(numbersIn(baseline), current);
    expect(measureDrift(pair, { method: "chi_square" })).toMatchObject({ reason: "bins-differ" });
    const wide = widthPair(column as never, numbersIn(baseline), current)!;
    expect(binsOf(wide.baseline)).toBe(14);
    const sum = wide.current.counts.reduce((total, count) => total + count, 0);
    expect(sum + wide.current.below + wide.current.above).toBe(5000);
    expect(measureDrift(wide, { method: "chi_square" })).toMatchObject({
      outcome: "measured",
      drifted: true,
    });
  });
});
