// Two sketches of a numeric column as the drift measures take them. What a measure makes of two
// histograms depends on both being cut alike: a value that fills a tenth of one side, kept as
// itself there and as a narrow bin on the other, would look like a step of that size. So both sides
// are read on one grid, the finest that both have exact counts on.

import { countsInBins } from "../drift/bins.ts";
import {
  type NumericDistribution,
  type NumericHistogram,
  numericSample,
} from "../drift/distribution.ts";
import { nextUp } from "../next-up.ts";
import { closing, type NumericColumn } from "../sketch/column-layout.ts";
import { finiteCount, momentsOf, type NumericSketch } from "../sketch/numeric-sketch.ts";
import { fineHistogram, widthHistogram } from "../sketch/read-histogram.ts";
import {
  bucketsAreValues,
  listBuckets,
  mergeBucketsInto,
  newValueBuckets,
  type ValueBuckets,
} from "../sketch/value-buckets.ts";

/** What buckets that are values may be off: bits that one or two layouts dropped. */
const VALUE_ERROR = 2 ** -38;
/** How far a value may be off, as a part of the spread: what it does to a measure is then small. */
const SPREAD_ERROR_MAX = 1 / 16;
/** Decimal places that are tried for a value that lost its last bits. */
const PLACES_MAX = 9;

export interface NumericPair {
  readonly baseline: NumericDistribution;
  readonly current: NumericDistribution;
}

/**
 * Both sides on one grid: value by value where both kept them apart (then every measure is that of
 * the rows), else on the buckets of the coarser side and the layout's edges, between which both are
 * taken as evenly spread. Of two layouts, as reports that compare versions have them, the reference
 * lends its bins, and the other side is interpolated into them.
 */
export function numericPair(reference: NumericSketch, current: NumericSketch): NumericPair {
  if (finiteCount(reference) === 0 || finiteCount(current) === 0) {
    return { baseline: sizeOnly(reference), current: sizeOnly(current) };
  }
  if (bucketsAreValues(reference.buckets) && bucketsAreValues(current.buckets)) {
    return { baseline: byValue(reference), current: byValue(current) };
  }
  if (haveSameGrid(reference, current)) {
    const level = Math.max(reference.buckets.level, current.buckets.level);
    return { baseline: byBucket(reference, level), current: byBucket(current, level) };
  }
  return onBinsOfReference(reference, current);
}

/**
 * Whether the values lie so close together for their size that a side has lost their differences. A
 * baseline that was learned from served rows knows numbers to one part in 2^40, which says nothing
 * of 10^15 + 3.
 */
export function isBeyondPrecision(reference: NumericSketch, current: NumericSketch): boolean {
  if (finiteCount(reference) === 0 || finiteCount(current) === 0) {
    return false;
  }
  const [before, after] = [momentsOf(reference), momentsOf(current)];
  const spread = Math.max(before.std, after.std, Math.abs(before.mean - after.mean));
  return (
    spread > 0 && [reference, current].some((side) => errorOfEnds(side) > SPREAD_ERROR_MAX * spread)
  );
}

/** How far the outermost buckets are from the exact minimum and maximum, where they are values. */
function errorOfEnds({ buckets, min, max }: NumericSketch): number {
  if (!bucketsAreValues(buckets)) {
    return 0;
  }
  const list = listBuckets(buckets);
  return Math.max(Math.abs(list[0]!.value - min), Math.abs(list.at(-1)!.value - max));
}

/**
 * Both sides in the reference's bins of equal width, for tests that count a bin as a category: of
 * columns whose values are too many to be categories. Undefined where it has no such bins.
 */
export function widthPair(
  column: NumericColumn,
  reference: NumericSketch,
  current: NumericSketch,
): { readonly baseline: NumericHistogram; readonly current: NumericHistogram } | undefined {
  const baseline = widthHistogram(column, reference);
  const other = numericHistogramOf(current);
  if (baseline === undefined || other === undefined) {
    return undefined;
  }
  const edges = closing(column.widthEdges);
  const ends = [Number.NEGATIVE_INFINITY, ...edges, Number.POSITIVE_INFINITY];
  const counts = countsInBins(other, Float64Array.from(ends));
  const { distinct: _apart, ...summary } = other;
  return {
    baseline: { form: "histogram", ...baseline },
    current: {
      ...summary,
      edges: baseline.edges,
      counts: counts.slice(1, -1),
      below: counts[0]!,
      above: counts.at(-1)!,
    },
  };
}

/** One side by itself, as fine as it is; undefined where no value is finite. */
export function numericHistogramOf(sketch: NumericSketch): NumericHistogram | undefined {
  if (finiteCount(sketch) === 0) {
    return undefined;
  }
  return bucketsAreValues(sketch.buckets)
    ? byValue(sketch)
    : byBucket(sketch, sketch.buckets.level);
}

/** Enough to say that one side is empty, and how large the other is. */
function sizeOnly(sketch: NumericSketch): NumericDistribution {
  return numericHistogramOf(sketch) ?? numericSample([]);
}

