// A baseline as lines for a terminal: where it came from, and what is known of each column.

import {
  type Baseline,
  type ColumnProfile,
  ColumnKind as Kind,
  type NumericProfile,
  ColumnRole as Role,
  Baseline_Source as Source,
  Baseline_State as State,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import { formatTime } from "./format.ts";
import { numberText } from "./monitor-performance-lines.ts";
import { percentText } from "./monitor-words.ts";
import type { Output } from "./output.ts";
import { formatBytes, formatCount } from "./progress.ts";
import { type Column, factLines, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

const right = (title: string): Column => ({ title, align: "right" });

const COLUMNS: readonly Column[] = [
  { title: "COLUMN" },
  { title: "ROLE" },
  { title: "KIND" },
  right("ROWS"),
  right("MISSING"),
  right("DISTINCT"),
  right("MIN"),
  right("MEDIAN"),
  right("MAX"),
  right("MEAN"),
  right("STD"),
  { title: "MOST FREQUENT" },
];

/** Categories that are told of a column. */
const TOP_SHOWN_MAX = 3;

/** Everything of a baseline. */
export function baselineLines(output: Output, baseline: Baseline): readonly string[] {
  const { state, rows, rowsWanted, columns } = baseline;
  const isLearning = state === State.LEARNING;
  const counted = formatCount(Number(rows));
  const facts = factLines([
    ["baseline of", shortName(baseline.name.replace(/\/baseline$/, ""))],
    ["state", isLearning ? "LEARNING from what is served" : State[state]],
    ["from", isLearning ? "" : sourceText(baseline)],
    ["rows", isLearning ? `${counted} of ${formatCount(Number(rowsWanted))}` : counted],
    ["made", formatTime(baseline.createTime)],
    ["size", baseline.sizeBytes === 0n ? "" : formatBytes(Number(baseline.sizeBytes))],
    ["layout", baseline.layoutId],
  ]);
  if (columns.length === 0) {
    return facts;
  }
  const { lineWidth } = output;
  const [head = "", ...body] = tableLines(COLUMNS, columns.map(profileCells), { lineWidth });
  return [...facts, "", output.tone("strong", head), ...body];
}

function sourceText({ source, fileName }: Baseline): string {
  switch (source) {
    case Source.DATASET:
      return fileName || "a file";
    case Source.FIRST_INFERENCES:
      return "the first rows that were served";
    case Source.UNSPECIFIED:
      return "";
  }
}

/** "numeric", "categorical" ... */
export function kindWord(kind: Kind): string {
  return kind === Kind.UNSPECIFIED ? "" : (Kind[kind] ?? "").toLowerCase();
}

function profileCells(profile: ColumnProfile): readonly string[] {
  const { rows, nulls, numeric, categorical } = profile;
  const missing = rows === 0n || nulls === 0n ? "" : percentText(Number(nulls) / Number(rows));
  const top = (categorical?.top ?? [])
    .slice(0, TOP_SHOWN_MAX)
    .map(({ category, count }) => `${category} ${percentText(Number(count) / Number(rows))}`);
  return [
    profile.name,
    profile.role === Role.PREDICTION ? "prediction" : "feature",
    kindWord(profile.kind),
    formatCount(Number(rows)),
    missing,
    distinctText(profile),
    ...numericCells(profile.kind, numeric),
    top.join(", "),
  ];
}

function distinctText({ numeric, categorical }: ColumnProfile): string {
  if (categorical !== undefined) {
    return `${categorical.isEstimate ? "~" : ""}${formatCount(Number(categorical.distinct))}`;
  }
  return numeric?.distinct === undefined ? "" : formatCount(Number(numeric.distinct));
}

function numericCells(kind: Kind, numeric: NumericProfile | undefined): readonly string[] {
  const median = numeric?.quantiles.find(({ q }) => q === 0.5)?.value;
  const values = [numeric?.min, median, numeric?.max, numeric?.mean];
  return kind === Kind.TIMESTAMP
    ? [...values.map(microsecondsText), ""]
    : [...values, numeric?.std].map(numberText);
}

function microsecondsText(us: number | undefined): string {
  return us === undefined
    ? ""
    : `${new Date(us / 1000).toISOString().slice(0, 16).replace("T", " ")}Z`;
}
