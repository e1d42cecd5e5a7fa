// What is kept of a column of numbers in one window: counts, extremes, exact moments, a histogram
// on the baseline's edges and a quantile sketch. All parts merge exactly: two sketches of one
// layout that have seen the same rows, in whatever order and grouping, are equal to the last bit.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { isNull, type NullBitmap } from "./column-batch.ts";
import {
  addExact,
  clearExact,
  copyExact,
  type ExactMoments,
  type Moments,
  mergeExactInto,
  newExactMoments,
  readExact,
  readMoments,
  writeExact,
} from "./exact-moments.ts";
import type { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { checkRows, damaged, otherLayout } from "./sketch-faults.ts";
import {
  addToBuckets,
  type BucketLayout,
  bucketError,
  copyBuckets,
  listBuckets,
  mergeBucketsInto,
  newValueBuckets,
  readBuckets,
  type ValueBuckets,
  writeBuckets,
} from "./value-buckets.ts";

/** Of one histogram: 64 edges and the two outer bins fit a report and about 200 bytes. */
export const EDGES_MAX = 64;
/** Values of a batch that go through the parts together; they stay in the first-level cache. */
const CHUNK = 1024;

/** What two sketches must share to be compared or merged; given by the baseline. */
export interface NumericLayout extends BucketLayout {
  /**
   * Strictly ascending, finite. Bin i holds edges[i - 1] <= x < edges[i]; the outer ones are
   * open.
   */
  readonly edges: Float64Array;
}

export interface NumericSketch {
  readonly layout: NumericLayout;
  /** All rows, of which null, NaN, infinite or of another type than a number: */
  rows: number;
  nulls: number;
  nan: number;
  positiveInfinity: number;
  negativeInfinity: number;
  mistyped: number;
  /** Of the finite ones. */
  zeros: number;
  /** Infinity and -Infinity where there is no finite value. */
  min: number;
  max: number;
  readonly moments: ExactMoments;
  /** edges.length + 1 bins. */
  readonly bins: Float64Array;
  readonly buckets: ValueBuckets;
}

const finite = new Float64Array(CHUNK);

/** Where sketches are read that are merged at once. */
const readBins = new Float64Array(EDGES_MAX + 1);
const readMomentsOf = newExactMoments();
const readLists = { keys: new Float64Array(1024), counts: new Float64Array(1024) };

/** @throws InvalidArgument where the edges are not strictly ascending, or too many. */
export function checkNumericLayout(layout: NumericLayout): void {
  const { edges, center, scale } = layout;
  const ascending = edges.every((edge, i) => Number.isFinite(edge) && !(edge <= edges[i - 1]!));
  const placed = Number.isFinite(center) && Number.isFinite(scale) && scale >= 0;
  if (!ascending || edges.length > EDGES_MAX || !placed) {
    throw new InvalidArgument(
      `The layout of a numeric column needs up to ${EDGES_MAX} finite, ascending edges, a finite ` +
        "center and a scale of at least 0.",
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
}

export function newNumericSketch(layout: NumericLayout): NumericSketch {
  const bins = new Float64Array(layout.edges.length + 1);
  return emptySketch(layout, { bins, moments: newExactMoments() });
}

function emptySketch(
  layout: NumericLayout,
  { bins, moments }: Pick<NumericSketch, "bins" | "moments">,
): NumericSketch {
  return {
    layout,
    rows: 0,
    nulls: 0,
    nan: 0,
    positiveInfinity: 0,
    negativeInfinity: 0,
    mistyped: 0,
    zeros: 0,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    moments,
    bins,
    buckets: newValueBuckets(layout),
  };
}

/** Adds all values; null rows count as such whatever their value is. */
export function addNumbers(
  sketch: NumericSketch,
  values: Float64Array,
  nulls: NullBitmap | undefined,
): void {
  sketch.rows += values.length;
  let count = 0;
  for (let row = 0; row < values.length; row++) {
    // Turns -0 into 0, which it equals: the smaller of the two would depend on their order.
    const value = values[row]! + 0;
    if (isNull(nulls, row)) {
      sketch.nulls += 1;
    } else if (Number.isFinite(value)) {
      finite[count++] = value;
      if (count === CHUNK) {
        addFinite(sketch, count);
        count = 0;
      }
    } else if (Number.isNaN(value)) {
      sketch.nan += 1;
    } else if (value > 0) {
      sketch.positiveInfinity += 1;
    } else {
      sketch.negativeInfinity += 1;
    }
  }
  addFinite(sketch, count);
}

/** How many values are finite: those that moments, bins and buckets are of. */
export function finiteCount(sketch: NumericSketch): number {
  return (
    sketch.rows -
    sketch.nulls -
    sketch.nan -
    sketch.positiveInfinity -
    sketch.negativeInfinity -
    sketch.mistyped
  );
}

/** Of the finite values. */
export function momentsOf(sketch: NumericSketch): Moments {
  return readMoments(sketch.moments, finiteCount(sketch));
}

/**
 * For each q of 0..1 the smallest value that at least a share q of the finite values does not
 * exceed
 * (the inverse of their distribution function), off by at most
 * quantileError(sketch) * (|value - center| + scale). NaN where there are none; 0 and 1 are exact.
 */
export function quantilesOf(sketch: NumericSketch, shares: readonly number[]): number[] {
  const total = finiteCount(sketch);
  const buckets = listBuckets(sketch.buckets);
  return shares.map((share) => {
    if (total === 0 || share <= 0 || share >= 1) {
      return total === 0 ? Number.NaN : share <= 0 ? sketch.min : sketch.max;
    }
    const rank = Math.ceil(share * total);
    let seen = 0;
    const found = buckets.find((bucket) => {
      seen += bucket.count;
      return seen >= rank;
    });
    return Math.min(Math.max(found?.value ?? sketch.max, sketch.min), sketch.max);
  });
}

/** 0.0078 or less as long as bucketsMax buckets suffice for that; see value-buckets.ts. */
export function quantileError(sketch: NumericSketch): number {
  return bucketError(sketch.buckets);
}

/**
 * The histogram on some of the layout's edges: edges.length + 1 counts, the outer ones open.
 * @throws FailedPrecondition where the layout lacks one of them.
 */
export function countsOn(sketch: NumericSketch, edges: readonly number[]): number[] {
  const counts = [0];
  let next = 0;
  sketch.bins.forEach((count, bin) => {
    if (bin > 0 && next < edges.length && sketch.layout.edges[bin - 1] === edges[next]) {
      counts.push(0);
      next += 1;
    }
    counts[counts.length - 1] = counts.at(-1)! + count;
  });
  if (next < edges.length) {
    throw otherLayout(`it has no edge at ${edges[next]}`);
  }
  return counts;
}

/**
 * Adds what `from` holds, which stays as it is.
 * @throws FailedPrecondition where the layouts differ.
 */
export function mergeNumericInto(target: NumericSketch, from: NumericSketch): void {
  if (!sameNumericLayout(target.layout, from.layout)) {
    throw otherLayout("their edges, center or limits differ");
  }
  checkRows(target.rows + from.rows);
  target.rows += from.rows;
  target.nulls += from.nulls;
  target.nan += from.nan;
  target.positiveInfinity += from.positiveInfinity;
  target.negativeInfinity += from.negativeInfinity;
  target.mistyped += from.mistyped;
  target.zeros += from.zeros;
  target.min = Math.min(target.min, from.min);
  target.max = Math.max(target.max, from.max);
  mergeExactInto(target.moments, from.moments);
  for (let bin = 0; bin < from.bins.length; bin++) {
    target.bins[bin] = target.bins[bin]! + from.bins[bin]!;
  }
  mergeBucketsInto(target.buckets, from.buckets);
}

export function copyNumeric(sketch: NumericSketch): NumericSketch {
  return {
    ...sketch,
    moments: copyExact(sketch.moments),
    bins: sketch.bins.slice(),
    buckets: copyBuckets(sketch.buckets),
  };
}

function sameNumericLayout(a: NumericLayout, b: NumericLayout): boolean {
  return (
    a === b ||
    (a.center === b.center &&
      a.scale === b.scale &&
      a.bucketsMax === b.bucketsMax &&
      a.edges.length === b.edges.length &&
      a.edges.every((edge, i) => edge === b.edges[i]))
  );
}

/** The layout is not in the bytes. */
export function writeNumeric(writer: SketchWriter, sketch: NumericSketch): void {
  for (const count of countersOf(sketch)) {
    writer.varint(count);
  }
  if (finiteCount(sketch) > 0) {
    writer.double(sketch.min);
    writer.double(sketch.max);
    writeExact(writer, sketch.moments);
    sketch.bins.forEach((count) => {
      writer.varint(count);
    });
    writeBuckets(writer, sketch.buckets);
  }
}

/** @throws DataLoss also where the parts contradict each other. */
export function readNumeric(reader: SketchReader, layout: NumericLayout): NumericSketch {
  return readInto(reader, newNumericSketch(layout), {});
}

/**
 * Reads a sketch of the same layout and adds what it holds, without memory of its own. Returns the
 * rows that were added. @throws DataLoss
 */
export function mergeNumericBytes(target: NumericSketch, reader: SketchReader): number {
  const { layout } = target;
  const bins = readBins.subarray(0, layout.edges.length + 1);
  clearExact(readMomentsOf);
  const empty = emptySketch(layout, { bins, moments: readMomentsOf });
  const read = readInto(reader, empty, {
    room: (length) => {
      if (length > readLists.keys.length) {
        readLists.keys = new Float64Array(length);
        readLists.counts = new Float64Array(length);
      }
      return readLists;
    },
  });
  mergeNumericInto(target, read);
  return read.rows;
}

/** Fills a sketch; where it has values its bins and moments are overwritten. */
function readInto(
  reader: SketchReader,
  sketch: NumericSketch,
  { room }: { readonly room?: (length: number) => { keys: Float64Array; counts: Float64Array } },
): NumericSketch {
  sketch.rows = reader.count("a number of rows");
  sketch.nulls = reader.count("a number of nulls");
  sketch.nan = reader.count("a number of NaN");
  sketch.positiveInfinity = reader.count("a number of infinities");
  sketch.negativeInfinity = reader.count("a number of infinities");
  sketch.mistyped = reader.count("a number of mistyped rows");
  sketch.zeros = reader.count("a number of zeros");
  const total = finiteCount(sketch);
  if (total < sketch.zeros) {
    throw damaged("its parts count more than all rows");
  }
  if (total === 0) {
    sketch.bins.fill(0);
    return sketch;
  }
  sketch.min = reader.finite("a minimum");
  sketch.max = reader.finite("a maximum");
  if (sketch.min > sketch.max) {
    throw damaged("a minimum is above its maximum");
  }
  readExact(reader, sketch.moments);
  let binned = 0;
  for (let bin = 0; bin < sketch.bins.length; bin++) {
    const count = reader.count("a bin");
    sketch.bins[bin] = count;
    binned += count;
  }
  if (binned !== total) {
    throw damaged("its bins do not add up to its values");
  }
  return { ...sketch, buckets: readBuckets(reader, sketch.layout, total, room) };
}

function countersOf(sketch: NumericSketch): readonly number[] {
  const { rows, nulls, nan, positiveInfinity, negativeInfinity, mistyped, zeros } = sketch;
  return [rows, nulls, nan, positiveInfinity, negativeInfinity, mistyped, zeros];
}

/** The first `count` of the values in `finite`. */
function addFinite(sketch: NumericSketch, count: number): void {
  const { bins, layout } = sketch;
  let { min, max, zeros } = sketch;
  for (let i = 0; i < count; i++) {
    const value = finite[i]!;
    min = Math.min(min, value);
    max = Math.max(max, value);
    zeros += value === 0 ? 1 : 0;
    const bin = binOf(layout.edges, value);
    bins[bin] = bins[bin]! + 1;
  }
  sketch.min = min;
  sketch.max = max;
  sketch.zeros = zeros;
  addExact(sketch.moments, finite, count);
  addToBuckets(sketch.buckets, finite, count);
}

/** How many edges the value has reached. */
function binOf(edges: Float64Array, value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle]! <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
