// Which edges, categories and scale a baseline's column gets, from what a draft has counted of it.
// Pure: equal drafts choose the same, so replicas that merge their drafts agree on the layout's id.

import { nextUp } from "../next-up.ts";
import {
  type CategorySketch,
  categoryLayout,
  unseenCategories,
  VOCABULARY_MAX,
} from "./category-sketch.ts";
import {
  type ColumnLayout,
  type NumericColumn,
  numericColumn,
  WINDOW_BUCKETS_MAX,
  WINDOW_KEPT_MAX,
  WINDOW_PRECISION,
} from "./column-layout.ts";
import { finiteCount, type NumericSketch, quantilesOf } from "./numeric-sketch.ts";
import { type Bucket, bucketsAreValues, listBuckets } from "./value-buckets.ts";
import type { ColumnSketch } from "./window-sketch.ts";

/**
 * Where edges of equal width lie: `exact`, or `on-buckets`: at the nearest bound of a bucket of the
 * draft, so that the draft's counts are exact between them.
 */
export type EdgePlaces = "exact" | "on-buckets";

/** Bins of equal shares: deciles, as credit risk has them for PSI. */
const SHARES = 10;
/** Sturges' rule gives 32 for two thousand million rows. */
const WIDTH_BINS_MAX = 32;
/** Up to as many different values each has a bin of its own, as Evidently does. */
const VALUE_BINS_MAX = 20;
/** Where not all categories were kept, those below this share of rows are noise of the sample. */
const SAMPLED_SHARE_MIN = 0.001;
/** The center is rounded to this part of the scale, so that whole numbers stay exact around it. */
const CENTER_STEP = 16;

export function chooseColumn(
  column: ColumnLayout,
  draft: ColumnSketch,
  places: EdgePlaces,
): ColumnLayout {
  if ("numbers" in draft && (column.kind === "numeric" || column.kind === "timestamp")) {
    return chooseNumeric(column, draft.numbers, places);
  }
  if ("categories" in draft && column.kind === "category") {
    const vocabulary = chooseVocabulary(draft.categories);
    const limits = { keptMax: WINDOW_KEPT_MAX, precision: WINDOW_PRECISION };
    return { ...column, layout: categoryLayout(vocabulary, limits) };
  }
  return column;
}

/** The lowest value that a bucket of a draft (center and scale 0) can hold, not below `min`. */
export function lowestOf(bucket: Bucket, min: number): number {
  return Math.max(bucket.value < 0 ? nextUp(bucket.lower) : bucket.lower, min);
}

function chooseNumeric(
  column: NumericColumn,
  draft: NumericSketch,
  places: EdgePlaces,
): NumericColumn {
  const { name, kind } = column;
  const { min, max } = draft;
  if (finiteCount(draft) === 0) {
    const place = { center: 0, scale: 0, bucketsMax: WINDOW_BUCKETS_MAX };
    return numericColumn({ name, kind, shareEdges: [], widthEdges: [] }, place);
  }
  const place = { ...chooseScale(draft), bucketsMax: WINDOW_BUCKETS_MAX };
  if (min === max) {
    const itself = [min, nextUp(min)];
    return numericColumn({ name, kind, shareEdges: itself, widthEdges: itself }, place);
  }
  const buckets = listBuckets(draft.buckets);
  const starts = buckets.map((bucket) => lowestOf(bucket, min));
  const shareEdges = chooseShares(buckets, starts);
  const few = bucketsAreValues(draft.buckets) && buckets.length <= VALUE_BINS_MAX;
  const widthEdges = few
    ? [...starts, nextUp(max)]
    : chooseWidths(draft, places === "exact" ? undefined : starts);
  return numericColumn({ name, kind, shareEdges, widthEdges }, place);
}

/** Half the quartile distance, as a power of two; where that is 0, wider spans of the values. */
function chooseScale(draft: NumericSketch): { center: number; scale: number } {
  const quantiles = quantilesOf(draft, [0.5, 0.25, 0.75, 0.05, 0.95, 0, 1]);
  const [median, q25, q75, q05, q95, min, max] = quantiles as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const span = [q75 - q25, (q95 - q05) / 2, (max - min) / 64].find((width) => width > 0) ?? 0;
  const scale = 2 ** Math.floor(Math.log2(span / 2));
  if (!Number.isFinite(scale) || scale < Number.MIN_VALUE) {
    return { center: 0, scale: 0 };
  }
  const step = scale / CENTER_STEP;
  const center = Math.round(median / step) * step;
  return Number.isFinite(center) ? { center: center + 0, scale } : { center: 0, scale };
}

/** Starts of buckets before which nearest to 10 %, 20 % ... of all values lie. */
function chooseShares(buckets: readonly Bucket[], starts: readonly number[]): number[] {
  const before = [0];
  for (const { count } of buckets) {
    before.push(before.at(-1)! + count);
  }
  const total = before.at(-1)!;
  const edges: number[] = [];
  let at = 0;
  for (let share = 1; share < SHARES; share++) {
    const target = (share / SHARES) * total;
    while (at + 1 < starts.length && nearer(before[at + 1]!, before[at]!, target)) {
      at += 1;
    }
    const edge = starts[at]!;
    if (at > 0 && edge !== edges.at(-1)) {
      edges.push(edge);
    }
  }
  return edges;
}

function nearer(a: number, b: number, target: number): boolean {
  return Math.abs(a - target) <= Math.abs(b - target);
}

/** Sturges' number of bins between minimum and maximum; on `starts` where those are given. */
function chooseWidths(draft: NumericSketch, starts: readonly number[] | undefined): number[] {
  const { min, max } = draft;
  const bins = Math.min(Math.ceil(Math.log2(finiteCount(draft)) + 1), WIDTH_BINS_MAX);
  const edges = [min];
  for (let i = 1; i < bins; i++) {
    const even = min * (1 - i / bins) + max * (i / bins);
    const edge = starts === undefined ? even : nearestTo(even, starts);
    if (edge > edges.at(-1)! && edge < max) {
      edges.push(edge);
    }
  }
  return [...edges, max];
}

function nearestTo(value: number, ascending: readonly number[]): number {
  const after = ascending.findIndex((start) => start >= value);
  const [left, right] = [ascending.at(after === 0 ? 0 : after - 1)!, ascending.at(after)!];
  return right - value < value - left ? right : left;
}

function chooseVocabulary(draft: CategorySketch): string[] {
  const least = draft.registers === undefined ? 1 : draft.unseen * SAMPLED_SHARE_MIN;
  return unseenCategories(draft)
    .filter(({ count }) => count >= least)
    .slice(0, VOCABULARY_MAX)
    .map(({ key }) => key);
}
