// Resolves the alerts of rules and versions that are gone, and of columns that a changed rule no
// longer looks at: no window will ever say of those that they are right again.

import type { Stored } from "../../common/documents/port.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { MonitoringEvents } from "../events.ts";
import type { AlertRecord } from "./alert.ts";
import { type AlertRuleRecord, EVERY_COLUMN } from "./alert-rule.ts";
import type { AlertStore } from "./alert-store.ts";
import { endedAlert } from "./apply-step.ts";
import { finishRemovals } from "./remove-rule.ts";
import { servingOf } from "./serving.ts";

export interface FinishDeps {
  readonly alerts: AlertStore;
  readonly events: Pick<MonitoringEvents, "alertChanged">;
  readonly registry: Channel | undefined;
}

/** Looks at every active alert once. */
export async function finishGone(deps: FinishDeps, signal: AbortSignal): Promise<void> {
  const { alerts, registry } = deps;
  await finishRemovals(alerts);
  const rules = new Map<string, Stored<AlertRuleRecord> | undefined>();
  const serving = new Map<string, ReturnType<typeof servingOf>>();
  for await (const alert of alerts.allActive({}, signal)) {
    if (!rules.has(alert.rule)) {
      rules.set(alert.rule, await alerts.rules.findOne({ _id: alert.rule }));
    }
    const rule = rules.get(alert.rule);
    if (rule === undefined || rule.uid !== alert.ruleUid) {
      await end(deps, alert, { why: "The rule was removed." });
      continue;
    }
    if (!looksAt(rule, alert.column)) {
      await end(deps, alert, { rule, why: "The rule no longer looks at this." });
      continue;
    }
    const serves = serving.get(alert.target) ?? servingOf(registry, alert);
    serving.set(alert.target, serves);
    if (!(await serves)(rule.scope)) {
      const why = "The version no longer serves in the deployment, or not as the rule looks at it.";
      await end(deps, alert, { rule, why });
    }
  }
}

/** Whether a rule, as it is by now, has a series of that column. */
function looksAt({ metric }: AlertRuleRecord, column: string): boolean {
  return metric.column === EVERY_COLUMN ? column !== "" : column === metric.column;
}

async function end(
  { alerts, events }: FinishDeps,
  { _id }: AlertRecord,
  how: { readonly rule?: AlertRuleRecord; readonly why: string },
): Promise<void> {
  const ended = await alerts.change(_id, (alert) =>
    endedAlert(alert, { ...how, now: alerts.now() }),
  );
  events.alertChanged(_id, { state: ended.phase, summary: ended.summary });
}
