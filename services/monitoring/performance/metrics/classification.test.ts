// Golden numbers: scikit-learn 1.9.1 (accuracy_score, precision_score, recall_score, f1_score,
// roc_auc_score, log_loss, confusion_matrix) and numpy 2.4 (calibration error) on the same rows.

import { describe, expect, it } from "vitest";
import { type ClassRows, NO_CLASS, UNKNOWN_CLASS } from "./class-rows.ts";
import { classMetrics } from "./classification.ts";
import { rocAuc } from "./roc-auc.ts";
import { binaryRows, classRows, lcg } from "./testing.ts";

function drawnBinary(options: { readonly ties: boolean }): ClassRows {
  const drawn = lcg(1, 500).map((s) => (options.ties ? Math.floor(s * 10 + 0.5) / 10 : s));
  const scores = drawn.map(Math.fround);
  const chances = lcg(2, 500);
  return binaryRows(
    scores,
    scores.map((score, row) => (chances[row]! < score ** 1.5 ? 1 : 0)),
  );
}

function drawnMany(): ClassRows {
  const raw = [3, 4, 5].map((seed) => lcg(seed, 400).map((x) => x * x + 0.01));
  const scores = Array.from({ length: 400 }, (_, row) => {
    const sum = raw.reduce((total, column) => total + column[row]!, 0);
    return raw.map((column) => Math.fround(column[row]! / sum));
  });
  const chances = lcg(6, 400);
  const labels = scores.map(([a, b], row) => {
    const chance = chances[row]!;
    return chance < a! ? 0 : chance < a! + b! ? 1 : 2;
  });
  return classRows(scores, labels);
}

describe("classMetrics of two classes", () => {
  it("has scikit-learn's numbers", () => {
    const { confusion, ...metrics } = classMetrics(drawnBinary({ ties: false }));
    expect([...confusion]).toEqual([201, 97, 30, 172]);
    expect(metrics.accuracy).toBeCloseTo(0.746, 12);
    expect(metrics.precision).toBeCloseTo(0.6394052044609665, 12);
    expect(metrics.recall).toBeCloseTo(0.8514851485148515, 12);
    expect(metrics.f1).toBeCloseTo(0.7303609341825902, 12);
    expect(metrics.rocAuc).toBeCloseTo(0.8571167519436508, 12);
    expect(metrics.logLoss).toBeCloseTo(0.5031943840811101, 6);
    expect(metrics.calibrationError).toBeCloseTo(0.12432232351321727, 12);
  });

  it("counts ties of scores half, as scikit-learn does", () => {
    const metrics = classMetrics(drawnBinary({ ties: true }));
    expect(metrics.rocAuc).toBeCloseTo(0.8470745564489335, 12);
    expect(metrics.f1).toBeCloseTo(0.7209775967413442, 12);
    expect(metrics.calibrationError).toBeCloseTo(0.12140000315010548, 12);
  });

  it("measures the positive class, whichever it is", () => {
    const rows = drawnBinary({ ties: false });
    const swapped = classMetrics({ ...rows, positive: 0 });
    expect(swapped.precision).toBeCloseTo(201 / 231, 12);
    expect(swapped.recall).toBeCloseTo(201 / 298, 12);
    expect(swapped.rocAuc).toBeCloseTo(0.8571167519436508, 6);
    expect(swapped.accuracy).toBe(classMetrics(rows).accuracy);
  });

  it("leaves out what cannot be computed", () => {
    const one = classMetrics(binaryRows([0.9, 0.8], [1, 1]));
    expect(one).toMatchObject({ accuracy: 1, precision: 1, recall: 1, f1: 1 });
    expect(one.rocAuc).toBeUndefined();
    const negative = classMetrics(binaryRows([0.1, 0.2], [0, 0]));
    expect(negative).not.toHaveProperty("precision");
    expect(negative).not.toHaveProperty("recall");
    expect(negative).not.toHaveProperty("f1");
    expect(negative.accuracy).toBe(1);
    const empty = classMetrics(binaryRows([], []));
    expect(empty).toEqual({ rows: 0, confusion: new Float64Array(4), unknownLabels: 0 });
    expect(classMetrics(binaryRows([0.3, 0.6], [undefined, undefined])).rows).toBe(0);
  });

  it("takes labelled rows with a prediction alone, and scores that are there", () => {
    const rows = binaryRows([0.9, 0.2, 0.7, Number.NaN], [1, 0, undefined, 1]);
    rows.predicted[3] = 1;
    const metrics = classMetrics(rows);
    expect(metrics.rows).toBe(3);
    expect(metrics.accuracy).toBe(1);
    expect(metrics.rocAuc).toBe(1);
    expect(metrics.logLoss).toBeCloseTo((-Math.log(0.9) - Math.log(0.8)) / 2, 6);
    rows.predicted[0] = NO_CLASS;
    expect(classMetrics(rows).rows).toBe(2);
  });

  it("counts a label that is no class as wrong, and nowhere else", () => {
    const metrics = classMetrics(binaryRows([0.9, 0.2, 0.8], [1, 0, UNKNOWN_CLASS]));
    expect(metrics).toMatchObject({ rows: 3, accuracy: 2 / 3, precision: 0.5, recall: 1 });
    expect(metrics.unknownLabels).toBe(1);
    expect([...metrics.confusion]).toEqual([1, 0, 0, 1]);
    expect(metrics.rocAuc).toBe(1);
  });

  it("has no log loss of scores that are no probabilities, but their order", () => {
    const rows = binaryRows([0, 0], [1, 0]);
    rows.scores.set([3, -3, 5, -5]);
    const metrics = classMetrics(rows);
    expect(metrics.rocAuc).toBe(1);
    expect(metrics).not.toHaveProperty("logLoss");
    expect(metrics).not.toHaveProperty("calibrationError");
  });

  it("holds scores within 1e-15 of 0 and 1", () => {
    const metrics = classMetrics(binaryRows([0, 1], [1, 1]));
    expect(metrics.logLoss).toBeCloseTo(-Math.log(1e-15) / 2, 10);
  });
});

