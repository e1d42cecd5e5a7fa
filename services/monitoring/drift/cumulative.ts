// The cumulative distribution of a numeric column as straight pieces and jumps: a sample jumps at
// its values, a histogram climbs evenly inside each bin. In this form the two can be compared in
// any mix.

import type { NumericDistribution, NumericHistogram } from "./distribution.ts";

/**
 * F as knots, joined by straight lines; 0 left of the first and 1 from the last on. Two knots with
 * one x are a jump.
 */
export interface Cumulative {
  /** Ascending, not strictly. */
  readonly xs: Float64Array;
  /** Ascending from 0 to 1, one for each x. */
  readonly fs: Float64Array;
}

/**
 * The cumulative distribution. Inside a histogram's bin the values are taken as evenly spread, the
 * outermost bins end at min and max, and what is below or above the edges lies between there and
 * min or max. The distribution must not be empty.
 */
export function cumulativeOf(numeric: NumericDistribution): Cumulative {
  return numeric.form === "histogram" ? climbs(numeric) : jumps(numeric.sorted);
}

/** F(x), or the limit from the left, P(X < x), when `before`. */
export function cumulativeAt(
  { xs, fs }: Cumulative,
  x: number,
  { before }: { readonly before: boolean },
): number {
  const next = knotsUpTo(xs, x, before);
  if (next === 0) return 0;
  if (next === xs.length) return 1;
  return between(xs, fs, next, x);
}

/** The least x with F(x) >= share, where F climbs through it; share in [0, 1]. */
export function quantileAt({ xs, fs }: Cumulative, share: number): number {
  let next = 1;
  while (next < fs.length - 1 && (fs[next] as number) < share) next += 1;
  const [x0, x1] = [xs[next - 1] as number, xs[next] as number];
  const [f0, f1] = [fs[next - 1] as number, fs[next] as number];
  return f1 > f0 ? x0 + (x1 - x0) * ((share - f0) / (f1 - f0)) : x0;
}

/** One stretch between neighbouring knots; the difference F - G is straight on it. */
export type DifferenceVisitor = (width: number, atStart: number, atEnd: number) => void;

/** Visits F - G from the first knot of either to the last; stretches of width 0 are left out. */
export function walkDifference(f: Cumulative, g: Cumulative, visit: DifferenceVisitor): void {
  const last = Math.max(f.xs.at(-1) as number, g.xs.at(-1) as number);
  let x = Math.min(f.xs[0] as number, g.xs[0] as number);
  let i = 0;
  let j = 0;
  while (x < last) {
    while (i < f.xs.length && (f.xs[i] as number) <= x) i += 1;
    while (j < g.xs.length && (g.xs[j] as number) <= x) j += 1;
    const end = Math.min(f.xs[i] ?? last, g.xs[j] ?? last);
    visit(end - x, valueOn(f, i, x) - valueOn(g, j, x), valueOn(f, i, end) - valueOn(g, j, end));
    x = end;
  }
}

/** F at x on the piece that ends at knot `next`. */
function valueOn({ xs, fs }: Cumulative, next: number, x: number): number {
  if (next === 0) return 0;
  return next === xs.length ? 1 : between(xs, fs, next, x);
}

function between(xs: Float64Array, fs: Float64Array, next: number, x: number): number {
  const [x0, x1] = [xs[next - 1] as number, xs[next] as number];
  const [f0, f1] = [fs[next - 1] as number, fs[next] as number];
  if (x >= x1) return f1;
  return f0 + (f1 - f0) * ((x - x0) / (x1 - x0));
}

/** How many knots are left of x, or at x too unless `before`. */
function knotsUpTo(xs: Float64Array, x: number, before: boolean): number {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const knot = xs[middle] as number;
    if (knot < x || (!before && knot === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function jumps(sorted: Float64Array): Cumulative {
  const n = sorted.length;
  const xs = new Float64Array(2 * n);
  const fs = new Float64Array(2 * n);
  for (let i = 0; i < n; i += 1) {
    const value = sorted[i] as number;
    xs[2 * i] = value;
    xs[2 * i + 1] = value;
    fs[2 * i] = i / n;
    fs[2 * i + 1] = (i + 1) / n;
  }
  return { xs, fs };
}

function climbs({ edges, counts, below, n, min, max }: NumericHistogram): Cumulative {
  const xs = new Float64Array(edges.length + 2);
  const fs = new Float64Array(edges.length + 2);
  xs[0] = min;
  let sum = below;
  for (let i = 0; i < edges.length; i += 1) {
    xs[i + 1] = Math.min(Math.max(edges[i] as number, min), max);
    fs[i + 1] = sum / n;
    sum += counts[i] ?? 0;
  }
  xs[edges.length + 1] = max;
  fs[edges.length + 1] = 1;
  return { xs, fs };
}
