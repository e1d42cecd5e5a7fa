// An alert rule as it is stored, and what is known of each kind of metric. Pure.

import {
  type AlertAction_Kind,
  AlertScope,
  type AlertSeverity,
  type Comparison,
  Metric_Kind,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Document } from "../../common/documents/port.ts";
import type { RequestStamp } from "../../common/documents/request-stamp.ts";

/** Rows (labels, for what needs them) below which a window says nothing, unless the rule says. */
const ROWS_MIN_DEFAULT = 30;

/** A column that stands for each of them. */
export const EVERY_COLUMN = "*";

export interface MetricSpec {
  readonly kind: Metric_Kind;
  /** Empty where the kind needs none; `*` is each of them. */
  readonly column: string;
  /** Of QUANTILE; else 0. */
  readonly q: number;
  /** As the caller gave it; 0: the default. */
  readonly rowsMin: number;
}

export type Condition =
  | { readonly kind: "threshold"; readonly comparison: Comparison; readonly value: number }
  | {
      readonly kind: "baseline";
      readonly comparison: Comparison;
      /** Null: 1. */
      readonly factor: number | null;
      readonly offset: number;
    }
  | {
      readonly kind: "sigma";
      /** 0: 3. */
      readonly k: number;
      /** 0: 30. */
      readonly windows: number;
      readonly comparison: Comparison;
    };

export interface StoredWebhook {
  readonly url: string;
  /** In clear: it signs what is sent, so a digest of it would not do. */
  readonly secret: string;
  /** Whether this server made the secret, and so owes it to the caller who made the webhook. */
  readonly isMade: boolean;
}

/** What a caller says of a rule. */
export interface RuleFields {
  readonly description: string;
  readonly scope: AlertScope;
  readonly metric: MetricSpec;
  readonly condition: Condition;
  readonly forMs: number;
  readonly coolDownMs: number;
  readonly severity: AlertSeverity;
  readonly webhooks: readonly StoredWebhook[];
  readonly actions: readonly AlertAction_Kind[];
  readonly disabled: boolean;
}

/** `_id` is the rule's name. */
export interface AlertRuleRecord extends Document, RequestStamp, RuleFields {
  readonly uid: string;
  readonly workspace: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly deployment: string;
  /** On its way out: no window is looked at, its alerts are being resolved. */
  readonly deleting: boolean;
}

const WITH_COLUMN: ReadonlySet<Metric_Kind> = new Set([
  Metric_Kind.COLUMN_DRIFT,
  Metric_Kind.COLUMN_DRIFTED,
  Metric_Kind.MISSING_RATE,
  Metric_Kind.TYPE_VIOLATION_RATE,
  Metric_Kind.RANGE_VIOLATION_RATE,
  Metric_Kind.UNSEEN_RATE,
  Metric_Kind.NAN_RATE,
  Metric_Kind.MEAN,
  Metric_Kind.QUANTILE,
  Metric_Kind.OUTSIDE_MAX_AGE_RATE,
]);

const FROM_LABELS: ReadonlySet<Metric_Kind> = new Set([
  Metric_Kind.ACCURACY,
  Metric_Kind.PRECISION,
  Metric_Kind.RECALL,
  Metric_Kind.F1,
  Metric_Kind.ROC_AUC,
  Metric_Kind.LOG_LOSS,
  Metric_Kind.MAE,
  Metric_Kind.RMSE,
  Metric_Kind.R2,
  Metric_Kind.LABEL_COVERAGE,
]);

const OF_BASELINE: ReadonlySet<Metric_Kind> = new Set([
  Metric_Kind.MISSING_RATE,
  Metric_Kind.MEAN,
  Metric_Kind.QUANTILE,
]);

/** Whether each column (or feature) has a value of its own. */
export function needsColumn(kind: Metric_Kind): boolean {
  return WITH_COLUMN.has(kind);
}

/** Whether it changes after its window has closed, as labels come. */
export function comesFromLabels(kind: Metric_Kind): boolean {
  return FROM_LABELS.has(kind);
}

/** Whether it is read from kept predictions, labelled or not. */
export function comesFromPredictions(kind: Metric_Kind): boolean {
  return FROM_LABELS.has(kind) || kind === Metric_Kind.ESTIMATED_ACCURACY;
}

/** Whether a baseline has it too. */
export function hasBaseline(kind: Metric_Kind): boolean {
  return OF_BASELINE.has(kind);
}

/**
 * Rows, predictions or labels that a window needs to be looked at. The number of rows is itself
 * what KIND_ROWS asks for, so that no window has too few for it unless the rule says so.
 */
export function rowsNeeded({ kind, rowsMin }: MetricSpec): number {
  return rowsMin > 0 ? rowsMin : kind === Metric_Kind.ROWS ? 0 : ROWS_MIN_DEFAULT;
}

/** Whether a rule looks at a version that answers (or shadows). */
export function scopeHas(scope: AlertScope, shadow: boolean): boolean {
  switch (scope) {
    case AlertScope.UNSPECIFIED:
    case AlertScope.LIVE:
      return !shadow;
    case AlertScope.SHADOW:
      return shadow;
    case AlertScope.ALL:
      return true;
  }
}
