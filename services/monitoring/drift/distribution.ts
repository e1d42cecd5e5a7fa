// What the drift measures take: one column over one span of time, as rows that are still there or
// as the histogram that is left of them. A measure never sees where its numbers came from.

import assert from "node:assert";

/** Finite values of a numeric column, all of them. */
export interface NumericSample {
  readonly form: "sample";
  /** Finite values, ascending; NaN and infinities are not among them. */
  readonly sorted: Float64Array;
  /** How many values were NaN; null counts as NaN. */
  readonly nan: number;
  readonly positiveInfinity: number;
  readonly negativeInfinity: number;
}

/**
 * What is kept of a numeric column: counts between fixed edges. Bin i holds
 * `edges[i] <= x < edges[i + 1]`, the last bin also its right edge. Only finite values are counted.
 */
export interface NumericHistogram {
  readonly form: "histogram";
  /** Finite, strictly ascending, at least two. In the column's own unit, as min, max, mean, std. */
  readonly edges: Float64Array;
  /** One a bin: `edges.length - 1`; whole. */
  readonly counts: Float64Array;
  /** Values left of the first edge. */
  readonly below: number;
  /** Values right of the last edge. */
  readonly above: number;
  /** All finite values: the sum of counts, below and above. */
  readonly n: number;
  /** NaN when n is 0, as max, mean and std. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Of the values themselves, with n as the divisor (ddof 0). */
  readonly std: number;
  /** How many different values, as far as known. Absent: unknown, so many. */
  readonly distinct?: number;
}

export type NumericDistribution = NumericSample | NumericHistogram;

/** A categorical column: counts by category. Missing values are not counted. */
export interface CategoricalDistribution {
  readonly form: "categories";
  /** A category that is not listed has 0, or is among `other` where that is not 0. */
  readonly counts: ReadonlyMap<string, number>;
  /** Values of categories beyond those that are listed. */
  readonly other: number;
}

export type Distribution = NumericDistribution | CategoricalDistribution;

/** A sample of any numbers, in any order; it copies them. */
export function numericSample(values: ArrayLike<number>): NumericSample {
  const finite = new Float64Array(values.length);
  let size = 0;
  let nan = 0;
  let positiveInfinity = 0;
  let negativeInfinity = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (Number.isFinite(value)) {
      finite[size] = value;
      size += 1;
    } else if (value === Number.POSITIVE_INFINITY) positiveInfinity += 1;
    else if (value === Number.NEGATIVE_INFINITY) negativeInfinity += 1;
    else nan += 1;
  }
  const sorted = finite.slice(0, size).sort();
  return { form: "sample", sorted, nan, positiveInfinity, negativeInfinity };
}

/** A histogram of given parts, checked. Fails an assertion where they contradict each other. */
export function numericHistogram(parts: Omit<NumericHistogram, "form">): NumericHistogram {
  const { edges, counts, below, above, n, min, max, mean, std } = parts;
  assert(edges.length >= 2 && counts.length === edges.length - 1, "a count for each bin");
  for (let i = 1; i < edges.length; i += 1) {
    assert((edges[i - 1] as number) < (edges[i] as number), "edges ascend");
  }
  assert(Number.isFinite(edges[0]) && Number.isFinite(edges.at(-1)), "edges are finite");
  let sum = below + above;
  for (const count of counts) {
    assert(count >= 0 && Number.isInteger(count), "counts are whole and not negative");
    sum += count;
  }
  assert(below >= 0 && above >= 0 && sum === n, "n is the sum of all counts");
  if (n > 0) {
    assert(min <= max && min <= mean && mean <= max && std >= 0, "min <= mean <= max, std >= 0");
    assert(below > 0 === min < (edges[0] as number), "below says whether min is left of the edges");
    assert(above > 0 === max > (edges.at(-1) as number), "above says whether max is right of them");
  }
  return { form: "histogram", ...parts };
}

/** The histogram that is left of a sample between these edges (finite, strictly ascending). */
export function histogramOf(sample: NumericSample, edges: Float64Array): NumericHistogram {
  const { sorted } = sample;
  const n = sorted.length;
  const first = edges[0] as number;
  const last = edges.at(-1) as number;
  const below = countBelow(sorted, first);
  const above = n - countBelow(sorted, last, { inclusive: true });
  const counts = new Float64Array(edges.length - 1);
  let left = below;
  for (let i = 0; i < counts.length; i += 1) {
    const isLast = i === counts.length - 1;
    const right = isLast ? n - above : countBelow(sorted, edges[i + 1] as number);
    counts[i] = right - left;
    left = right;
  }
  const { mean, std } = momentsOf(sample);
  const extremes = { min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
  const distinct = distinctCount(sorted);
  return numericHistogram({ edges, counts, below, above, n, ...extremes, mean, std, distinct });
}

/** Counts by category; undefined and null are missing and left out. */
export function categoricalDistribution(
  values: Iterable<string | null | undefined>,
): CategoricalDistribution {
  const counts = new Map<string, number>();
  for (const value of values) {
    if (value !== null && value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return { form: "categories", counts, other: 0 };
}

/** How many values the distribution stands for: finite ones, or those with a category. */
export function sizeOf(distribution: Distribution): number {
  switch (distribution.form) {
    case "sample":
      return distribution.sorted.length;
    case "histogram":
      return distribution.n;
    case "categories": {
      let size = distribution.other;
      for (const count of distribution.counts.values()) size += count;
      return size;
    }
  }
}

/** Mean and standard deviation (ddof 0), both in the column's unit; NaN when there is no value. */
export function momentsOf(numeric: NumericDistribution): { mean: number; std: number } {
  if (numeric.form === "histogram") return { mean: numeric.mean, std: numeric.std };
  const { sorted } = numeric;
  const n = sorted.length;
  if (n === 0) return { mean: Number.NaN, std: Number.NaN };
  let sum = 0;
  for (const value of sorted) sum += value;
  // Rounding must not carry the mean of a constant column past its only value.
  const mean = Math.min(Math.max(sum / n, sorted[0] as number), sorted[n - 1] as number);
  let squares = 0;
  for (const value of sorted) squares += (value - mean) ** 2;
  return { mean, std: Math.sqrt(squares / n) };
}

/** Least and greatest value; NaN when there is none. */
export function rangeOf(numeric: NumericDistribution): { min: number; max: number } {
  if (numeric.form === "histogram") return { min: numeric.min, max: numeric.max };
  const { sorted } = numeric;
  return { min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** How many of the ascending values are less than x, or at most x when inclusive. */
export function countBelow(
  sorted: Float64Array,
  x: number,
  { inclusive = false }: { readonly inclusive?: boolean } = {},
): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const value = sorted[middle] as number;
    if (value < x || (inclusive && value === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many different values are among ascending ones. */
export function distinctCount(sorted: Float64Array): number {
  let distinct = sorted.length > 0 ? 1 : 0;
  for (let i = 1; i < sorted.length; i += 1) if (sorted[i] !== sorted[i - 1]) distinct += 1;
  return distinct;
}
