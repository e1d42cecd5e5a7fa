// A drift report as lines for a terminal: what was compared, the verdict on all columns, and a table
// of them, the worst first.

import { DriftResult_Outcome as Outcome } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import type {
  ColumnReport,
  DatasetDrift,
  DriftReport,
  FeatureFreshness,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import { sparkline } from "./monitor-sparkline.ts";
import {
  datasetText,
  isDrifted,
  measureText,
  methodWord,
  percentText,
  rangeText,
  rateText,
  referenceText,
  severityWord,
  thresholdText,
  verdictText,
} from "./monitor-words.ts";
import type { Output, Tone } from "./output.ts";
import { counted, formatCount } from "./progress.ts";
import { abridge, type Column, displayWidth, factLines, printable, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

const COLUMNS: readonly Column[] = [
  { title: "COLUMN" },
  { title: "METHOD" },
  { title: "VALUE", align: "right" },
  { title: "THRESHOLD", align: "right" },
  { title: "DRIFT" },
  { title: "BASELINE N", align: "right" },
  { title: "CURRENT N", align: "right" },
  { title: "MISSING", align: "right" },
  { title: "NEW", align: "right" },
];

const SPARKS: Column = { title: "BASELINE | CURRENT" };

/** A long name is cut where there is a terminal, so that the numbers stay on it. */
const NAME_WIDTH_MAX = 60;
/** Cells that the columns beside the name want. */
const OTHERS_WIDTH = 104;

/** All of a report. */
export function driftLines(output: Output, report: DriftReport): readonly string[] {
  const { columns, freshness } = report;
  return [
    ...headLines(output, report),
    ...(columns.length === 0 ? [] : ["", ...columnLines(output, columns)]),
    ...qualityLines(columns),
    ...freshnessLines(freshness),
  ];
}

function headLines(output: Output, report: DriftReport): readonly string[] {
  const { windows, otherLayoutWindows, strayValues } = report;
  const lines = factLines([
    ["deployment", shortName(report.deployment)],
    ["version", shortName(report.modelVersion)],
    ["time", `${rangeText(report.range)}${report.open ? " (still open)" : ""}`],
    ["rows", `${formatCount(Number(report.rows))} in ${counted(windows, "window")}`],
    ["compared with", `${referenceText(report)}, ${counted(Number(report.referenceRows), "row")}`],
    ["features", datasetText(report.features)],
    ["predictions", datasetText(report.predictions)],
    [
      "left out",
      otherLayoutWindows === 0
        ? ""
        : `${counted(otherLayoutWindows, "window")} that were counted against another baseline`,
    ],
    [
      "stray values",
      strayValues === 0n
        ? ""
        : `${formatCount(Number(strayValues))}, of columns without a baseline`,
    ],
  ]);
  return lines.map((line) => tonedVerdict(output, line, report));
}

function tonedVerdict(output: Output, line: string, report: DriftReport): string {
  const drift: DatasetDrift | undefined = line.startsWith("features:")
    ? report.features
    : line.startsWith("predictions:")
      ? report.predictions
      : undefined;
  return drift === undefined || drift.measured === 0
    ? line
    : line.replace(/DRIFTED|no drift/, (word) =>
        output.tone(drift.isDrifted ? "bad" : "good", word),
      );
}

/** The table; with small bars where the terminal is wide enough, or no terminal at all. */
function columnLines(output: Output, reports: readonly ColumnReport[]): readonly string[] {
  const sorted = worstFirst(reports);
  const { lineWidth } = output;
  const nameWidth =
    lineWidth === undefined ? NAME_WIDTH_MAX : Math.max(24, lineWidth - OTHERS_WIDTH);
  const rows = sorted.map((report) => cells(report, nameWidth));
  const sparks = sorted.map(({ bins }) => sparkline(bins));
  const plain = tableLines(COLUMNS, rows);
  const width = Math.max(...plain.map(displayWidth));
  const sparkWidth = Math.max(SPARKS.title.length, ...sparks.map((spark) => spark.length));
  const shows =
    sparks.some((spark) => spark !== "") &&
    (lineWidth === undefined || width + 2 + sparkWidth <= lineWidth);
  const lines = shows
    ? tableLines(
        [...COLUMNS, SPARKS],
        rows.map((row, index) => [...row, sparks[index] ?? ""]),
      )
    : tableLines(COLUMNS, rows, { lineWidth });
  const [head = "", ...body] = lines;
  return [
    output.tone("strong", head),
    ...body.map((line, index) => {
      const tone = toneOf(sorted[index]);
      return tone === undefined ? line : output.tone(tone, line);
    }),
  ];
}

function cells(report: ColumnReport, nameWidth: number): readonly string[] {
  const { drift, quality } = report;
  const measured = drift?.outcome === Outcome.MEASURED;
  const strange = Math.max(quality?.unseenRate ?? 0, quality?.rangeViolationRate ?? 0);
  return [
    abridge(printable(report.name), nameWidth),
    drift === undefined ? "" : methodWord(drift.method),
    measured ? measureText(drift.value) : "",
    thresholdText(drift),
    driftText(drift),
    drift === undefined ? "" : formatCount(Number(drift.baselineSize)),
    drift === undefined ? "" : formatCount(Number(drift.currentSize)),
    rateText(quality?.missingRate),
    rateText(strange),
  ];
}

/** "DRIFTED, significant", "no drift", "too few: 12 of 500" */
function driftText(drift: ColumnReport["drift"]): string {
  const text = verdictText(drift);
  const severity = drift?.outcome === Outcome.MEASURED ? severityWord(drift.severity) : "";
  return severity === "" || severity === "none" ? text : `${text}, ${severity}`;
}

function toneOf(report: ColumnReport | undefined): Tone | undefined {
  if (report?.drift?.outcome !== Outcome.MEASURED) {
    return "dim";
  }
  if (!report.drift.drifted) {
    return undefined;
  }
  return severityWord(report.drift.severity) === "significant" ? "bad" : "warn";
}

/** Drifted ones first, the most severe and farthest first; then what has no drift, then no measure. */
export function worstFirst(reports: readonly ColumnReport[]): readonly ColumnReport[] {
  const key = ({ drift }: ColumnReport): readonly number[] => {
    if (drift?.outcome !== Outcome.MEASURED) {
      return [drift?.outcome === Outcome.TOO_FEW_SAMPLES ? 1 : 0, 0, 0];
    }
    return [isDrifted(drift) ? 3 : 2, drift.severity, farness(drift)];
  };
  // Of a tie the order of the version stays.
  return [...reports].sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    const at = one.findIndex((value, index) => value !== other[index]);
    return at < 0 ? 0 : (other[at] ?? 0) - (one[at] ?? 0);
  });
}

