// What is wrong with the values of a column, beside drift: missing, of another kind, out of range,
// of unknown categories, all alike. Everything is an exact count of the sketch over its rows.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ColumnQualitySchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { CategorySketch } from "../sketch/category-sketch.ts";
import { type ColumnLayout, closing, type NumericColumn } from "../sketch/column-layout.ts";
import { countsOn, finiteCount, type NumericSketch } from "../sketch/numeric-sketch.ts";
import { type ColumnSketch, countersOf } from "../sketch/window-sketch.ts";

/** Beyond this share of rows without a place in the vocabulary most "unseen" ones were seen. */
const UNNAMED_MAX = 0.05;
/** A column is called constant where chance alone would not have made it so once in a hundred. */
const CHANCE_MAX = 0.01;

/**
 * The quality of a column on the baseline's layout. Without a baseline there is no range, no known
 * category and nothing to be constant against: those are 0 and false.
 *
 * - Range: values below the first or above the last edge of equal width, which are the baseline's
 *   minimum and maximum, so the count is exact.
 * - Unseen: rows whose category is not in the layout's vocabulary. Of a baseline with more
 *   categories than a vocabulary holds (256) some of those were in it: then what exceeds the
 *   baseline's own share of such rows; 0 where that share is so large that it says nothing.
 * - Constant: all values alike, where the baseline's share of that value makes so many in a row
 *   unlikely; a handful of equal truth values is nothing.
 */
export function columnQuality(
  column: ColumnLayout,
  current: ColumnSketch,
  baseline: ColumnSketch | undefined,
): MessageInitShape<typeof ColumnQualitySchema> {
  const { rows, nulls, mistyped } = countersOf(current);
  const quality = {
    missingRate: rateOf(nulls, rows),
    typeViolationRate: rateOf(mistyped, rows),
    referenceMissingRate: baseline === undefined ? 0 : missingRate(baseline),
  };
  if ("numbers" in current && (column.kind === "numeric" || column.kind === "timestamp")) {
    const { numbers } = current;
    const before = baseline !== undefined && "numbers" in baseline ? baseline.numbers : undefined;
    return {
      ...quality,
      nanRate: rateOf(numbers.nan, rows),
      infinityRate: rateOf(numbers.positiveInfinity + numbers.negativeInfinity, rows),
      rangeViolationRate: before === undefined ? 0 : rateOf(outOfRange(column, numbers), rows),
      constant: before !== undefined && isConstantNumber(numbers, before),
    };
  }
  if ("categories" in current && baseline !== undefined && "categories" in baseline) {
    return {
      ...quality,
      unseenRate: unseenRate(current.categories, baseline.categories),
      constant: isConstantCategory(current.categories, baseline.categories),
    };
  }
  return quality;
}

/** Share of a column's rows that had no value; 0 where it had no rows. */
export function missingRate(sketch: ColumnSketch): number {
  const { rows, nulls } = countersOf(sketch);
  return rateOf(nulls, rows);
}

function outOfRange({ widthEdges }: NumericColumn, sketch: NumericSketch): number {
  if (widthEdges.length < 2) {
    return 0;
  }
  const counts = countsOn(sketch, closing(widthEdges));
  return counts[0]! + counts.at(-1)!;
}

function unseenRate(current: CategorySketch, baseline: CategorySketch): number {
  const usual = rateOf(baseline.unseen, baseline.rows);
  return usual > UNNAMED_MAX ? 0 : Math.max(0, rateOf(current.unseen, current.rows) - usual);
}

function isConstantNumber(current: NumericSketch, baseline: NumericSketch): boolean {
  const finite = finiteCount(current);
  const isOne = finite > 0 && current.min === current.max;
  if (!isOne || !(baseline.min < baseline.max)) {
    return false;
  }
  // Of the bin that the value is in, which has at least as many as the value itself.
  const bin = current.bins.findIndex((count) => count > 0);
  return isUnlikely(rateOf(baseline.bins[bin] ?? 0, finiteCount(baseline)), finite);
}

function isConstantCategory(current: CategorySketch, baseline: CategorySketch): boolean {
  const counted = current.rows - current.nulls - current.mistyped;
  const known = current.counts.indexOf(counted);
  const isOther = current.kept.length === 1 && current.kept[0]?.count === counted;
  const before = baseline.rows - baseline.nulls - baseline.mistyped;
  const had = baseline.counts.filter((count) => count > 0).length + baseline.kept.length;
  if (counted === 0 || had < 2 || (known < 0 && !isOther)) {
    return false;
  }
  return isUnlikely(known < 0 ? 0 : rateOf(baseline.counts[known]!, before), counted);
}

function isUnlikely(share: number, times: number): boolean {
  return share ** times < CHANCE_MAX;
}

function rateOf(count: number, rows: number): number {
  return rows === 0 ? 0 : count / rows;
}
