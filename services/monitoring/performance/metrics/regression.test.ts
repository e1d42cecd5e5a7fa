// Golden numbers: scikit-learn 1.9.1; those far from zero were computed in exact rational
// arithmetic.

import { describe, expect, it } from "vitest";
import { numberMetrics } from "./regression.ts";
import { lcg } from "./testing.ts";

function drawn(offset: number): readonly [Float64Array, Float64Array] {
  const noise = lcg(2, 300);
  const near = lcg(1, 300).map((x) => 100 * x);
  const predicted = Float64Array.from(near, (x) => x + offset);
  const labels = Float64Array.from(near, (x, row) => x + 10 * (noise[row]! - 0.5) + offset);
  return [predicted, labels];
}

describe("numberMetrics", () => {
  it("has scikit-learn's numbers", () => {
    const metrics = numberMetrics(...drawn(0));
    expect(metrics.rows).toBe(300);
    expect(metrics.mae).toBeCloseTo(2.399435421731323, 12);
    expect(metrics.mse).toBeCloseTo(7.894642995560134, 12);
    expect(metrics.rmse).toBeCloseTo(2.809740734580352, 12);
    expect(metrics.r2).toBeCloseTo(0.9900640631609405, 12);
    expect(metrics.meanError).toBeCloseTo(-0.10860099235239128, 12);
  });

  it("keeps its digits far from zero", () => {
    const metrics = numberMetrics(...drawn(1e9));
    expect(metrics.mae).toBeCloseTo(2.399435426791509, 12);
    expect(metrics.mse).toBeCloseTo(7.894643018830735, 12);
    expect(metrics.r2).toBeCloseTo(0.9900640631318456, 12);
    expect(metrics.meanError).toBeCloseTo(-0.10860099037488302, 12);
  });

  it("neither overflows nor vanishes", () => {
    const huge = numberMetrics(Float64Array.of(1e300, -1e300), Float64Array.of(1.5e300, -1e300));
    expect(huge.mae).toBe(0.25e300);
    expect(huge.rmse! / 1e300).toBeCloseTo(Math.sqrt(0.125), 12);
    expect(huge).not.toHaveProperty("mse");
    expect(huge.r2).toBeCloseTo(1 - 0.25 / (2 * 1.25 ** 2), 12);
    const tiny = numberMetrics(Float64Array.of(1e-300, 0), Float64Array.of(2e-300, 0));
    expect(tiny.rmse! / 1e-300).toBeCloseTo(Math.sqrt(0.5), 12);
    const opposite = numberMetrics(Float64Array.of(1.7e308), Float64Array.of(-1.7e308));
    expect(opposite).toEqual({ rows: 1 });
  });

  it("leaves out rows without a finite number on both sides", () => {
    const predicted = Float64Array.of(1, Number.NaN, 3, Number.POSITIVE_INFINITY, 5);
    const labels = Float64Array.of(2, 2, Number.NaN, 4, 5);
    expect(numberMetrics(predicted, labels)).toMatchObject({ rows: 2, mae: 0.5, meanError: -0.5 });
    expect(numberMetrics(Float64Array.of(1), Float64Array.of(Number.NaN))).toEqual({ rows: 0 });
    expect(numberMetrics(new Float64Array(0), new Float64Array(0))).toEqual({ rows: 0 });
  });

  it("has no r2 where all labels are alike, and a negative one below the mean's", () => {
    const alike = numberMetrics(Float64Array.of(1, 2), Float64Array.of(0.1, 0.1));
    expect(alike).not.toHaveProperty("r2");
    expect(alike.mae).toBeCloseTo(1.4, 12);
    const worse = numberMetrics(Float64Array.of(3, 1), Float64Array.of(1, 3));
    expect(worse.r2).toBeCloseTo(-3, 12);
    const right = numberMetrics(Float64Array.of(3, 1), Float64Array.of(3, 1));
    expect(right).toMatchObject({ mae: 0, mse: 0, rmse: 0, r2: 1, meanError: 0 });
  });
});
