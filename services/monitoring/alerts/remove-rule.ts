// Takes a rule away with its alerts: the rule is marked first, so that nothing more is raised by
// it; then its alerts are resolved; then it goes. Cut off anywhere, it is finished by whoever finds
// the mark.

import { updateDocument } from "../../common/documents/resource.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import type { AlertStore } from "./alert-store.ts";
import { endedAlert } from "./apply-step.ts";

const WHY = "The rule was removed.";

/** @throws NotFound; Aborted (ETAG_MISMATCH) when the etag is given and another. */
export async function removeRule(alerts: AlertStore, name: string, etag: string): Promise<void> {
  const change = (rule: AlertRuleRecord): AlertRuleRecord => ({ ...rule, deleting: true });
  const marked = await updateDocument(alerts.rules, { name, etag }, change);
  await finishRemoval(alerts, marked);
}

/** Resolves the alerts of a marked rule and removes it. */
async function finishRemoval(alerts: AlertStore, rule: AlertRuleRecord): Promise<void> {
  for await (const { _id } of alerts.allActive({ ruleUid: rule.uid })) {
    await alerts.change(_id, (alert) => endedAlert(alert, { rule, why: WHY, now: alerts.now() }));
  }
  await alerts.rules.deleteOne(rule._id);
}

/** Finishes what was cut off. */
export async function finishRemovals(alerts: AlertStore): Promise<void> {
  for await (const rule of alerts.rules.find({ deleting: true })) {
    await finishRemoval(alerts, rule);
  }
}
