// Where the binned measures cut a numeric column, and what falls between the cuts. The reference
// systems differ here more than in their formulas, so each rule says whose it is.

import { nextUp } from "../next-up.ts";
import { cumulativeAt, cumulativeOf, quantileAt } from "./cumulative.ts";
import {
  countBelow,
  momentsOf,
  type NumericDistribution,
  type NumericHistogram,
  rangeOf,
  sizeOf,
} from "./distribution.ts";
import { type ValueCounts, valueCounts } from "./value-counts.ts";

/** A bin with this share of all values, so many times as dense as its neighbours, is one value. */
const SPIKE_SHARE = 0.05;
const SPIKE_DENSITY = 4;

/** Counts of two distributions over the same bins or categories, in the same order. */
export interface PairedCounts {
  readonly baseline: Float64Array;
  readonly current: Float64Array;
}

/** Two numeric columns, both not empty. */
export interface NumericPair {
  readonly baseline: NumericDistribution;
  readonly current: NumericDistribution;
}

/**
 * Edges of equal width over both columns together, `log2(N) + 1` of them rounded up (Sturges), with
 * the arithmetic of `numpy.histogram_bin_edges(concatenation, "sturges")`, which Evidently uses.
 * All values alike: one bin of width 1 around them. Values are taken as doubles: numpy 2 also keeps
 * bins of integer arrays at least 1 wide, which is not done here.
 */
