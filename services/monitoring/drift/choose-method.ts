// Which method fits a column when nobody has said: Evidently's choice, so that its users find the
// numbers they know.

import { pairCategories } from "./categories.ts";
import type { Distribution, NumericDistribution, NumericHistogram } from "./distribution.ts";
import type { DriftMethod } from "./drift-method.ts";
import { pairValues, valueCounts } from "./value-counts.ts";

/** Up to so many baseline values tests are sharp enough; above they call every trifle drift. */
const TEST_SIZE_MAX = 1000;
/** A numeric column with at most so many different values is treated as categories. */
const FEW_VALUES = 5;
const TWO_VALUES = 2;

export interface ColumnFacts {
  readonly kind: "numeric" | "categorical";
  /** Values of the baseline, without missing ones. */
  readonly baselineSize: number;
  /** Different values of baseline and current together; Infinity where it is not known. */
  readonly distinct: number;
}

/**
 * Evidently's automatic choice. Baseline up to 1000 values: Kolmogorov-Smirnov for numbers with
 * more than 5 different values, else chi-square, or the z-test for at most 2. Above 1000: normed
 * Wasserstein for numbers with more than 5 different values, else Jensen-Shannon (base e).
 */
export function chooseMethod({ kind, baselineSize, distinct }: ColumnFacts): DriftMethod {
  const isContinuous = kind === "numeric" && distinct > FEW_VALUES;
  if (baselineSize > TEST_SIZE_MAX) return isContinuous ? "wasserstein" : "jensen_shannon";
  if (isContinuous) return "kolmogorov_smirnov";
  return distinct <= TWO_VALUES ? "z_test" : "chi_square";
}

/**
 * Different values of both columns together: counted for samples, categories (`other` counts as
 * one, so as at least one too few) and histograms with a bin for each value. Of other histograms at
 * least what either knows of itself and the bins that hold something; Infinity where one does not
 * know, or where the kinds differ.
 */
export function distinctTogether(baseline: Distribution, current: Distribution): number {
  if (baseline.form === "categories" && current.form === "categories") {
    return pairCategories(baseline, current).baseline.length;
  }
  if (baseline.form === "categories" || current.form === "categories") {
    return Number.POSITIVE_INFINITY;
  }
  const [a, b] = [valueCounts(baseline), valueCounts(current)];
  if (a !== undefined && b !== undefined) return pairValues(a, b).values.length;
  const known = Math.max(
    a?.values.length ?? distinctOf(baseline),
    b?.values.length ?? distinctOf(current),
  );
  return Math.max(known, occupiedTogether(baseline, current));
}

function distinctOf(numeric: NumericDistribution): number {
  return (numeric.form === "histogram" ? numeric.distinct : undefined) ?? Number.POSITIVE_INFINITY;
}

/** Bins that hold something on either side, where both have the same. */
function occupiedTogether(a: NumericDistribution, b: NumericDistribution): number {
  if (a.form !== "histogram" || b.form !== "histogram" || !haveSameEdges(a, b)) return 0;
  let occupied = a.below + b.below > 0 ? 1 : 0;
  if (a.above + b.above > 0) occupied += 1;
  a.counts.forEach((count, i) => {
    if (count + (b.counts[i] as number) > 0) occupied += 1;
  });
  return occupied;
}

/** Whether two histograms have the same bins. */
export function haveSameEdges(a: NumericHistogram, b: NumericHistogram): boolean {
  if (a.edges === b.edges) return true;
  return a.edges.length === b.edges.length && a.edges.every((edge, i) => edge === b.edges[i]);
}
