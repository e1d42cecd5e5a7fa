// Chi-square tests of categories: against the baseline as if it were the truth (Evidently), and of
// two samples alike in rights (NannyML).

import type { PairedCounts } from "./bins.ts";
import { chiSquareTail } from "./special-functions.ts";

/** Yates takes this from every deviation of a two by two table. */
const YATES_CORRECTION = 0.5;

export interface ChiSquare {
  /** Infinity where a category came up that the baseline gives no chance. */
  readonly statistic: number;
  /** One less than the categories that either side has. */
  readonly degreesOfFreedom: number;
  readonly pValue: number;
}

/**
 * Goodness of fit of the current counts to the baseline's, scaled to the current size (Evidently's
 * chisquare): sum (o - e)^2 / e with e = baseline count times n_current / n_baseline, k - 1 degrees
 * of freedom. It takes the baseline for the exact truth. A category with no baseline count makes
 * the statistic Infinity and p 0; one that is empty on both sides is left out; a single one gives p
 * 1. Neither side may be empty.
 */
export function chiSquareGoodnessOfFit({ baseline, current }: PairedCounts): ChiSquare {
  const scale = total(current) / total(baseline);
  let statistic = 0;
  let categories = 0;
  for (let i = 0; i < baseline.length; i += 1) {
    const [expected, observed] = [(baseline[i] as number) * scale, current[i] as number];
    if (expected === 0 && observed === 0) continue;
    categories += 1;
    statistic += (observed - expected) ** 2 / expected;
  }
  return withTail(statistic, categories - 1);
}

/**
 * Independence in the table of two rows (baseline, current) and k columns, as
 * scipy.stats.chi2_contingency: expected counts from the margins, k - 1 degrees of freedom, and
 * Yates' correction for continuity where k is 2 (each |o - e| is lessened by a half, at most to 0).
 * Symmetric. Columns that are empty on both sides are left out; a single one gives p 1. Neither
 * side may be empty.
 */
export function chiSquareContingency({ baseline, current }: PairedCounts): ChiSquare {
  const sizes = [total(baseline), total(current)] as const;
  const columns: (readonly [number, number])[] = [];
  for (let i = 0; i < baseline.length; i += 1) {
    const column = [baseline[i] as number, current[i] as number] as const;
    if (column[0] + column[1] > 0) columns.push(column);
  }
  const correction = columns.length === 2 ? YATES_CORRECTION : 0;
  let statistic = 0;
  for (const column of columns) {
    for (const row of [0, 1] as const) {
      const expected = ((column[0] + column[1]) * sizes[row]) / (sizes[0] + sizes[1]);
      const deviation = Math.max(0, Math.abs(column[row] - expected) - correction);
      statistic += deviation ** 2 / expected;
    }
  }
  return withTail(statistic, columns.length - 1);
}

function withTail(statistic: number, degreesOfFreedom: number): ChiSquare {
  const pValue = chiSquareTail(statistic, degreesOfFreedom);
  return { statistic, degreesOfFreedom, pValue };
}

function total(counts: Float64Array): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
