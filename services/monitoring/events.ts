// What the monitoring service tells the people who run it: one function per business event, each a
// count or a duration and a log record. None of them throws.

import { counter, histogram } from "../common/telemetry/instruments.ts";
import type { Logger } from "../common/telemetry/log.ts";

const counted = counter({
  name: "plinth.monitoring.rows_counted",
  unit: "{row}",
  description: "Captured rows that were counted, by deployment.",
});
const uncounted = counter({
  name: "plinth.monitoring.rows_not_counted",
  unit: "{row}",
  description: "Captured rows that were not counted, by reason: late, future, refused, dropped.",
});
const notKept = counter({
  name: "plinth.monitoring.predictions_not_kept",
  unit: "{prediction}",
  description: "Predictions that cannot be labelled because too many came at once.",
});
const labels = counter({
  name: "plinth.monitoring.labels",
  unit: "{label}",
  description: "Labels, by outcome.",
});
const closed = counter({
  name: "plinth.monitoring.windows_closed",
  unit: "{window}",
  description: "Windows that were closed.",
});
const alertChanges = counter({
  name: "plinth.monitoring.alerts",
  unit: "{alert}",
  description: "Alerts that became pending, firing or resolved.",
});
const deliveries = counter({
  name: "plinth.monitoring.webhook_attempts",
  unit: "{attempt}",
  description: "Attempts to reach webhooks, by outcome.",
});
const reportTime = histogram({
  name: "plinth.monitoring.report.duration",
  unit: "s",
  description: "Time to make a drift report from windows.",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
});
const backgroundFailures = counter({
  name: "plinth.monitoring.background_failures",
  unit: "{failure}",
  description:
    "Closings, verdicts, reports and deliveries that failed and will be repeated, by work.",
});

/** Why a row is in no window. */
export type NotCounted = "late" | "future" | "refused" | "dropped";

export interface MonitoringEvents {
  /** `deployment` is the deployment's name. */
  rowsCounted(deployment: string, rows: number): void;
  rowsNotCounted(deployment: string, reason: NotCounted, rows: number): void;
  predictionsNotKept(deployment: string, predictions: number): void;
  labelsStored(outcome: string, labels: number): void;
  windowClosed(target: string, window: { readonly end: Date; readonly rows: number }): void;
  baselineReady(
    modelVersion: string,
    baseline: { readonly source: string; readonly rows: number },
  ): void;
  alertChanged(name: string, change: { readonly state: string; readonly summary: string }): void;
  actionTaken(alert: string, action: { readonly kind: string; readonly detail: string }): void;
  webhookAttempted(url: string, attempt: { readonly ok: boolean; readonly detail: string }): void;
  reportMade(durationMs: number): void;
  /** `work` is "closing", "verdict", "feedback", "alerts", "delivery" ...; it is repeated later. */
  backgroundFailed(work: string, subject: string, error: unknown): void;
}

/** Events that go to metrics and to this log. */
export function createEvents(log: Logger): MonitoringEvents {
  return {
    rowsCounted(deployment, rows) {
      counted.bind({ "plinth.deployment": deployment }).add(rows);
    },
    rowsNotCounted(deployment, reason, rows) {
      if (rows > 0) {
        uncounted.bind({ "plinth.deployment": deployment, "plinth.reason": reason }).add(rows);
      }
    },
    predictionsNotKept(deployment, predictions) {
      notKept.bind({ "plinth.deployment": deployment }).add(predictions);
    },
    labelsStored(outcome, count) {
      if (count > 0) {
        labels.bind({ "plinth.outcome": outcome }).add(count);
      }
    },
    windowClosed(target, { end, rows }) {
      closed.bind({}).add(1);
      log.debug("Window closed", { target, end: end.toISOString(), rows });
    },
    baselineReady(modelVersion, { source, rows }) {
      log.info("Baseline ready", { modelVersion, source, rows });
    },
    alertChanged(name, { state, summary }) {
      alertChanges.bind({ "plinth.alert.state": state }).add(1);
      log.info("Alert changed", { name, state, summary });
    },
    actionTaken(alert, { kind, detail }) {
      log.warn("Alert acted", { alert, kind, detail });
    },
    webhookAttempted(url, { ok, detail }) {
      deliveries.bind({ "plinth.outcome": ok ? "delivered" : "failed" }).add(1);
      log.debug("Webhook attempted", { host: URL.parse(url)?.host ?? "", ok, detail });
    },
    reportMade(durationMs) {
      reportTime.bind({}).record(durationMs / 1000);
    },
    backgroundFailed(work, subject, error) {
      backgroundFailures.bind({ "plinth.work": work }).add(1);
      log.warn("Background work failed and will be repeated", { work, subject, error });
    },
  };
}
