// Wasserstein distance: how far the values had to be moved, on average, to turn one column into the
// other.

import { cumulativeOf, walkDifference } from "./cumulative.ts";
import { momentsOf, type NumericDistribution } from "./distribution.ts";

/** Least norm, so that a baseline that hardly varies does not divide by zero (Evidently). */
const NORM_MIN = 0.001;

/**
 * W1 = integral |F(x) - G(x)| dx over the two cumulative distributions, in the column's unit. Exact
 * for samples (scipy.stats.wasserstein_distance); for a histogram F is interpolated linearly inside
 * its bins, which is off by at most the width of a bin. Both must not be empty. 0 where they are
 * equal; symmetric.
 */
export function wassersteinDistance(a: NumericDistribution, b: NumericDistribution): number {
  if (a.form === "sample" && b.form === "sample") return ofSamples(a.sorted, b.sorted);
  let area = 0;
  walkDifference(cumulativeOf(a), cumulativeOf(b), (width, start, end) => {
    area += width * meanMagnitude(start, end);
  });
  return area;
}

/**
 * W1 over max(standard deviation of the baseline with ddof 0, 0.001): without unit (Evidently's
 * wasserstein). Not symmetric, since only the baseline gives the norm.
 */
export function normedWassersteinDistance(pair: {
  readonly baseline: NumericDistribution;
  readonly current: NumericDistribution;
}): number {
  const { baseline, current } = pair;
  return wassersteinDistance(baseline, current) / Math.max(momentsOf(baseline).std, NORM_MIN);
}

function ofSamples(a: Float64Array, b: Float64Array): number {
  let area = 0;
  let i = 0;
  let j = 0;
  let x = Math.min(a[0] as number, b[0] as number);
  while (i < a.length || j < b.length) {
    const next = Math.min(a[i] ?? Number.POSITIVE_INFINITY, b[j] ?? Number.POSITIVE_INFINITY);
    // Whole numbers until the division, so that equal shares cancel exactly.
    area += ((next - x) * Math.abs(i * b.length - j * a.length)) / (a.length * b.length);
    while (a[i] === next) i += 1;
    while (b[j] === next) j += 1;
    x = next;
  }
  return area;
}

/** The mean of |d| where d goes straight from start to end. */
function meanMagnitude(start: number, end: number): number {
  const [a, b] = [Math.abs(start), Math.abs(end)];
  if (start * end >= 0) return (a + b) / 2;
  return (a * a + b * b) / (2 * (a + b));
}
