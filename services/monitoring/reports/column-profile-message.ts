// What is known of a column, as callers see it: from its sketch, of the baseline or of windows.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ColumnProfile,
  ColumnProfileSchema,
  ColumnRole,
  type HistogramSchema,
  ColumnKind as KindMessage,
  type NumericProfileSchema,
} from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  type CategorySketch,
  distinctCategories,
  unseenCategories,
} from "../sketch/category-sketch.ts";
import type { ColumnKind } from "../sketch/column-batch.ts";
import { type ColumnLayout, closing, type NumericColumn } from "../sketch/column-layout.ts";
import {
  countsOn,
  finiteCount,
  momentsOf,
  type NumericSketch,
  quantileError,
  quantilesOf,
} from "../sketch/numeric-sketch.ts";
import { bucketsAreValues } from "../sketch/value-buckets.ts";
import { type ColumnSketch, countersOf } from "../sketch/window-sketch.ts";

/** Of a profile; plots draw the middle half and the tails with them. */
const QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;
/** Categories of a profile that are named; the rest is in `distinct` and in the counts. */
const TOP_MAX = 50;
const UNSEEN_EXAMPLES_MAX = 10;
/** What the names of outputs begin with. */
const PREDICTION_PREFIX = "prediction.";

const KINDS: Readonly<Record<ColumnKind, KindMessage>> = {
  numeric: KindMessage.NUMERIC,
  timestamp: KindMessage.TIMESTAMP,
  bool: KindMessage.BOOLEAN,
  category: KindMessage.CATEGORICAL,
  counted: KindMessage.COUNTED,
};

type Init<T extends Parameters<typeof create>[0]> = MessageInitShape<T>;

/** How a column is counted, as callers see it. */
export function kindOf(column: ColumnLayout): KindMessage {
  return KINDS[column.kind];
}

/** Whether a column goes into the model or comes out of it, by its name. */
export function roleOf(name: string): ColumnRole {
  return name.startsWith(PREDICTION_PREFIX) ? ColumnRole.PREDICTION : ColumnRole.FEATURE;
}

/** The profile of a column; the sketch is one on the column's layout and does not change. */
export function profileMessage(column: ColumnLayout, sketch: ColumnSketch): ColumnProfile {
  return create(ColumnProfileSchema, profileInit(column, sketch));
}

/** As profileMessage, for a message that has it as a field. */
export function profileInit(
  column: ColumnLayout,
  sketch: ColumnSketch,
): Init<typeof ColumnProfileSchema> {
  const { rows, nulls, mistyped } = countersOf(sketch);
  const head = {
    name: column.name,
    role: roleOf(column.name),
    kind: kindOf(column),
    rows: BigInt(rows),
    nulls: BigInt(nulls),
    mistyped: BigInt(mistyped),
  };
  if ("numbers" in sketch && (column.kind === "numeric" || column.kind === "timestamp")) {
    return { ...head, numeric: numericInit(column, sketch.numbers) };
  }
  if ("categories" in sketch) {
    return { ...head, categorical: categoricalInit(sketch.categories) };
  }
  return head;
}

function numericInit(
  column: NumericColumn,
  sketch: NumericSketch,
): Init<typeof NumericProfileSchema> {
  const finite = finiteCount(sketch);
  const counts = {
    finite: BigInt(finite),
    nan: BigInt(sketch.nan),
    infinite: BigInt(sketch.positiveInfinity + sketch.negativeInfinity),
    zeros: BigInt(sketch.zeros),
  };
  const histogram = histogramInit(column, sketch);
  if (finite === 0) {
    return { ...counts, ...histogram };
  }
  const { mean, std } = momentsOf(sketch);
  const values = quantilesOf(sketch, QUANTILES);
  const isExact = bucketsAreValues(sketch.buckets);
  return {
    ...counts,
    min: sketch.min,
    max: sketch.max,
    mean,
    std,
    ...(isExact ? { distinct: BigInt(sketch.buckets.size) } : {}),
    quantiles: QUANTILES.map((q, i) => ({ q, value: values[i]! })),
    quantileError: quantileError(sketch),
    ...histogram,
  };
}

/** On the baseline's edges of equal width; nothing where it had no values to choose them from. */
function histogramInit(
  { widthEdges }: NumericColumn,
  sketch: NumericSketch,
): { readonly histogram?: Init<typeof HistogramSchema> } {
  if (widthEdges.length < 2) {
    return {};
  }
  const counts = countsOn(sketch, closing(widthEdges));
  const [below, above] = [counts[0]!, counts.at(-1)!];
  return { histogram: { edges: [...widthEdges], counts: counts.slice(1, -1), below, above } };
}

function categoricalInit(
  sketch: CategorySketch,
): NonNullable<Init<typeof ColumnProfileSchema>["categorical"]> {
  const { count, exact } = distinctCategories(sketch);
  const unseen = unseenCategories(sketch);
  const known = sketch.layout.vocabulary.map((key, i) => ({ key, count: sketch.counts[i]! }));
  const top = [...known, ...unseen]
    .filter((category) => category.count > 0)
    .sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1))
    .slice(0, TOP_MAX);
  return {
    distinct: BigInt(count),
    isEstimate: !exact,
    top: top.map(categoryInit),
    unseen: BigInt(sketch.unseen),
    unseenExamples: unseen.slice(0, UNSEEN_EXAMPLES_MAX).map(categoryInit),
  };
}

function categoryInit({ key, count }: { readonly key: string; readonly count: number }) {
  return { category: key, count: BigInt(count) };
}
