// Rules and alerts in words: metrics, conditions, actions, severities, as YAML has them and as
// people read them.

import {
  AlertAction_Kind as ActionKind,
  type AlertRule,
  AlertScope,
  AlertSeverity,
  Comparison,
  Metric_Kind as Kind,
  type Metric,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { formatNumber } from "./format.ts";

/** A value of a generated enum by its name in small letters, without UNSPECIFIED. */
export type Words = ReadonlyMap<string, number>;

function wordsOf(names: Readonly<Record<string, string | number>>): Words {
  return new Map(
    Object.entries(names).flatMap(([name, value]) =>
      typeof value === "number" && name !== "UNSPECIFIED" ? [[name.toLowerCase(), value]] : [],
    ),
  );
}

/** "feature_drift_share" ... */
export const METRICS: Words = wordsOf(Kind);
/** "mark_version" ... */
export const ACTIONS: Words = wordsOf(ActionKind);
/** "info" ... */
export const SEVERITIES: Words = wordsOf(AlertSeverity);
/** "live" ... */
export const SCOPES: Words = wordsOf(AlertScope);

/** Comparisons as they are written. */
export const COMPARISONS: Words = new Map([
  [">", Comparison.GREATER],
  [">=", Comparison.GREATER_OR_EQUAL],
  ["<", Comparison.LESS],
  ["<=", Comparison.LESS_OR_EQUAL],
  ...wordsOf(Comparison),
]);

/** Metrics that are of one column, or of each with "*". */
export const COLUMN_METRICS: ReadonlySet<number> = new Set([
  Kind.COLUMN_DRIFT,
  Kind.COLUMN_DRIFTED,
  Kind.MISSING_RATE,
  Kind.TYPE_VIOLATION_RATE,
  Kind.RANGE_VIOLATION_RATE,
  Kind.UNSEEN_RATE,
  Kind.NAN_RATE,
  Kind.MEAN,
  Kind.QUANTILE,
  Kind.OUTSIDE_MAX_AGE_RATE,
]);

/** Metrics that a baseline has too. */
export const BASELINE_METRICS: ReadonlySet<number> = new Set([
  Kind.MISSING_RATE,
  Kind.MEAN,
  Kind.QUANTILE,
]);

/** The word of a value; "" for the unspecified one. */
export function wordOf(words: Words, value: number): string {
  return [...words].find(([, one]) => one === value)?.[0] ?? "";
}

/** "critical"; unspecified is a warning. */
export function severityText(severity: AlertSeverity): string {
  return wordOf(SEVERITIES, severity) || "warning";
}

/** "missing_rate of distance", "quantile 0.95 of distance", "accuracy" */
export function metricText(metric: Metric | undefined): string {
  if (metric === undefined) {
    return "";
  }
  const { kind, column, q } = metric;
  const word = wordOf(METRICS, kind);
  const name = kind === Kind.QUANTILE ? `${word} ${formatNumber(q)}` : word;
  const of = column === "*" ? " of each column" : column === "" ? "" : ` of ${column}`;
  return name + of;
}

/** "> 0.3", "> baseline * 2 + 0.01", "3 sigma above the mean of 30 windows" */
export function conditionText({ condition }: Pick<AlertRule, "condition">): string {
  switch (condition.case) {
    case "threshold": {
      const { comparison, value } = condition.value;
      return `${wordOf(COMPARISONS, comparison)} ${formatNumber(value)}`;
    }
    case "baseline": {
      const { comparison, factor = 1, offset } = condition.value;
      const times = factor === 1 ? "" : ` * ${formatNumber(factor)}`;
      const plus =
        offset === 0 ? "" : ` ${offset < 0 ? "-" : "+"} ${formatNumber(Math.abs(offset))}`;
      return `${wordOf(COMPARISONS, comparison)} baseline${times}${plus}`;
    }
    case "sigma": {
      const { k, windows, comparison } = condition.value;
      const isUp = comparison === Comparison.GREATER || comparison === Comparison.GREATER_OR_EQUAL;
      const side = comparison === Comparison.UNSPECIFIED ? "from" : isUp ? "above" : "below";
      return `${formatNumber(k || 3)} sigma ${side} the mean of ${windows || 30} windows`;
    }
    default:
      return "";
  }
}
