// What is said of one column, or of all: a measure with its verdict, or why there is none. Too few
// values and nothing to compare are answers of their own, never drift.

import {
  type DriftComparison,
  type DriftMethod,
  METHOD_RULES,
  type SeverityBands,
} from "./drift-method.ts";

/** Share of drifted columns from which a data set has drifted (Evidently). */
const DATASET_SHARE = 0.5;

/** Independent of the threshold: how much, where `drifted` says whether. */
export type Severity = "none" | "moderate" | "significant";

/** Values on both sides, without missing ones. */
export interface WindowSizes {
  readonly baseline: number;
  readonly current: number;
}

/** What a method found, before any verdict. */
export interface Measurement {
  /** The distance, or the p-value of a test. */
  readonly value: number;
  /** A test's own number: D, chi-square or z. Absent for distances. */
  readonly statistic?: number;
  /** Of chi-square only. */
  readonly degreesOfFreedom?: number;
}

/** Why two columns cannot be compared, by any method or by the one asked for. */
export type NotComparableReason =
  | "baseline-empty"
  | "current-empty"
  /** Both have one and the same value throughout: there is nothing that could have moved. */
  | "constant"
  /** One is numeric, the other categorical. */
  | "kinds-differ"
  /** Numbers beyond 1e150, whose squares are no doubles any more. */
  | "numbers-too-large"
  /** A method of numbers for categories, or the z-test for more than two values. */
  | "method-does-not-apply"
  /** Two histograms that were cut differently, for a method that needs equal bins. */
  | "bins-differ";

export type DriftResult =
  | ({
      readonly outcome: "measured";
      readonly method: DriftMethod;
      readonly threshold: number;
      /** The column has drifted when `value comparison threshold`. */
      readonly comparison: DriftComparison;
      readonly drifted: boolean;
      readonly severity: Severity;
      readonly sizes: WindowSizes;
    } & Measurement)
  | {
      readonly outcome: "too-few-samples";
      readonly method: DriftMethod;
      readonly sizes: WindowSizes;
      /** Both sides would have needed so many. */
      readonly sizeMin: number;
    }
  | {
      readonly outcome: "not-comparable";
      /** Absent where it did not come to a choice. */
      readonly method?: DriftMethod;
      readonly reason: NotComparableReason;
      readonly sizes: WindowSizes;
    };

/** What may be set otherwise than the method has it. */
export interface VerdictOptions {
  readonly threshold?: number;
  readonly bands?: SeverityBands;
}

/** The verdict on a measurement. */
export function judge(
  method: DriftMethod,
  measurement: Measurement,
  { sizes, ...options }: VerdictOptions & { readonly sizes: WindowSizes },
): DriftResult {
  const { comparison, threshold: usual, bands } = METHOD_RULES[method];
  const threshold = options.threshold ?? usual;
  return {
    outcome: "measured",
    method,
    ...measurement,
    threshold,
    comparison,
    drifted: isDrifted(measurement.value, comparison, threshold),
    severity: severityOf(method, measurement.value, options.bands ?? bands),
    sizes,
  };
}

/** The band a value is in; on a border the more severe one. Bands absent: the method's own. */
export function severityOf(
  method: DriftMethod,
  value: number,
  bands: SeverityBands = METHOD_RULES[method].bands,
): Severity {
  const reaches = (band: number) =>
    METHOD_RULES[method].measures === "distance" ? value >= band : value <= band;
  if (reaches(bands.significant)) return "significant";
  return reaches(bands.moderate) ? "moderate" : "none";
}

export interface DatasetDrift {
  readonly columns: number;
  /** Columns with a measure; the others are in neither part of the share. */
  readonly measured: number;
  readonly drifted: number;
  /** drifted / measured; 0 where nothing was measured. */
  readonly share: number;
  /** The share from which the data set has drifted. */
  readonly threshold: number;
  /** False where nothing was measured. */
  readonly isDrifted: boolean;
}

/**
 * Drift of a data set: the share of drifted columns is at least the threshold (absent: 0.5, as
 * Evidently). Columns without a measure do not count, where Evidently counts every column.
 */
export function datasetDrift(
  results: readonly DriftResult[],
  { threshold = DATASET_SHARE }: { readonly threshold?: number } = {},
): DatasetDrift {
  const measured = results.filter(({ outcome }) => outcome === "measured").length;
  const drifted = results.filter(
    (result) => result.outcome === "measured" && result.drifted,
  ).length;
  const share = measured === 0 ? 0 : drifted / measured;
  const isDriftedSet = measured > 0 && share >= threshold;
  return { columns: results.length, measured, drifted, share, threshold, isDrifted: isDriftedSet };
}

function isDrifted(value: number, comparison: DriftComparison, threshold: number): boolean {
  switch (comparison) {
    case ">=":
      return value >= threshold;
    case "<=":
      return value <= threshold;
    case "<":
      return value < threshold;
  }
}
