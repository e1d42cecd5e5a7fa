// A numeric column as its different values and how often each is there: from rows, or from a
// histogram whose bins are so narrow that each is one value.

import { nextUp } from "../next-up.ts";
import type { PairedCounts } from "./bins.ts";
import type { NumericDistribution, NumericHistogram } from "./distribution.ts";

/** Different values, strictly ascending, and the count of each, above 0. */
export interface ValueCounts {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

/**
 * The different values. Undefined for a histogram that does not tell them: some value is outside
 * the edges or in a bin that is wider than one double.
 */
export function valueCounts(numeric: NumericDistribution): ValueCounts | undefined {
  return numeric.form === "sample" ? ofSorted(numeric.sorted) : ofHistogram(numeric);
}

/** Both over the values of either. */
export function pairValues(
  baseline: ValueCounts,
  current: ValueCounts,
): PairedCounts & { readonly values: Float64Array } {
  const size = baseline.values.length + current.values.length;
  const values = new Float64Array(size);
  const counts = { baseline: new Float64Array(size), current: new Float64Array(size) };
  let end = 0;
  let i = 0;
  let j = 0;
  while (i < baseline.values.length || j < current.values.length) {
    const a = baseline.values[i] ?? Number.POSITIVE_INFINITY;
    const b = current.values[j] ?? Number.POSITIVE_INFINITY;
    values[end] = Math.min(a, b);
    if (a <= b) counts.baseline[end] = baseline.counts[i++] as number;
    if (b <= a) counts.current[end] = current.counts[j++] as number;
    end += 1;
  }
  return {
    values: values.slice(0, end),
    baseline: counts.baseline.slice(0, end),
    current: counts.current.slice(0, end),
  };
}

function ofSorted(sorted: Float64Array): ValueCounts {
  const values = new Float64Array(sorted.length);
  const counts = new Float64Array(sorted.length);
  let end = 0;
  for (const value of sorted) {
    if (end === 0 || values[end - 1] !== value) {
      values[end] = value;
      end += 1;
    }
    (counts[end - 1] as number) += 1;
  }
  return { values: values.slice(0, end), counts: counts.slice(0, end) };
}

function ofHistogram(histogram: NumericHistogram): ValueCounts | undefined {
  const { edges, below, above, max } = histogram;
  if (below > 0 || above > 0) return undefined;
  const values: number[] = [];
  const counts: number[] = [];
  for (const [i, count] of histogram.counts.entries()) {
    if (count === 0) continue;
    const left = edges[i] as number;
    // The last bin also holds its right edge, which max tells.
    const isOneValue = nextUp(left) === edges[i + 1] && (i < edges.length - 2 || max === left);
    if (!isOneValue) return undefined;
    values.push(left);
    counts.push(count);
  }
  return { values: Float64Array.from(values), counts: Float64Array.from(counts) };
}
