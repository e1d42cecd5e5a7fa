// Alert rules for a terminal, and what two of them differ in.

import { type AlertRule, AlertScope } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { formatTime } from "./format.ts";
import {
  ACTIONS,
  conditionText,
  metricText,
  SCOPES,
  severityText,
  wordOf,
} from "./monitor-alert-words.ts";
import { spanText } from "./monitor-words.ts";
import { type Column, factLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

/** Columns of a list of rules. */
export const RULE_COLUMNS: readonly Column[] = [
  "RULE",
  "DEPLOYMENT",
  "SEVERITY",
  "METRIC",
  "WRONG WHEN",
  "FOR",
  "ACTIONS",
  "TOLD",
].map((title) => ({ title }));

/** Cells of one rule in a list. */
export function ruleCells(rule: AlertRule): readonly string[] {
  return [
    `${shortName(rule.name)}${rule.disabled ? " (disabled)" : ""}`,
    shortName(rule.deployment),
    severityText(rule.severity),
    metricText(rule.metric),
    conditionText(rule),
    spanText(rule.forDuration),
    actionsText(rule),
    rule.webhooks.length === 0 ? "" : String(rule.webhooks.length),
  ];
}

/** Everything of one rule. */
export function ruleLines(rule: AlertRule): readonly string[] {
  return factLines([
    ["rule", rule.name],
    ["description", rule.description],
    ...factsOf(rule),
    ["created", formatTime(rule.createTime)],
    ["updated", formatTime(rule.updateTime)],
  ]);
}

/** What a rule says, fact by fact; two rules that say the same here are the same. */
function factsOf(rule: AlertRule): readonly (readonly [string, string])[] {
  const rowsMin = rule.metric?.rowsMin ?? 0n;
  return [
    ["deployment", shortName(rule.deployment)],
    ["versions", wordOf(SCOPES, rule.scope || AlertScope.LIVE)],
    ["metric", metricText(rule.metric)],
    ["least rows", rowsMin === 0n ? "" : String(rowsMin)],
    ["wrong when", conditionText(rule)],
    ["for", spanText(rule.forDuration)],
    ["cool-down", spanText(rule.coolDown)],
    ["severity", severityText(rule.severity)],
    ["actions", actionsText(rule)],
    ["webhooks", rule.webhooks.map(({ url }) => url).join("\n")],
    ["disabled", rule.disabled ? "yes" : ""],
  ];
}

/** "severity: warning -> critical", one line a fact in which they differ. */
export function differences(before: AlertRule, after: AlertRule): readonly string[] {
  const facts = (rule: AlertRule) => [["description", rule.description] as const, ...factsOf(rule)];
  const old = new Map(facts(before));
  return facts(after).flatMap(([name, value]) => {
    const was = old.get(name) ?? "";
    return was === value ? [] : [`${name}: ${was || "none"} -> ${value || "none"}`];
  });
}

function actionsText({ actions }: AlertRule): string {
  return actions.map(({ kind }) => wordOf(ACTIONS, kind)).join(", ");
}