export function sturgesEdges({ baseline, current }: NumericPair): Float64Array {
  const [a, b] = [rangeOf(baseline), rangeOf(current)];
  const range = { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
  return edgesOfRange(range, Math.log2(sizeOf(baseline) + sizeOf(current)) + 1);
}

/** Sturges edges over the different values of both columns: Evidently's bins for Hellinger. */
export function sturgesEdgesOfDistinct(values: Float64Array): Float64Array {
  const range = { min: values[0] as number, max: values.at(-1) as number };
  return edgesOfRange(range, Math.log2(values.length) + 1);
}

/**
 * Edges of equal width over the baseline alone, more of them the more skewed it is:
 * `1 + log2(n) + log2(1 + |g1| / sigma_g1)` with `sigma_g1 = sqrt(6 (n-2) / ((n+1) (n+3)))`
 * (Doane 1976, as numpy's "doane"; NannyML's bins). Skewness of a histogram is that of evenly
 * filled bins. Up to two values: one bin. All alike: one bin that holds that value only, where
 * numpy's would be 1 wide and hide any change within it.
 */
export function doaneEdges(baseline: NumericDistribution): Float64Array {
  const n = sizeOf(baseline);
  const { std } = momentsOf(baseline);
  const { min, max } = rangeOf(baseline);
  if (min === max) return Float64Array.of(min, nextUp(min));
  if (n <= 2) return edgesOfRange({ min, max }, 1);
  const deviation = Math.sqrt((6 * (n - 2)) / ((n + 1) * (n + 3)));
  // The squares of tiny numbers may all be 0, and the deviation with them.
  const skewness = std > 0 ? Math.abs(skewnessOf(baseline)) / deviation : 0;
  return edgesOfRange({ min, max }, 1 + Math.log2(n) + Math.log2(1 + skewness));
}

/**
 * Edges at the baseline's deciles, open at both ends: -Infinity, the nine deciles without repeats,
 * Infinity (the credit-risk form of PSI). Deciles interpolate as numpy's default does. A value that
 * fills several deciles makes fewer bins; in a histogram so does a bin that can only be one value.
 * A constant baseline gets three: left of it, itself, right.
 */
export function decileEdges(baseline: NumericDistribution): Float64Array {
  const deciles: number[] = [];
  const quantile = quantileIn(baseline);
  for (let k = 1; k <= 9; k += 1) {
    const decile = quantile(k / 10);
    if (decile !== deciles.at(-1)) deciles.push(decile);
  }
  const { min, max } = rangeOf(baseline);
  if (min === max) deciles.push(nextUp(min));
  return Float64Array.of(Number.NEGATIVE_INFINITY, ...deciles, Number.POSITIVE_INFINITY);
}

/**
 * How many values lie in each bin: `edges[i] <= x < edges[i + 1]`, in the last also its right edge,
 * as numpy.histogram. Values beyond the edges are in no bin. Exact for a sample; a histogram's bins
 * are cut evenly, and what is left of an edge is rounded to whole values: a part of one in a bin
 * that holds none would look like a share, where the measures expect none.
 */
export function countsInBins(numeric: NumericDistribution, edges: Float64Array): Float64Array {
  const counts = new Float64Array(edges.length - 1);
  const upTo = rankIn(numeric);
  let left = upTo(edges[0] as number, { inclusive: false });
  for (let i = 0; i < counts.length; i += 1) {
    const inclusive = i === counts.length - 1;
    const right = upTo(edges[i + 1] as number, { inclusive });
    counts[i] = Math.max(0, right - left);
    left = right;
  }
  return counts;
}

/** Both columns in the same bins. */
export function pairInBins({ baseline, current }: NumericPair, edges: Float64Array): PairedCounts {
  return { baseline: countsInBins(baseline, edges), current: countsInBins(current, edges) };
}

/**
 * Both columns in the same bins, and a last bin for what lies outside the edges, which are those of
 * the baseline, so that its count there is 0 (NannyML's leftover bin).
 */
export function pairWithLeftover(pair: NumericPair, edges: Float64Array): PairedCounts {
  const { baseline, current } = pairInBins(pair, edges);
  return {
    baseline: withLeftover(baseline, sizeOf(pair.baseline)),
    current: withLeftover(current, sizeOf(pair.current)),
  };
}

/** numpy's way from a wished number of bins to edges; its divisions and rounding are kept. */
function edgesOfRange(range: { min: number; max: number }, wished: number): Float64Array {
  const alike = range.min === range.max;
  const first = alike ? range.min - 0.5 : range.min;
  const last = alike ? range.max + 0.5 : range.max;
  const width = (range.max - range.min) / wished;
  const bins = width > 0 ? Math.ceil((last - first) / width) : 1;
  const edges = new Float64Array(bins + 1);
  const step = (last - first) / bins;
  for (let i = 0; i < bins; i += 1) edges[i] = i * step + first;
  edges[bins] = last;
  return edges;
}

function rankIn(
  numeric: NumericDistribution,
): (x: number, at: { readonly inclusive: boolean }) => number {
  if (numeric.form === "sample") return (x, at) => countBelow(numeric.sorted, x, at);
  const cumulative = cumulativeOf(numeric);
  return (x, { inclusive }) =>
    Math.round(numeric.n * cumulativeAt(cumulative, x, { before: !inclusive }));
}

function withLeftover(counts: Float64Array, size: number): Float64Array {
  const inside = counts.reduce((sum, count) => sum + count, 0);
  // The histogram's interpolated counts sum to its size but for rounding.
  const outside = size - inside;
  return Float64Array.of(...counts, outside > size * 1e-12 ? outside : 0);
}

/** From a share to the value that so many are below, as numpy's "linear" where values are known. */
function quantileIn(numeric: NumericDistribution): (share: number) => number {
  if (numeric.form === "sample") {
    const { sorted } = numeric;
    return (share) => linear(sorted.length, share, (place) => sorted[place] as number);
  }
  const values = valueCounts(numeric);
  if (values !== undefined) {
    return (share) => linear(numeric.n, share, (place) => valueAt(values, place));
  }
  const cumulative = cumulativeOf(numeric);
  return (share) => spikeAt(numeric, quantileAt(cumulative, share));
}

/** Interpolates at rank (n - 1) q. */
function linear(n: number, q: number, at: (place: number) => number): number {
  const rank = (n - 1) * q;
  const low = Math.floor(rank);
  const part = rank - low;
  const a = at(low);
  const b = at(Math.min(low + 1, n - 1));
  return part < 0.5 ? a + (b - a) * part : b - (b - a) * (1 - part);
}

/** The value at this place of all values in order. */
function valueAt({ values, counts }: ValueCounts, place: number): number {
  let seen = 0;
  const found = counts.findIndex((count) => {
    seen += count;
    return seen > place;
  });
  return values[found] as number;
}

/** The left edge of x's bin where that is a spike, else x. */
function spikeAt({ edges, counts, n }: NumericHistogram, x: number): number {
  const bin = edges.findLastIndex((edge) => edge <= x);
  const density = (i: number) => {
    const width = (edges[i + 1] as number) - (edges[i] as number);
    return counts[i] === undefined ? 0 : (counts[i] as number) / width;
  };
  const isHeavy = (counts[bin] ?? 0) >= SPIKE_SHARE * n;
  const around = Math.max(density(bin - 1), density(bin + 1));
  return isHeavy && density(bin) >= SPIKE_DENSITY * around ? (edges[bin] as number) : x;
}

/** Third central moment over std cubed. */
function skewnessOf(numeric: NumericDistribution): number {
  const { mean, std } = momentsOf(numeric);
  let cubes = 0;
  if (numeric.form === "sample") {
    for (const value of numeric.sorted) cubes += ((value - mean) / std) ** 3;
    return cubes / numeric.sorted.length;
  }
  const { xs, fs } = cumulativeOf(numeric);
  for (let i = 1; i < xs.length; i += 1) {
    const a = ((xs[i - 1] as number) - mean) / std;
    const b = ((xs[i] as number) - mean) / std;
    // The mean of z^3 over [a, b].
    cubes += ((fs[i] as number) - (fs[i - 1] as number)) * ((a + b) * (a * a + b * b)) * 0.25;
  }
  return cubes;
}
