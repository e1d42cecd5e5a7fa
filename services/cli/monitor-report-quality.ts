// The report's sections on data quality and on the freshness of features.

import type {
  ColumnQuality,
  ColumnReport,
  DriftReport,
  FeatureFreshness,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import { qualityWords } from "./monitor-drift-lines.ts";
import { breakable, html, type Markup, nothing } from "./monitor-report-markup.ts";
import { empty, type Heading, section, table, tag } from "./monitor-report-parts.ts";
import { percentText, rateText } from "./monitor-words.ts";
import { counted, formatCount } from "./progress.ts";

const rate = (title: string): Heading => ({ title, number: true });

const HEADINGS: readonly Heading[] = [
  { title: "Column" },
  rate("Missing"),
  rate("Missing before"),
  rate("Other type"),
  rate("Out of range"),
  rate("Unseen category"),
  rate("NaN"),
  rate("Infinite"),
  { title: "Constant", number: false },
];

/** What is wrong with values; columns without a fault are only counted. */
export function qualitySection({ columns, strayValues }: DriftReport): Markup {
  const wrong = columns.flatMap((column) =>
    column.quality !== undefined && hasFault(column.quality)
      ? [{ cells: qualityCells(column, column.quality) }]
      : [],
  );
  const clean = columns.length - wrong.length;
  const stray =
    strayValues === 0n
      ? ""
      : ` ${counted(Number(strayValues), "value")} came in columns that the baseline does not have.`;
  const others = clean === 0 ? "" : ` ${counted(clean, "column")} without any fault left out.`;
  const lead = `Shares of rows.${others}${stray}`;
  return section(
    "quality",
    "Data quality",
    lead,
    wrong.length === 0
      ? empty("No column has missing, mistyped, unseen or out-of-range values.")
      : table("Data quality of each column", HEADINGS, wrong),
  );
}

function hasFault(quality: ColumnQuality): boolean {
  return quality.missingRate > 0 || qualityWords(quality).length > 0;
}

function qualityCells(
  { name }: ColumnReport,
  quality: ColumnQuality,
): readonly (string | Markup)[] {
  const { missingRate, referenceMissingRate } = quality;
  const isWorse = missingRate > referenceMissingRate * 2 + 0.01;
  const missing = rateText(missingRate);
  return [
    breakable(name),
    isWorse ? tag(missing, "warn") : missing,
    percentText(referenceMissingRate),
    ...[
      quality.typeViolationRate,
      quality.rangeViolationRate,
      quality.unseenRate,
      quality.nanRate,
      quality.infinityRate,
    ].map(rateText),
    quality.constant ? tag("constant", "warn") : "",
  ];
}

const FRESHNESS: readonly Heading[] = [
  { title: "Feature" },
  { title: "View", number: false },
  rate("Rows"),
  rate("Present"),
  rate("Null"),
  rate("Not found"),
  rate("Older than its ttl"),
];

/** What became of features that were read; nothing where none was. */
export function freshnessSection({ freshness }: DriftReport): Markup {
  if (freshness.length === 0) {
    return nothing;
  }
  const rows = freshness.map((feature) => ({ cells: freshnessCells(feature) }));
  return section(
    "freshness",
    "Feature freshness",
    "What became of the features that the server read for its callers: shares of rows.",
    html`${table("Freshness of each feature", FRESHNESS, rows)}`,
  );
}

function freshnessCells(one: FeatureFreshness): readonly (string | Markup)[] {
  const old = rateText(one.outsideMaxAgeRate);
  return [
    breakable(one.feature),
    one.featureView || "on demand",
    formatCount(Number(one.rows)),
    percentText(one.presentRate),
    rateText(one.nullRate),
    rateText(one.notFoundRate),
    one.outsideMaxAgeRate > 0.01 ? tag(old, "warn") : old,
  ];
}
