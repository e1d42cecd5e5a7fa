// Counts of both sides on the same bins, for plots: few enough to draw, and without a bin so wide
// that all of a drifted column is in it.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ColumnBinsSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { countsInBins } from "../drift/bins.ts";
import { pairCategories } from "../drift/categories.ts";
import type {
  CategoricalDistribution,
  NumericDistribution,
  NumericHistogram,
} from "../drift/distribution.ts";
import { pairValues, type ValueCounts, valueCounts } from "../drift/value-counts.ts";
import { nextUp } from "../next-up.ts";
import type { NumericColumn } from "../sketch/column-layout.ts";

type Bins = MessageInitShape<typeof ColumnBinsSchema>;

/** Up to so many different values on both sides each has a bin. */
const VALUES_MAX = 32;
/** Where the baseline gives no bins of its own. */
const BINS_DEFAULT = 24;
/** On either side of the baseline's bins; the outermost holds all that is beyond. */
const BINS_BEYOND_MAX = 12;
/** Of a column of categories; the others are summed up in one more. */
const CATEGORIES_MAX = 50;
const OTHER = "other";

/**
 * A bin for each value where there are few, with its edges half way to the neighbours; else the
 * baseline's bins of equal width, and as many of that width beyond them as the sides need, up to
 * 12; the outermost then hold everything further out. Counts on another grid than the sketch's own
 * are interpolated and rounded. Undefined where neither side has a value.
 */
export function numericBins(
  column: NumericColumn,
  sides: {
    readonly reference: NumericHistogram | undefined;
    readonly current: NumericHistogram | undefined;
  },
): Bins | undefined {
  const present = [sides.reference, sides.current].filter((side) => side !== undefined);
  if (present.length === 0) {
    return undefined;
  }
  const values = present.map(valueCounts);
  const [first = NONE, second = NONE] = [valuesOf(sides.reference), valuesOf(sides.current)];
  if (values.every((counts) => counts !== undefined && counts.values.length <= VALUES_MAX)) {
    const { values: all, baseline, current } = pairValues(first, second);
    if (all.length <= VALUES_MAX) {
      return { edges: around(all), reference: [...baseline], current: [...current] };
    }
  }
  const min = Math.min(...present.map((side) => side.min));
  const max = Math.max(...present.map((side) => side.max));
  const edges = reaching(baseEdges(column, { min, max }), { min, max });
  return {
    edges,
    reference: countsOpen(sides.reference, edges),
    current: countsOpen(sides.current, edges),
  };
}

/** The most frequent categories, those of the reference first, and "other" for the rest. */
export function categoricalBins(
  reference: CategoricalDistribution,
  current: CategoricalDistribution,
): Bins {
  const pair = pairCategories(reference, current);
  const all = pair.categories.map((category, i) => ({
    category,
    reference: pair.baseline[i]!,
    current: pair.current[i]!,
  }));
  const sorted = all.toSorted((a, b) => b.reference - a.reference || b.current - a.current);
  const shown = sorted.slice(0, CATEGORIES_MAX);
  const rest = sorted.slice(CATEGORIES_MAX);
  const unnamed = pair.baseline.length > all.length ? pair.baseline.length - 1 : undefined;
  const sum = (side: "reference" | "current", counts: Float64Array) =>
    rest.reduce((total, entry) => total + entry[side], 0) +
    (unnamed === undefined ? 0 : counts[unnamed]!);
  const others =
    rest.length === 0 && unnamed === undefined
      ? []
      : [
          {
            category: OTHER,
            reference: sum("reference", pair.baseline),
            current: sum("current", pair.current),
          },
        ];
  const bins = [...shown, ...others];
  return {
    categories: bins.map(({ category }) => category),
    reference: bins.map((bin) => bin.reference),
    current: bins.map((bin) => bin.current),
  };
}

const NONE: ValueCounts = { values: new Float64Array(), counts: new Float64Array() };

function valuesOf(side: NumericDistribution | undefined): ValueCounts | undefined {
  return side === undefined ? undefined : valueCounts(side);
}

/** Half way between neighbours; the outer ones as far out as their neighbours are, or 1 wide. */
function around(values: Float64Array): number[] {
  const inner = Array.from(values.subarray(1), (value, i) => values[i]! + (value - values[i]!) / 2);
  const [first, last] = [values[0]!, values.at(-1)!];
  const before = inner.length === 0 ? 0.5 : inner[0]! - first;
  const after = inner.length === 0 ? 0.5 : last - inner.at(-1)!;
  return [first - before, ...inner, last + after];
}

/** The baseline's edges, where they are of about equal width; else 24 bins over both sides. */
function baseEdges(
  { widthEdges }: NumericColumn,
  range: { readonly min: number; readonly max: number },
): readonly number[] {
  const [first, last] = [widthEdges[0], widthEdges.at(-1)];
  const isRange = first !== undefined && last !== undefined && Number.isFinite(last - first);
  // A bin for each value ends with one that is as narrow as a double.
  if (isRange && nextUp(widthEdges.at(-2)!) < last) {
    return widthEdges;
  }
  const { min, max } =
    range.min < range.max ? range : { min: range.min - 0.5, max: range.min + 0.5 };
  const even = (i: number) => min * (1 - i / BINS_DEFAULT) + max * (i / BINS_DEFAULT);
  return Array.from({ length: BINS_DEFAULT + 1 }, (_, i) => even(i));
}

/** With bins of the mean width added on both sides until they reach what is there, or are 12. */
function reaching(
  edges: readonly number[],
  { min, max }: { readonly min: number; readonly max: number },
): number[] {
  const [first, last] = [edges[0]!, edges.at(-1)!];
  const width = (last - first) / (edges.length - 1);
  const steps = (distance: number) =>
    Math.min(BINS_BEYOND_MAX, Math.max(0, Math.ceil(distance / width)));
  const below = Array.from({ length: steps(first - min) }, (_, i) => first - (i + 1) * width);
  const above = Array.from({ length: steps(max - last) }, (_, i) => last + (i + 1) * width);
  return [...below.toReversed(), ...edges, ...above];
}

/** The outer bins hold what is beyond their edges too. */
function countsOpen(side: NumericDistribution | undefined, edges: readonly number[]): number[] {
  if (side === undefined) {
    return edges.slice(1).map(() => 0);
  }
  const inner = edges.slice(1, -1);
  const open = [Number.NEGATIVE_INFINITY, ...inner, Number.POSITIVE_INFINITY];
  return [...countsInBins(side, Float64Array.from(open))];
}
