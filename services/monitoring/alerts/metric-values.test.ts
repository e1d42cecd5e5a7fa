import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { PerformanceSliceSchema } from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { draftLayout } from "../sketch/column-layout.ts";
import { chooseLayout } from "../sketch/column-profile.ts";
import { addRows, newWindowSketch, type WindowSketch } from "../sketch/window-sketch.ts";
import type { WindowTotals } from "../windows/window-record.ts";
import {
  driftShare,
  predictionValues,
  qualityValues,
  sketchValues,
  totalsValues,
} from "./metric-values.ts";

const NULLS = Uint8Array.of(0b0000_0011);

/** Four rows of numbers (two of them missing) and of texts, on a layout that knows 1 to 4 and "a". */
function sketches(): { current: WindowSketch; baseline: WindowSketch } {
  const known = {
    rows: 4,
    columns: new Map([
      ["n", { kind: "numeric" as const, values: Float64Array.of(1, 2, 3, 4) }],
      ["t", { kind: "category" as const, values: ["a", "a", "a", "a"] }],
      ["l", { kind: "counted" as const, rows: 4 }],
    ]),
  };
  const draft = newWindowSketch(
    draftLayout([
      { name: "n", kind: "numeric" },
      { name: "t", kind: "category" },
      { name: "l", kind: "counted" },
    ]),
  );
  addRows(draft, known);
  const layout = chooseLayout(draft, { edges: "exact" });
  const baseline = newWindowSketch(layout);
  addRows(baseline, known);
  const current = newWindowSketch(layout);
  addRows(current, {
    rows: 4,
    columns: new Map([
      ["n", { kind: "numeric", values: Float64Array.of(0, 0, 9, Number.NaN), nulls: NULLS }],
      ["t", { kind: "category", values: ["a", "b", "b", "b"] }],
      ["l", { kind: "counted", rows: 4, nulls: NULLS }],
    ]),
  });
  return { current, baseline };
}

const metric = (kind: Metric_Kind, q = 0) => ({ kind, column: "*", q, rowsMin: 0 });
const plain = (values: ReadonlyMap<string, { value: number; rows: number }>) =>
  Object.fromEntries([...values].map(([name, { value, rows }]) => [name, [value, rows]]));

describe("metric-values", () => {
  it("reads missing rates, means and quantiles of a window as of a baseline", () => {
    const { current, baseline } = sketches();
    expect(plain(sketchValues(current, metric(Metric_Kind.MISSING_RATE)))).toEqual({
      n: [0.5, 4],
      t: [0, 4],
      l: [0.5, 4],
    });
    expect(plain(sketchValues(baseline, metric(Metric_Kind.MEAN)))).toEqual({ n: [2.5, 4] });
    expect(plain(sketchValues(current, metric(Metric_Kind.MEAN)))).toEqual({ n: [9, 4] });
    expect(plain(sketchValues(baseline, metric(Metric_Kind.QUANTILE, 0.5)))).toEqual({
      n: [2, 4],
    });
    const empty = newWindowSketch(current.layout);
    expect(sketchValues(empty, metric(Metric_Kind.MISSING_RATE)).size).toBe(0);
  });

  it("reads the rates of wrong values; what needs a baseline has none without", () => {
    const { current, baseline } = sketches();
    const { RANGE_VIOLATION_RATE, UNSEEN_RATE, NAN_RATE, TYPE_VIOLATION_RATE } = Metric_Kind;
    expect(plain(qualityValues(current, baseline, RANGE_VIOLATION_RATE))).toEqual({ n: [0.25, 4] });
    expect(plain(qualityValues(current, baseline, UNSEEN_RATE))).toEqual({ t: [0.75, 4] });
    expect(plain(qualityValues(current, baseline, NAN_RATE))).toEqual({ n: [0.25, 4] });
    expect(Object.keys(plain(qualityValues(current, undefined, TYPE_VIOLATION_RATE)))).toEqual([
      "n",
      "t",
      "l",
    ]);
    expect(qualityValues(current, undefined, RANGE_VIOLATION_RATE).size).toBe(0);
    expect(qualityValues(current, undefined, UNSEEN_RATE).size).toBe(0);
  });

  it("reads what is added up beside the sketch", () => {
    const totals: WindowTotals = {
      inferences: 4,
      queueMs: 8,
      computeMs: 2,
      lateRows: 0,
      droppedRows: 0,
      freshness: [
        { feature: "f", featureView: "v", statuses: [0, 6, 1, 1, 2] },
        { feature: "g", featureView: "v", statuses: [0, 0, 0, 0, 0] },
      ],
    };
    const window = { rows: 40, totals };
    expect(plain(totalsValues(window, Metric_Kind.ROWS))).toEqual({ "": [40, 40] });
    expect(plain(totalsValues(window, Metric_Kind.QUEUE_MS))).toEqual({ "": [2, 40] });
    expect(plain(totalsValues(window, Metric_Kind.COMPUTE_MS))).toEqual({ "": [0.5, 40] });
    expect(plain(totalsValues(window, Metric_Kind.OUTSIDE_MAX_AGE_RATE))).toEqual({
      f: [0.2, 10],
    });
    const none = { rows: 0, totals: { ...totals, inferences: 0 } };
    expect(totalsValues(none, Metric_Kind.QUEUE_MS).size).toBe(0);
  });

  it("reads a share of drifted columns only where something was measured", () => {
    expect(plain(driftShare({ measured: 4, share: 0.25 }, 9))).toEqual({ "": [0.25, 9] });
    expect(driftShare({ measured: 0, share: 0 }, 9).size).toBe(0);
  });

  it("reads what labels say, and of how many", () => {
    const slice = create(PerformanceSliceSchema, {
      predictions: 100n,
      labelled: 40n,
      classification: {
        accuracy: 0.1,
        precision: 0.2,
        recall: 0.3,
        f1: 0.4,
        rocAuc: 0.5,
        logLoss: 0.6,
      },
      regression: { mae: 1, rmse: 2, r2: 3 },
      estimated: { accuracy: { value: 0.9 } },
    });
    const { ACCURACY, PRECISION, RECALL, F1, ROC_AUC, LOG_LOSS, MAE, RMSE, R2 } = Metric_Kind;
    const kinds = [ACCURACY, PRECISION, RECALL, F1, ROC_AUC, LOG_LOSS, MAE, RMSE, R2];
    const values = kinds.map((kind) => predictionValues(slice, kind).get(""));
    expect(values.map((one) => one?.value)).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1, 2, 3]);
    expect(new Set(values.map((one) => one?.rows))).toEqual(new Set([40]));
    const { LABEL_COVERAGE, ESTIMATED_ACCURACY } = Metric_Kind;
    expect(plain(predictionValues(slice, LABEL_COVERAGE))).toEqual({ "": [0.4, 100] });
    expect(plain(predictionValues(slice, ESTIMATED_ACCURACY))).toEqual({ "": [0.9, 100] });
    const bare = create(PerformanceSliceSchema, { predictions: 100n });
    for (const kind of [...kinds, LABEL_COVERAGE, ESTIMATED_ACCURACY]) {
      expect(predictionValues(bare, kind).size).toBe(0);
    }
  });
});
