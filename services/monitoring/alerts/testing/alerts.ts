// For tests: rules, targets and alerts, on a real store.

import {
  type AlertAction_Kind,
  AlertScope,
  AlertSeverity,
  Comparison,
  Metric_Kind,
} from "../../../../gen/plinth/monitoring/v1/alert_pb.js";
import { parseSettings } from "../../../common/config.ts";
import type { DocumentStore, Stored } from "../../../common/documents/port.ts";
import { useStore } from "../../../common/documents/testing.ts";
import { createLogger } from "../../../common/telemetry/log.ts";
import { FakeClock } from "../../../common/testing/fake-clock.ts";
import { type MonitoringConfig, monitoringSettings } from "../../config.ts";
import { createEvents, type MonitoringEvents } from "../../events.ts";
import type { Target } from "../../target.ts";
import type { AlertRecord } from "../alert.ts";
import type { AlertRuleRecord } from "../alert-rule.ts";
import { AlertStore } from "../alert-store.ts";
import { begunAlert, type Look } from "../apply-step.ts";
import { DEPLOYMENT, version } from "./registry.ts";

export const HOUR_US = 3_600_000_000;
/** Where the event time of tests begins. */
export const START_US = Date.UTC(2026, 0, 1) * 1000;

export interface AlertParts {
  readonly clock: FakeClock;
  readonly documents: DocumentStore;
  readonly alerts: AlertStore;
  readonly config: MonitoringConfig;
  readonly events: MonitoringEvents;
}

/** A store of alerts in memory, over others' documents if given. */
export async function useAlerts(
  given: { readonly config?: Partial<MonitoringConfig>; readonly documents?: DocumentStore } = {},
): Promise<AlertParts> {
  const clock = new FakeClock();
  const documents = given.documents ?? (await useStore({ clock }));
  const config = { ...parseSettings({}, monitoringSettings), ...given.config };
  const alerts = await AlertStore.open({ documents, clock, config });
  const events = createEvents(createLogger({ service: "monitoring", level: "off" }));
  return { clock, documents, alerts, config, events };
}

/** A version of the deployment `d` of the workspace `w`. */
export function target(number = 2, given: Partial<Target> = {}): Target {
  const identity = {
    workspace: "w",
    deployment: DEPLOYMENT,
    deploymentUid: "uid-d",
    modelVersion: version(number),
    modelVersionUid: `uid-${number}`,
  };
  return {
    ...identity,
    _id: `${identity.deploymentUid}/${identity.modelVersionUid}`,
    shadow: false,
    classLabels: [],
    featureService: "",
    firstSeen: new Date(0),
    lastSeen: new Date(0),
    newestEventUs: 0,
    newestSeenMs: 0,
    ...given,
  };
}

/** A rule on the number of rows. */
export function ruleOf(given: Partial<AlertRuleRecord> = {}): AlertRuleRecord {
  return {
    _id: "workspaces/w/alertRules/r",
    uid: "uid-r",
    workspace: "w",
    createTime: new Date(0),
    updateTime: new Date(0),
    requestDigest: "",
    deployment: DEPLOYMENT,
    deleting: false,
    description: "",
    scope: AlertScope.UNSPECIFIED,
    metric: { kind: Metric_Kind.ROWS, column: "", q: 0, rowsMin: 0 },
    condition: { kind: "threshold", comparison: Comparison.LESS, value: 100 },
    forMs: 0,
    coolDownMs: 0,
    severity: AlertSeverity.CRITICAL,
    webhooks: [],
    actions: [],
    disabled: false,
    ...given,
  };
}

/** Webhooks of these urls, each with a secret of its own. */
export function webhooks(...urls: readonly string[]): AlertRuleRecord["webhooks"] {
  return urls.map((url, i) => ({
    url,
    secret: `whsec_${Buffer.alloc(32, i + 1).toString("base64")}`,
    isMade: false,
  }));
}

/** An alert that fires now in the n-th hour, stored, with what its rule causes. */
export async function fire(
  { alerts }: Pick<AlertParts, "alerts">,
  rule: AlertRuleRecord,
  given: { readonly number?: number; readonly hour?: number; readonly column?: string } = {},
): Promise<Stored<AlertRecord>> {
  if ((await alerts.rules.findOne({ _id: rule._id })) === undefined) {
    await alerts.rules.insertOne(rule);
  }
  const hour = given.hour ?? 0;
  const startUs = START_US + hour * HOUR_US;
  const endUs = startUs + HOUR_US;
  const look: Look = {
    rule,
    target: target(given.number),
    column: given.column ?? "",
    window: { startUs, endUs },
    finding: { kind: "wrong", value: 5, bound: 100, words: "5 < 100" },
    now: alerts.now(),
  };
  const state = {
    phase: "FIRING",
    windowEndUs: endUs,
    wrongUs: HOUR_US,
    firedEndUs: endUs,
  } as const;
  const alert = begunAlert(look, state, undefined);
  await alerts.begin(alert);
  return alerts.get(alert._id);
}

/** A rule with these actions. */
export function acting(...actions: readonly AlertAction_Kind[]): AlertRuleRecord {
  return ruleOf({ actions });
}
