// One column of a report: how far the current rows are from the reference, what is wrong with
// them, and both on the same bins.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ColumnBinsSchema,
  ColumnReportSchema,
} from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { CategoricalDistribution, NumericHistogram } from "../drift/distribution.ts";
import type { DriftResult } from "../drift/drift-result.ts";
import { type DriftOptions, measureDrift } from "../drift/measure-drift.ts";
import type { ColumnLayout, NumericColumn } from "../sketch/column-layout.ts";
import { finiteCount, type NumericSketch } from "../sketch/numeric-sketch.ts";
import { type ColumnSketch, countersOf } from "../sketch/window-sketch.ts";
import { categoriesOf } from "./categories-of.ts";
import { categoricalBins, numericBins } from "./column-bins.ts";
import { kindOf, profileInit, roleOf } from "./column-profile-message.ts";
import { columnQuality } from "./column-quality.ts";
import { driftResultMessage } from "./drift-message.ts";
import { isBeyondPrecision, numericHistogramOf, numericPair, widthPair } from "./numeric-pair.ts";

/** A millisecond or two a column; samples that need more have nearly the same p-value by kstwo. */
const EXACT_STEPS_MAX = 500_000;
const NO_CATEGORIES: CategoricalDistribution = { form: "categories", counts: new Map(), other: 0 };

/** A column of a sketch, with the layout that it was counted on. */
export interface CountedColumn {
  readonly layout: ColumnLayout;
  readonly sketch: ColumnSketch;
}

export interface ColumnComparison {
  readonly current: CountedColumn;
  /** Absent: there is nothing to compare with, or it has no such column. */
  readonly reference: CountedColumn | undefined;
  /** What quality is held against. */
  readonly baseline: ColumnSketch | undefined;
  readonly options: DriftOptions;
  /** Without bins and profile. */
  readonly brief: boolean;
}

export interface ComparedColumn {
  readonly result: DriftResult;
  readonly report: MessageInitShape<typeof ColumnReportSchema>;
}

/** Compares one column; what cannot be compared is a result. */
export function compareColumn(comparison: ColumnComparison): ComparedColumn {
  const { current, baseline, brief } = comparison;
  const { layout, sketch } = current;
  const { result, bins } = measured(comparison);
  return {
    result,
    report: {
      name: layout.name,
      role: roleOf(layout.name),
      kind: kindOf(layout),
      drift: driftResultMessage(result),
      quality: columnQuality(layout, sketch, baseline),
      ...(bins === undefined ? {} : { bins }),
      ...(brief ? {} : { profile: profileInit(layout, sketch) }),
    },
  };
}

interface Measured {
  readonly result: DriftResult;
  /** Absent in a brief report, and of columns that are only counted. */
  readonly bins?: MessageInitShape<typeof ColumnBinsSchema> | undefined;
}

function measured({ current, reference, options, brief }: ColumnComparison): Measured {
  const { layout, sketch } = current;
  if ("numbers" in sketch && isNumeric(layout)) {
    if (reference === undefined || !("numbers" in reference.sketch)) {
      const alone = brief ? undefined : numericHistogramOf(sketch.numbers);
      const bins = brief
        ? undefined
        : numericBins(layout, { reference: undefined, current: alone });
      return { result: unmatched(current, reference), bins };
    }
    return measureNumbers(
      { layout, current: sketch.numbers, reference: reference.sketch.numbers },
      { options, brief, referenceLayout: reference.layout },
    );
  }
  if ("categories" in sketch) {
    const counts = categoriesOf(sketch.categories);
    if (reference === undefined || !("categories" in reference.sketch)) {
      const bins = brief ? undefined : categoricalBins(NO_CATEGORIES, counts);
      return { result: unmatched(current, reference), bins };
    }
    const before = categoriesOf(reference.sketch.categories);
    return {
      result: measureDrift({ baseline: before, current: counts }, options),
      bins: brief ? undefined : categoricalBins(before, counts),
    };
  }
  return { result: unmatched(current, reference) };
}

function measureNumbers(
  sides: {
    readonly layout: NumericColumn;
    readonly reference: NumericSketch;
    readonly current: NumericSketch;
  },
  how: {
    readonly options: DriftOptions;
    readonly brief: boolean;
    readonly referenceLayout: ColumnLayout;
  },
): Measured {
  const { layout, reference, current } = sides;
  const pair = numericPair(reference, current);
  const options = { ...how.options, exactStepsMax: EXACT_STEPS_MAX };
  let result = isBeyondPrecision(reference, current)
    ? tooLarge({ reference, current })
    : measureDrift(pair, options);
  if (isCutDifferently(result) && isNumeric(how.referenceLayout)) {
    const wide = widthPair(how.referenceLayout, reference, current);
    result = wide === undefined ? result : measureDrift(wide, options);
  }
  if (how.brief) {
    return { result };
  }
  const bins = numericBins(layout, {
    reference: pair.baseline.form === "histogram" ? pair.baseline : undefined,
    current: pair.current.form === "histogram" ? (pair.current as NumericHistogram) : undefined,
  });
  return { result, bins };
}

/** The numbers are, for what tells them apart. */
function tooLarge(sides: {
  readonly reference: NumericSketch;
  readonly current: NumericSketch;
}): DriftResult {
  const sizes = { baseline: finiteCount(sides.reference), current: finiteCount(sides.current) };
  return { outcome: "not-comparable", reason: "numbers-too-large", sizes };
}

/** A test of categories on values that are too many: their bins are the categories. */
function isCutDifferently(result: DriftResult): boolean {
  return result.outcome === "not-comparable" && result.reason === "bins-differ";
}

/** There is no other side of this kind. */
function unmatched(current: CountedColumn, reference: CountedColumn | undefined): DriftResult {
  const sizes = {
    baseline: reference === undefined ? 0 : sizeOf(reference.sketch),
    current: sizeOf(current.sketch),
  };
  if (reference === undefined) {
    return { outcome: "not-comparable", reason: "baseline-empty", sizes };
  }
  const differ = reference.sketch.kind !== current.sketch.kind;
  const reason = differ ? "kinds-differ" : "method-does-not-apply";
  return { outcome: "not-comparable", reason, sizes };
}

/** Values, without missing ones; of numbers the finite ones. */
function sizeOf(sketch: ColumnSketch): number {
  if ("numbers" in sketch) {
    return finiteCount(sketch.numbers);
  }
  const { rows, nulls, mistyped } = countersOf(sketch);
  return rows - nulls - mistyped;
}

function isNumeric(column: ColumnLayout): column is NumericColumn {
  return column.kind === "numeric" || column.kind === "timestamp";
}
