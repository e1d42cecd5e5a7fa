// Takes one step of one series: reads where it stands, and writes the alert that the finding makes
// of it. Where another replica was faster it begins again from what that one wrote.

import type { MonitoringEvents } from "../events.ts";
import type { AlertRecord } from "./alert.ts";
import { seriesOf } from "./alert.ts";
import { comesFromLabels } from "./alert-rule.ts";
import { type Patience, step } from "./alert-state.ts";
import type { AlertStore } from "./alert-store.ts";
import { begunAlert, continuedAlert, type Look } from "./apply-step.ts";
import type { IsWatched } from "./serving.ts";

/** Replicas that look at one window at once are few. */
const TRIES_MAX = 10;

export interface ApplyDeps {
  readonly alerts: AlertStore;
  readonly events: Pick<MonitoringEvents, "alertChanged">;
}

/** Resolves once what the finding makes of the series is durable. */
export async function applyFinding(
  deps: ApplyDeps,
  look: Look,
  isWatched: IsWatched,
): Promise<void> {
  const { alerts, events } = deps;
  const { rule, target, column, window, finding } = look;
  const seen = { ...window, finding: finding.kind };
  const patience: Patience = {
    forUs: rule.forMs * 1000,
    coolDownUs: rule.coolDownMs * 1000,
    isRevisable: comesFromLabels(rule.metric.kind),
  };
  const series = seriesOf(rule.uid, target._id, column);
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    const newest = await alerts.newestOf(series);
    const next = step(newest, seen, patience);
    if (next.kind === "none") {
      return;
    }
    if (next.kind === "begin") {
      if (!(await isWatched(rule))) {
        return;
      }
      const begun = begunAlert(look, next.state, newest);
      if (await alerts.begin(begun)) {
        events.alertChanged(begun._id, { state: begun.phase, summary: begun.summary });
        return;
      }
    } else if (newest !== undefined) {
      let before: AlertRecord = newest;
      const after = await alerts.change(newest._id, (alert, version) => {
        before = alert;
        const again = step(alert, seen, patience);
        return again.kind === "go-on"
          ? changedOnly(alert, continuedAlert(alert, look, { state: again.state, version }))
          : alert;
      });
      if (after.phase !== before.phase) {
        events.alertChanged(after._id, { state: after.phase, summary: after.summary });
      }
      if (after.windowEndUs >= window.endUs) {
        return;
      }
    }
  }
}

/** The alert itself where another look at the same window has found the same. */
function changedOnly(alert: AlertRecord, next: AlertRecord): AlertRecord {
  const isSame =
    alert.phase === next.phase &&
    alert.windowEndUs === next.windowEndUs &&
    alert.value === next.value &&
    alert.summary === next.summary;
  return isSame ? alert : next;
}
