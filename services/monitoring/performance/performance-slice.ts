// One slice of a report: how good the predictions of a time or segment were, and what their scores
// promise.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ClassificationMetricsSchema,
  type EstimatedPerformanceSchema,
  type PerformanceSlice,
  PerformanceSliceSchema,
  type RegressionMetricsSchema,
} from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { rangeMessage } from "../reports/time-range.ts";
import type { MeasuredRows } from "./measured-rows.ts";
import { type ClassRows, NO_CLASS } from "./metrics/class-rows.ts";
import { classMetrics, gatherRows } from "./metrics/classification.ts";
import { compareAccuracy, type Estimated, estimateMetrics } from "./metrics/estimate.ts";
import { numberMetrics } from "./metrics/regression.ts";
import type { WindowSpan } from "./window-key.ts";

/** Which rows: from one on, or some. */
export type SliceRows =
  | { readonly first: number; readonly count: number }
  | { readonly rows: Uint32Array };

/** What a slice is of. */
export interface SliceOf {
  readonly range?: WindowSpan;
  readonly segmentColumn?: string;
  readonly segment?: string;
  readonly notKept: number;
  readonly hasConfusion: boolean;
}

/** Measures some of the rows. */
export function measureSlice(
  measured: MeasuredRows,
  which: SliceRows,
  of: SliceOf,
): PerformanceSlice {
  const { count, labelled, ...metrics } =
    measured.task === "classification"
      ? ofClasses(classesOf(measured.rows, which), of)
      : ofNumbers(measured, which);
  return create(PerformanceSliceSchema, {
    ...(of.range === undefined ? {} : { range: rangeMessage(of.range) }),
    segmentColumn: of.segmentColumn ?? "",
    segment: of.segment ?? "",
    predictions: BigInt(count),
    labelled: BigInt(labelled),
    coverage: count === 0 ? 0 : labelled / count,
    notKept: BigInt(of.notKept),
    ...metrics,
  });
}

type Init<T extends Parameters<typeof create>[0]> = MessageInitShape<T>;

function classesOf(all: ClassRows, which: SliceRows): ClassRows {
  if ("rows" in which) {
    return gatherRows(all, which.rows);
  }
  const { first, count } = which;
  const { scored } = all;
  return {
    ...all,
    rows: count,
    predicted: all.predicted.subarray(first, first + count),
    labels: all.labels.subarray(first, first + count),
    scores: all.scores.subarray(first * scored, (first + count) * scored),
  };
}

function ofClasses(rows: ClassRows, of: SliceOf) {
  let labelled = 0;
  for (const label of rows.labels) {
    labelled += label === NO_CLASS ? 0 : 1;
  }
  const estimated = estimatedMessage(rows);
  return {
    count: rows.rows,
    labelled,
    ...(labelled === 0 ? {} : { classification: classificationMessage(rows, of) }),
    ...(estimated === undefined ? {} : { estimated }),
  };
}

function classificationMessage(
  rows: ClassRows,
  { hasConfusion }: SliceOf,
): Init<typeof ClassificationMetricsSchema> {
  const { rows: _rows, confusion, unknownLabels, ...shares } = classMetrics(rows);
  return {
    ...shares,
    confusion: hasConfusion ? Array.from(confusion, BigInt) : [],
    unknownLabels: BigInt(unknownLabels),
  };
}

function ofNumbers(
  measured: Extract<MeasuredRows, { readonly task: "regression" }>,
  which: SliceRows,
) {
  const part = (values: Float64Array) => {
    return "rows" in which
      ? Float64Array.from(which.rows, (row) => values[row]!)
      : values.subarray(which.first, which.first + which.count);
  };
  const labels = part(measured.labels);
  let labelled = 0;
  for (const label of labels) {
    labelled += Number.isNaN(label) ? 0 : 1;
  }
  const { rows: _rows, ...errors } = numberMetrics(part(measured.predicted), labels);
  const regression: Init<typeof RegressionMetricsSchema> = errors;
  return { count: labels.length, labelled, ...(labelled === 0 ? {} : { regression }) };
}

function estimatedMessage(rows: ClassRows): Init<typeof EstimatedPerformanceSchema> | undefined {
  const estimate = estimateMetrics(rows);
  if (estimate === undefined) {
    return undefined;
  }
  const { rows: _rows, ...metrics } = estimate;
  const shown = Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, { ...(value as Estimated) }]),
  );
  return { ...shown, ...comparison(rows) };
}

/** The estimate of the labelled rows beside the truth of the very same rows. */
function comparison(rows: ClassRows): Init<typeof EstimatedPerformanceSchema> {
  const compared = compareAccuracy(rows);
  if (compared === undefined) {
    return {};
  }
  const { estimate, truth } = compared;
  const confirmed = estimate.lower <= truth && truth <= estimate.upper;
  return { accuracyOfLabelled: { ...estimate }, confirmed };
}