describe("classMetrics of more classes", () => {
  it("has scikit-learn's macro numbers", () => {
    const { confusion, ...metrics } = classMetrics(drawnMany());
    expect([...confusion]).toEqual([95, 19, 27, 35, 69, 31, 24, 18, 82]);
    expect(metrics.accuracy).toBeCloseTo(0.615, 12);
    expect(metrics.precision).toBeCloseTo(0.6178469329412727, 12);
    expect(metrics.recall).toBeCloseTo(0.6153867663133278, 12);
    expect(metrics.f1).toBeCloseTo(0.6126313419020359, 12);
    expect(metrics.rocAuc).toBeCloseTo(0.7739853903523093, 12);
    expect(metrics.logLoss).toBeCloseTo(0.8451486671774328, 12);
    expect(metrics.calibrationError).toBeCloseTo(0.10405194647610187, 12);
  });

  it("takes classes that occur on one side alone as zero", () => {
    const predicted = [0, 1, 1, 1, 0, 0, 0];
    const labels = [0, 0, 1, 1, 2, 2, 0];
    const metrics = classMetrics({
      rows: 7,
      predicted: Uint16Array.from(predicted),
      labels: Uint16Array.from(labels),
      classes: 4,
      positive: undefined,
      scored: 0,
      scores: new Float32Array(0),
    });
    expect(metrics.precision).toBeCloseTo(0.38888888888888884, 12);
    expect(metrics.recall).toBeCloseTo(0.5555555555555555, 12);
    expect(metrics.f1).toBeCloseTo(0.45714285714285713, 12);
    expect(metrics).not.toHaveProperty("rocAuc");
  });
});

describe("rocAuc", () => {
  it("is what counting every pair gives", () => {
    const scores = lcg(9, 80).map((x) => Math.floor(x * 12));
    const isPositive = lcg(10, 80).map((x) => x < 0.4);
    const positives = scores.filter((_, row) => isPositive[row]);
    const negatives = scores.filter((_, row) => !isPositive[row]);
    let wins = 0;
    for (const positive of positives) {
      for (const negative of negatives) {
        wins += positive > negative ? 1 : positive === negative ? 0.5 : 0;
      }
    }
    const area = rocAuc(Float32Array.from(positives), Float32Array.from(negatives));
    expect(area).toBeCloseTo(wins / (positives.length * negatives.length), 14);
  });

  it("is a half where all scores are alike, and nothing without one side", () => {
    expect(rocAuc(Float32Array.of(1, 1), Float32Array.of(1))).toBe(0.5);
    expect(rocAuc(Float32Array.of(-0), Float32Array.of(0))).toBe(0.5);
    expect(rocAuc(new Float32Array(0), Float32Array.of(1))).toBeUndefined();
  });
});
