// A rule as a caller sends it, checked and taken apart: every fault is noted at once.

import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  AlertAction_Kind,
  type AlertRule,
  AlertScope,
  AlertSeverity,
  Comparison,
  type Metric,
  Metric_Kind,
  type Webhook,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { RequestFaults } from "../../common/request-faults.ts";
import {
  type Condition,
  EVERY_COLUMN,
  hasBaseline,
  type MetricSpec,
  needsColumn,
  type RuleFields,
  type StoredWebhook,
} from "./alert-rule.ts";
import { newSecret, secretFault, type WebhookHosts, webhookUrlFault } from "./webhook.ts";

const WEBHOOKS_MAX = 10;
const ACTIONS_MAX = 4;
const COLUMN_LENGTH_MAX = 512;
/** A rule that waits for longer says nothing that anybody still waits for. */
const DURATION_MS_MAX = 366 * 86_400_000;
const SIGMA_WINDOWS_MIN = 3;
const SIGMA_WINDOWS_MAX = 1000;

/** The fields of a rule that an update may name. */
export const RULE_PATHS = [
  "description",
  "scope",
  "metric",
  "condition",
  "for_duration",
  "cool_down",
  "severity",
  "webhooks",
  "actions",
  "disabled",
] as const;

export type RulePath = (typeof RULE_PATHS)[number];

export interface RuleParsing {
  readonly faults: RequestFaults;
  readonly hosts: WebhookHosts;
  /** Webhooks that are there already: one of the same url keeps its secret. */
  readonly known: readonly StoredWebhook[];
}

/**
 * What the message says; not to be used once `faults` has any. Kinds and conditions are checked
 * against each other by `checkTogether`, since an update may change one of them alone.
 */
export function parseRule(message: AlertRule, parsing: RuleParsing): RuleFields {
  return parseFields(message, parsing, new Set(RULE_PATHS)) as RuleFields;
}

/** As parseRule, of these fields alone. */
export function parseFields(
  message: AlertRule,
  parsing: RuleParsing,
  paths: ReadonlySet<RulePath>,
): Partial<RuleFields> {
  return Object.assign({}, ...[...paths].map((path) => PARSERS[path](message, parsing)));
}

const PARSERS: Readonly<
  Record<RulePath, (message: AlertRule, parsing: RuleParsing) => Partial<RuleFields>>
> = {
  description({ description }, { faults }) {
    faults.description("alert_rule.description", description);
    return { description };
  },
  scope({ scope }, { faults }) {
    faults.known("alert_rule.scope", scope, AlertScope);
    return { scope };
  },
  severity({ severity }, { faults }) {
    faults.known("alert_rule.severity", severity, AlertSeverity);
    return { severity };
  },
  metric: ({ metric }, { faults }) => ({ metric: parseMetric(metric, faults) }),
  condition: ({ condition }, { faults }) => ({ condition: parseCondition(condition, faults) }),
  for_duration: ({ forDuration }, { faults }) => ({
    forMs: parseDuration("alert_rule.for_duration", forDuration, faults),
  }),
  cool_down: ({ coolDown }, { faults }) => ({
    coolDownMs: parseDuration("alert_rule.cool_down", coolDown, faults),
  }),
  webhooks: ({ webhooks }, parsing) => ({ webhooks: parseWebhooks(webhooks, parsing) }),
  actions: ({ actions }, { faults }) => ({
    actions: parseActions(
      actions.map(({ kind }) => kind),
      faults,
    ),
  }),
  disabled: ({ disabled }) => ({ disabled }),
};

/** Notes what of a rule does not fit together. */
export function checkTogether(
  rule: Pick<RuleFields, "metric" | "condition">,
  faults: RequestFaults,
): void {
  faults.check(
    rule.condition.kind !== "baseline" || hasBaseline(rule.metric.kind),
    "alert_rule.condition",
    `compares ${Metric_Kind[rule.metric.kind]} with the baseline, which has only MISSING_RATE, ` +
      "MEAN and QUANTILE; use a threshold",
  );
}

function parseMetric(metric: Metric | undefined, faults: RequestFaults): MetricSpec {
  const field = "alert_rule.metric";
  const { kind = Metric_Kind.UNSPECIFIED, column = "", q = 0, rowsMin = 0n } = metric ?? {};
  const isKnown = kind !== Metric_Kind.UNSPECIFIED && Object.hasOwn(Metric_Kind, kind);
  faults.check(isKnown, `${field}.kind`, "must be one of the kinds of metrics");
  if (isKnown) {
    const name = Metric_Kind[kind];
    faults.check(
      needsColumn(kind) ? column !== "" : column === "",
      `${field}.column`,
      needsColumn(kind)
        ? `must name the column that ${name} is of, or be ${EVERY_COLUMN} for each of them`
        : `must be empty: ${name} is of no single column`,
    );
    const isShare = kind === Metric_Kind.QUANTILE ? q >= 0 && q <= 1 : q === 0;
    const wanted = kind === Metric_Kind.QUANTILE ? "must be 0 to 1" : `must be 0: ${name} has none`;
    faults.check(isShare, `${field}.q`, wanted);
  }
  faults.text(`${field}.column`, column, COLUMN_LENGTH_MAX);
  const isCount = rowsMin >= 0n && rowsMin <= BigInt(Number.MAX_SAFE_INTEGER);
  faults.check(isCount, `${field}.rows_min`, "must be 0 (for the default) or more");
  return { kind, column, q, rowsMin: isCount ? Number(rowsMin) : 0 };
}

