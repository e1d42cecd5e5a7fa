// Golden numbers: estimate_accuracy, estimate_precision, estimate_recall, estimate_f1 and
// estimate_roc_auc of NannyML 0.13.1, whose area rounds its counts to five decimals.

import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import type { ClassRows } from "./class-rows.ts";
import { classMetrics } from "./classification.ts";
import { type Estimated, type EstimatedMetrics, estimateMetrics } from "./estimate.ts";
import { binaryRows, classRows, lcg } from "./testing.ts";

const NAMES = ["accuracy", "precision", "recall", "f1", "rocAuc"] as const;
const REPETITIONS = 400;
const ROWS = 400;

/** Rows whose labels are drawn with the chances that the scores say, bent by `bend`. */
function drawn(random: SeededRandom, bend: number): ClassRows {
  const uniform = () => random.uint32() / 2 ** 32;
  const scores = Array.from({ length: ROWS }, () => Math.fround(uniform() ** 1.3));
  return binaryRows(
    scores,
    scores.map((score) => (uniform() < score ** bend ? 1 : 0)),
    0.4,
  );
}

/** How often the truth lay in the interval, by measure. */
function hits(bend: number): Record<(typeof NAMES)[number], number> {
  const random = new SeededRandom(7);
  const counts = { accuracy: 0, precision: 0, recall: 0, f1: 0, rocAuc: 0 };
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    const rows = drawn(random, bend);
    const truth = classMetrics(rows);
    const estimate = estimateMetrics(rows)!;
    for (const name of NAMES) {
      counts[name] += holds(estimate[name], truth[name]) ? 1 : 0;
    }
  }
  return counts;
}

function holds(estimate: Estimated | undefined, truth: number | undefined): boolean {
  return estimate !== undefined && truth !== undefined
    ? estimate.lower <= truth && truth <= estimate.upper
    : false;
}

describe("estimateMetrics", () => {
  it("has NannyML's numbers", () => {
    const scores = lcg(1, 500).map(Math.fround);
    const estimate = estimateMetrics(
      binaryRows(
        scores,
        scores.map(() => undefined),
      ),
    )!;
    expect(estimate.rows).toBe(500);
    expect(estimate.accuracy.value).toBeCloseTo(0.7472805474279448, 7);
    expect(estimate.precision?.value).toBeCloseTo(0.7530896433224022, 12);
    expect(estimate.recall?.value).toBeCloseTo(0.7716730378674856, 12);
    expect(estimate.f1?.value).toBeCloseTo(0.762268095905433, 12);
    expect(estimate.rocAuc?.value).toBeCloseTo(0.8296583075901993, 5);
  });

  it("counts equal scores half, whatever their order", () => {
    const shape = [0.2, 0.2, 0.7, 0.7, 0.7, 0.9];
    const none = shape.map(() => undefined);
    const area = estimateMetrics(binaryRows(shape, none))!.rocAuc!;
    let wins = 0;
    for (const p of shape.map(Math.fround)) {
      for (const q of shape.map(Math.fround)) {
        wins += p * (1 - q) * (p > q ? 1 : p === q ? 0.5 : 0);
      }
    }
    const positives = shape.map(Math.fround).reduce((sum, p) => sum + p, 0);
    expect(area.value).toBeCloseTo(wins / (positives * (shape.length - positives)), 12);
    const reversed = estimateMetrics(binaryRows(shape.toReversed(), none))!.rocAuc!;
    expect(reversed.value).toBeCloseTo(area.value, 14);
    expect(reversed.upper).toBeCloseTo(area.upper, 14);
  });

  it("holds the truth in its interval 95 times of 100 where scores are calibrated", () => {
    const counts = hits(1);
    for (const name of NAMES) {
      // 380 expected; five standard deviations of a binomial are 22.
      expect(counts[name], name).toBeGreaterThan(358);
      expect(counts[name], name).toBeLessThanOrEqual(399);
    }
  });

  it("does not hold it where they are not", () => {
    const counts = hits(3);
    for (const name of ["accuracy", "precision", "f1", "rocAuc"] as const) {
      expect(counts[name], name).toBeLessThan(100);
    }
  });

  it("estimates the accuracy alone of more than two classes", () => {
    const rows = classRows(
      [
        [0.5, 0.3, 0.2],
        [0.1, 0.1, 0.8],
      ],
      [undefined, undefined],
    );
    const estimate = estimateMetrics(rows) as EstimatedMetrics;
    expect(Object.keys(estimate)).toEqual(["rows", "accuracy"]);
    expect(estimate.accuracy.value).toBeCloseTo(0.65, 6);
    const reach = (1.959963984540054 * Math.sqrt(0.25 + 0.16)) / 2;
    expect(estimate.accuracy.lower).toBeCloseTo(Math.max(0, 0.65 - reach), 6);
    expect(estimate.accuracy.upper).toBe(1);
  });

  it("is absent without scores that are probabilities", () => {
    expect(estimateMetrics(binaryRows([], []))).toBeUndefined();
    expect(estimateMetrics(binaryRows([Number.NaN], [1]))).toBeUndefined();
    const margins = binaryRows([0.1], [1]);
    margins.scores.set([-2, 2]);
    expect(estimateMetrics(margins)).toBeUndefined();
    const none = { ...binaryRows([0.1], [1]), scored: 0, scores: new Float32Array(0) };
    expect(estimateMetrics(none)).toBeUndefined();
  });

  it("leaves out shares of nothing", () => {
    const estimate = estimateMetrics(binaryRows([0, 0], [undefined, undefined]))!;
    expect(Object.keys(estimate)).toEqual(["rows", "accuracy"]);
    expect(estimate.accuracy).toEqual({ value: 1, lower: 1, upper: 1 });
  });
});