/** How many times the threshold: a distance grows with drift, a p-value falls. */
function farness(drift: NonNullable<ColumnReport["drift"]>): number {
  const { value, threshold, comparison } = drift;
  const isDistance = comparison.startsWith(">");
  return isDistance ? value / (threshold || 1) : threshold / (value || Number.MIN_VALUE);
}

/** What the table has no column for, where there is something to say. */
function qualityLines(reports: readonly ColumnReport[]): readonly string[] {
  const lines = reports.flatMap(({ name, quality }) => {
    const said = quality === undefined ? [] : qualityWords(quality);
    return said.length === 0 ? [] : [`  ${printable(name)}: ${said.join(", ")}`];
  });
  return lines.length === 0 ? [] : ["", "Data quality:", ...lines];
}

/** "12% missing (baseline 0.5%)", "3% below or above the baseline's range" ... */
export function qualityWords(quality: NonNullable<ColumnReport["quality"]>): readonly string[] {
  const rates: readonly (readonly [number, string])[] = [
    [quality.typeViolationRate, "of another type"],
    [quality.rangeViolationRate, "outside the baseline's range"],
    [quality.nanRate, "NaN"],
    [quality.infinityRate, "infinite"],
    [quality.unseenRate, "of categories that the baseline does not have"],
  ];
  const missing =
    quality.missingRate > quality.referenceMissingRate
      ? [
          `${percentText(quality.missingRate)} missing ` +
            `(baseline ${percentText(quality.referenceMissingRate)})`,
        ]
      : [];
  const others = rates
    .filter(([rate]) => rate > 0)
    .map(([rate, what]) => `${percentText(rate)} ${what}`);
  return [...missing, ...others, ...(quality.constant ? ["one and the same value"] : [])];
}

function freshnessLines(freshness: readonly FeatureFreshness[]): readonly string[] {
  if (freshness.length === 0) {
    return [];
  }
  const columns: readonly Column[] = [
    { title: "FEATURE" },
    { title: "VIEW" },
    ...["ROWS", "PRESENT", "NULL", "NOT FOUND", "TOO OLD"].map(
      (title): Column => ({ title, align: "right" }),
    ),
  ];
  const rows = freshness.map((one) => [
    one.feature,
    one.featureView || "on demand",
    formatCount(Number(one.rows)),
    percentText(one.presentRate),
    rateText(one.nullRate),
    rateText(one.notFoundRate),
    rateText(one.outsideMaxAgeRate),
  ]);
  return ["", ...tableLines(columns, rows)];
}