/** Buckets of equal level have the same bounds; then so have all coarser ones. */
function haveSameGrid(a: NumericSketch, b: NumericSketch): boolean {
  return a.layout.center === b.layout.center && a.layout.scale === b.layout.scale;
}

/** A bin for each value, one double wide, and empty ones between them. */
function byValue(sketch: NumericSketch): NumericHistogram {
  const edges: number[] = [];
  const counts: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const bucket of listBuckets(sketch.buckets)) {
    const value = wholeValue(bucket.value, sketch.layout);
    if (value <= last) {
      // Closer than a bucket is wide: one value.
      counts[counts.length - 1] = counts.at(-1)! + bucket.count;
      continue;
    }
    const end = edges.at(-1) ?? value;
    if (end < value) {
      counts.push(0);
    }
    if (edges.length === 0 || end < value) {
      edges.push(value);
    }
    edges.push(nextUp(value));
    counts.push(bucket.count);
    last = value;
  }
  const { mean, std } = momentsOf(sketch);
  return {
    form: "histogram",
    edges: Float64Array.from(edges),
    counts: Float64Array.from(counts),
    below: 0,
    above: 0,
    n: finiteCount(sketch),
    min: edges[0]!,
    max: last,
    mean,
    std,
    distinct: sketch.buckets.size,
  };
}

/**
 * The value that lost its last bits in a bucket: itself, where it is a single-precision number (as
 * all integers that matter), else the shortest decimal fraction or the single-precision number that
 * is as near as those bits are. Equal values of two sides come to one number by it, and lie on the
 * same side of an edge as in the rows.
 */
function wholeValue(
  value: number,
  { center, scale }: { readonly center: number; readonly scale: number },
): number {
  const single = Math.fround(value);
  if (single === value) {
    return value;
  }
  const error = VALUE_ERROR * (Math.abs(value - center) + scale + Math.abs(value));
  let unit = 10;
  // A grid as fine as the error has a number near any value, which says nothing.
  for (let places = 1; places <= PLACES_MAX && 16 * error * unit < 1; places += 1) {
    const decimal = Math.round(value * unit) / unit;
    if (Math.abs(decimal - value) <= error) {
      return decimal;
    }
    unit *= 10;
  }
  return Math.abs(single - value) <= error ? single : value;
}

/** On the bounds of the buckets of that level, and on the layout's edges between them. */
function byBucket(sketch: NumericSketch, level: number): NumericHistogram {
  const histogram = fineHistogram({ ...sketch, buckets: atLevel(sketch.buckets, level) })!;
  return { form: "histogram", ...histogram, ...withEdges(histogram, sketch) };
}

function atLevel(buckets: ValueBuckets, level: number): ValueBuckets {
  if (buckets.level === level) {
    return buckets;
  }
  const coarse = { ...newValueBuckets(buckets.layout), level };
  mergeBucketsInto(coarse, buckets);
  return coarse;
}

/**
 * The bins of a histogram, cut at the layout's edges too. A profile made in one pass has its
 * buckets from others, so their counts may contradict those at the edges by a few values: what is
 * left of a bound never falls.
 */
function withEdges(
  histogram: Pick<NumericHistogram, "edges" | "counts">,
  { layout, bins }: NumericSketch,
): Pick<NumericHistogram, "edges" | "counts"> {
  const bounds = histogram.edges;
  const edges = new Float64Array(bounds.length + layout.edges.length);
  const counts = new Float64Array(edges.length);
  let size = 0;
  let placed = 0;
  const cut = (edge: number, before: number) => {
    edges[size] = edge;
    if (size > 0) {
      counts[size - 1] = Math.max(0, before - placed);
      placed += counts[size - 1]!;
    }
    size += 1;
  };
  let next = 0;
  let beforeEdge = bins[0]!;
  let beforeBound = 0;
  for (let i = 0; i < bounds.length; i++) {
    const bound = bounds[i]!;
    while (next < layout.edges.length && layout.edges[next]! <= bound) {
      const edge = layout.edges[next]!;
      if (size > 0 && edge > edges[size - 1]! && edge < bound) {
        cut(edge, Math.min(beforeEdge, beforeBound));
      }
      next += 1;
      beforeEdge += bins[next]!;
    }
    cut(bound, beforeBound);
    beforeBound += histogram.counts[i] ?? 0;
  }
  return { edges: edges.slice(0, size), counts: counts.slice(0, size - 1) };
}

/** Bins of the reference, and the current side's own where it goes beyond them. */
function onBinsOfReference(reference: NumericSketch, current: NumericSketch): NumericPair {
  const [baseline, other] = [numericHistogramOf(reference)!, numericHistogramOf(current)!];
  const first = baseline.edges[0]!;
  const last = baseline.edges.at(-1)!;
  const edges = Float64Array.of(
    ...other.edges.filter((edge) => edge < first),
    ...baseline.edges,
    ...other.edges.filter((edge) => edge > last),
  );
  return { baseline: inBins(baseline, edges), current: inBins(other, edges) };
}

function inBins(histogram: NumericHistogram, edges: Float64Array): NumericHistogram {
  const { distinct: _apart, ...rest } = histogram;
  return { ...rest, edges, counts: countsInBins(histogram, edges), below: 0, above: 0 };
}
