// The histograms that drift measures are computed on, read from a numeric column's sketch: on the
// baseline's edges, or as fine as the quantile sketch is. The counts are exact in both.

import type { NumericHistogram } from "../drift/distribution.ts";
import { nextUp } from "../next-up.ts";
import { closing, type NumericColumn } from "./column-layout.ts";
import { countsOn, finiteCount, momentsOf, type NumericSketch } from "./numeric-sketch.ts";
import { bucketsAreValues, listBuckets } from "./value-buckets.ts";

/** As the drift measures take it: bins hold their left edge, the last one its right edge too. */
export type ReadHistogram = Omit<NumericHistogram, "form">;

/** On the edges of equal width; undefined where the baseline had no values to choose them from. */
export function widthHistogram(
  column: NumericColumn,
  sketch: NumericSketch,
): ReadHistogram | undefined {
  if (column.widthEdges.length < 2) {
    return undefined;
  }
  const counts = countsOn(sketch, closing(column.widthEdges));
  return {
    edges: Float64Array.from(column.widthEdges),
    counts: Float64Array.from(counts.slice(1, -1)),
    below: counts[0]!,
    above: counts.at(-1)!,
    ...summaryOf(sketch),
  };
}

/**
 * On the bounds of the buckets that have values, from min to max: for distribution functions, whose
 * steps it places within quantileError. Undefined where there are no values.
 */
export function fineHistogram(sketch: NumericSketch): ReadHistogram | undefined {
  const { min, max } = sketch;
  const edges: number[] = [];
  const counts: number[] = [];
  for (const bucket of listBuckets(sketch.buckets)) {
    const end = edges.at(-1) ?? min;
    // Bounds are rounded; neighbours may touch or, where a bucket is one value, fall together.
    const lower = Math.max(bucket.lower, end);
    if (edges.length === 0) {
      edges.push(lower);
    } else if (lower > end) {
      edges.push(lower);
      counts.push(0);
    }
    const upper = Math.min(bucket.upper, max);
    edges.push(upper > lower ? upper : nextUp(lower));
    counts.push(bucket.count);
  }
  if (counts.length === 0) {
    return undefined;
  }
  const [first, last] = [Float64Array.from(edges), Float64Array.from(counts)];
  return { edges: first, counts: last, below: 0, above: 0, ...summaryOf(sketch) };
}

function summaryOf(
  sketch: NumericSketch,
): Pick<ReadHistogram, "n" | "min" | "max" | "mean" | "std" | "distinct"> {
  const n = finiteCount(sketch);
  const { mean, std } = momentsOf(sketch);
  const [min, max] = n === 0 ? [Number.NaN, Number.NaN] : [sketch.min, sketch.max];
  const exact = bucketsAreValues(sketch.buckets);
  return { n, min, max, mean, std, ...(exact ? { distinct: sketch.buckets.size } : {}) };
}
