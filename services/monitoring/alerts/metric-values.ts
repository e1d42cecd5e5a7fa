// The numbers that rules look at, read from what a window has: its sketch, its totals, its
// predictions. Pure. A column that has no such number is left out.

import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { DriftResult_Outcome } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import type { PerformanceSlice } from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import type { ColumnReport } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { columnQuality, missingRate } from "../reports/column-quality.ts";
import { finiteCount, momentsOf, quantilesOf } from "../sketch/numeric-sketch.ts";
import { type ColumnSketch, rowsOfSketch, type WindowSketch } from "../sketch/window-sketch.ts";
import type { DriftShare, WindowTotals } from "../windows/window-record.ts";
import type { MetricSpec } from "./alert-rule.ts";

/** A number, and of how many rows (predictions, labels) it is. */
export interface MetricValue {
  readonly value: number;
  readonly rows: number;
}

/** By column; "" where the metric is of no column. */
export type MetricValues = ReadonlyMap<string, MetricValue>;

/** What is kept of the predictions of a window. */
export type PredictionsOfWindow = Pick<
  PerformanceSlice,
  "predictions" | "labelled" | "classification" | "regression" | "estimated"
>;

/** The one value of a metric that is of no column. */
function single(value: number | undefined, rows: number): MetricValues {
  const isThere = value !== undefined && !Number.isNaN(value);
  return isThere ? new Map([["", { value, rows }]]) : new Map();
}

/** Missing rates, means and quantiles; a baseline has them as a window has. */
export function sketchValues(sketch: WindowSketch, { kind, q }: MetricSpec): MetricValues {
  return byColumn(sketch, (column) => {
    switch (kind) {
      case Metric_Kind.MISSING_RATE:
        return missingRate(column);
      case Metric_Kind.MEAN:
        return "numbers" in column ? momentsOf(column.numbers).mean : undefined;
      case Metric_Kind.QUANTILE:
        return "numbers" in column && finiteCount(column.numbers) > 0
          ? quantilesOf(column.numbers, [q])[0]
          : undefined;
      default:
        return undefined;
    }
  });
}

/** Rates of wrong values. What needs a baseline has no value without. */
export function qualityValues(
  sketch: WindowSketch,
  baseline: WindowSketch | undefined,
  kind: Metric_Kind,
): MetricValues {
  return byColumn(sketch, (column, place) => {
    const layout = sketch.layout.columns[place]!;
    const quality = columnQuality(layout, column, baseline?.columns[place]);
    switch (kind) {
      case Metric_Kind.TYPE_VIOLATION_RATE:
        return quality.typeViolationRate ?? 0;
      case Metric_Kind.NAN_RATE:
        return "numbers" in column ? (quality.nanRate ?? 0) : undefined;
      case Metric_Kind.RANGE_VIOLATION_RATE:
        return baseline !== undefined && "numbers" in column
          ? (quality.rangeViolationRate ?? 0)
          : undefined;
      case Metric_Kind.UNSEEN_RATE:
        return baseline !== undefined && "categories" in column
          ? (quality.unseenRate ?? 0)
          : undefined;
      default:
        return undefined;
    }
  });
}

/** Drift of columns that were measured. */
export function driftValues(
  reports: readonly ColumnReport[],
  kind: Metric_Kind,
  rows: number,
): MetricValues {
  const values = new Map<string, MetricValue>();
  for (const { name, drift } of reports) {
    if (drift?.outcome === DriftResult_Outcome.MEASURED) {
      const value = kind === Metric_Kind.COLUMN_DRIFTED ? Number(drift.drifted) : drift.value;
      values.set(name, { value, rows });
    }
  }
  return values;
}

/** The share of drifted columns, where something was measured. */
export function driftShare(
  share: Pick<DriftShare, "measured" | "share">,
  rows: number,
): MetricValues {
  return single(share.measured > 0 ? share.share : undefined, rows);
}

/** What is added up beside the sketch. */
export function totalsValues(
  window: { readonly rows: number; readonly totals: WindowTotals },
  kind: Metric_Kind,
): MetricValues {
  const { rows, totals } = window;
  const { inferences, queueMs, computeMs } = totals;
  switch (kind) {
    case Metric_Kind.ROWS:
      return single(rows, rows);
    case Metric_Kind.QUEUE_MS:
      return single(inferences > 0 ? queueMs / inferences : undefined, rows);
    case Metric_Kind.COMPUTE_MS:
      return single(inferences > 0 ? computeMs / inferences : undefined, rows);
    case Metric_Kind.OUTSIDE_MAX_AGE_RATE:
      return new Map(
        totals.freshness.flatMap(({ feature, statuses }) => {
          const all = statuses.reduce((sum, count) => sum + count, 0);
          const old = statuses[FieldStatus.OUTSIDE_MAX_AGE] ?? 0;
          return all === 0 ? [] : [[feature, { value: old / all, rows: all }] as const];
        }),
      );
    default:
      return new Map();
  }
}

/** What labels or scores say. Without any label nothing is known, not even that none will come. */
export function predictionValues(slice: PredictionsOfWindow, kind: Metric_Kind): MetricValues {
  const [predictions, labelled] = [Number(slice.predictions), Number(slice.labelled)];
  const { classification, regression, estimated } = slice;
  switch (kind) {
    case Metric_Kind.ACCURACY:
      return single(classification?.accuracy, labelled);
    case Metric_Kind.PRECISION:
      return single(classification?.precision, labelled);
    case Metric_Kind.RECALL:
      return single(classification?.recall, labelled);
    case Metric_Kind.F1:
      return single(classification?.f1, labelled);
    case Metric_Kind.ROC_AUC:
      return single(classification?.rocAuc, labelled);
    case Metric_Kind.LOG_LOSS:
      return single(classification?.logLoss, labelled);
    case Metric_Kind.MAE:
      return single(regression?.mae, labelled);
    case Metric_Kind.RMSE:
      return single(regression?.rmse, labelled);
    case Metric_Kind.R2:
      return single(regression?.r2, labelled);
    case Metric_Kind.LABEL_COVERAGE:
      return single(labelled > 0 ? labelled / predictions : undefined, predictions);
    case Metric_Kind.ESTIMATED_ACCURACY:
      return single(estimated?.accuracy?.value, predictions);
    default:
      return new Map();
  }
}

function byColumn(
  sketch: WindowSketch,
  read: (column: ColumnSketch, place: number) => number | undefined,
): MetricValues {
  const values = new Map<string, MetricValue>();
  for (const [place, { name }] of sketch.layout.columns.entries()) {
    const column = sketch.columns[place]!;
    const rows = rowsOfSketch(column);
    const value = rows === 0 ? undefined : read(column, place);
    if (value !== undefined && !Number.isNaN(value)) {
      values.set(name, { value, rows });
    }
  }
  return values;
}