function parseCondition(given: AlertRule["condition"], faults: RequestFaults): Condition {
  const field = `alert_rule.${given.case ?? "condition"}`;
  const finite = (name: string, value: number): void =>
    faults.check(Number.isFinite(value), `${field}.${name}`, `is ${value}; a finite number`);
  switch (given.case) {
    case undefined:
      faults.check(false, field, "must be one of threshold, baseline and sigma");
      return { kind: "threshold", comparison: Comparison.UNSPECIFIED, value: 0 };
    case "threshold": {
      const { comparison, value } = given.value;
      checkComparison(`${field}.comparison`, comparison, faults);
      finite("value", value);
      return { kind: "threshold", comparison, value };
    }
    case "baseline": {
      const { comparison, factor, offset } = given.value;
      checkComparison(`${field}.comparison`, comparison, faults);
      finite("factor", factor ?? 1);
      finite("offset", offset);
      return { kind: "baseline", comparison, factor: factor ?? null, offset };
    }
    case "sigma": {
      const { k, windows, comparison } = given.value;
      const isDistance = Number.isFinite(k) && k >= 0;
      faults.check(isDistance, `${field}.k`, "must be above 0, or 0 for 3");
      const isCount =
        windows === 0 || (windows >= SIGMA_WINDOWS_MIN && windows <= SIGMA_WINDOWS_MAX);
      const range = `${SIGMA_WINDOWS_MIN} to ${SIGMA_WINDOWS_MAX}`;
      faults.check(isCount, `${field}.windows`, `is ${windows}; ${range}, or 0 for 30`);
      const sides = [Comparison.UNSPECIFIED, Comparison.GREATER, Comparison.LESS];
      const isSide = sides.includes(comparison);
      faults.check(isSide, `${field}.comparison`, "must be GREATER, LESS, or absent for both");
      return { kind: "sigma", k, windows, comparison };
    }
  }
}

function checkComparison(field: string, comparison: Comparison, faults: RequestFaults): void {
  const isKnown = comparison !== Comparison.UNSPECIFIED && Object.hasOwn(Comparison, comparison);
  faults.check(isKnown, field, "must be one of the comparisons");
}

function parseDuration(
  field: string,
  duration: Duration | undefined,
  faults: RequestFaults,
): number {
  const ms = Math.round(Number(duration?.seconds ?? 0n) * 1000 + (duration?.nanos ?? 0) / 1e6);
  faults.check(ms >= 0 && ms <= DURATION_MS_MAX, field, "must be 0 to 366 days");
  return ms;
}

function parseWebhooks(
  given: readonly Webhook[],
  { faults, hosts, known }: RuleParsing,
): readonly StoredWebhook[] {
  const field = "alert_rule.webhooks";
  const count = given.length;
  faults.check(count <= WEBHOOKS_MAX, field, `has ${count} entries; at most ${WEBHOOKS_MAX}`);
  const urls = new Set<string>();
  return given.slice(0, WEBHOOKS_MAX).map(({ url, secret }, i) => {
    faults.note(`${field}[${i}].url`, webhookUrlFault(url, hosts));
    faults.check(!urls.has(url), `${field}[${i}].url`, "is there twice");
    urls.add(url);
    if (secret !== "") {
      faults.note(`${field}[${i}].secret`, secretFault(secret));
      return { url, secret, isMade: false };
    }
    return known.find((one) => one.url === url) ?? { url, secret: newSecret(), isMade: true };
  });
}

function parseActions(
  kinds: readonly AlertAction_Kind[],
  faults: RequestFaults,
): readonly AlertAction_Kind[] {
  const field = "alert_rule.actions";
  faults.check(
    kinds.length <= ACTIONS_MAX,
    field,
    `has ${kinds.length} entries; at most ${ACTIONS_MAX}`,
  );
  for (const [i, kind] of kinds.slice(0, ACTIONS_MAX).entries()) {
    const isKnown = kind !== AlertAction_Kind.UNSPECIFIED && Object.hasOwn(AlertAction_Kind, kind);
    faults.check(isKnown, `${field}[${i}].kind`, "must be one of the kinds of actions");
    const isFirst = kinds.indexOf(kind) === i;
    faults.check(isFirst, `${field}[${i}].kind`, `repeats ${AlertAction_Kind[kind]}`);
  }
  return kinds;
}
