// Makes of a step of a series the alert that is stored, with everything that the step causes: what
// is to be told and done is part of the same document. Pure but for the ids of messages.

import { randomUUID } from "node:crypto";
import {
  AlertAction_Kind,
  AlertSeverity,
  Metric_Kind,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { alertName } from "../../common/names.ts";
import type { TargetIdentity } from "../target.ts";
import {
  type AlertEvent,
  type AlertRecord,
  alertId,
  newActions,
  newDeliveries,
  seriesOf,
} from "./alert.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import type { SeriesState, WindowLook } from "./alert-state.ts";
import type { Finding } from "./condition.ts";
import { messageBody } from "./convert-alert.ts";

/** A finding that says something. */
export type KnownFinding = Exclude<Finding, { readonly kind: "unknown" }>;

/** What one rule found of one column in one window. */
export interface Look {
  readonly rule: AlertRuleRecord;
  readonly target: TargetIdentity & { readonly _id: string };
  readonly column: string;
  readonly window: Pick<WindowLook, "startUs" | "endUs">;
  readonly finding: KnownFinding;
  readonly now: Date;
}

/** A new alert of the series, after `previous`. */
export function begunAlert(
  look: Look,
  state: SeriesState,
  previous: AlertRecord | undefined,
): AlertRecord {
  const { rule, target, column, window, finding, now } = look;
  const { workspace, deployment, deploymentUid, modelVersion, modelVersionUid } = target;
  const series = seriesOf(rule.uid, target._id, column);
  const alert: AlertRecord = {
    _id: alertName.format({ workspace, alert: alertId(series, previous?._id, window.endUs) }),
    uid: randomUUID(),
    workspace,
    deployment,
    deploymentUid,
    modelVersion,
    modelVersionUid,
    series,
    target: target._id,
    rule: rule._id,
    ruleUid: rule.uid,
    column,
    coolDownUs: rule.coolDownMs * 1000,
    severity: severityOf(rule),
    summary: summaryOf(look),
    value: finding.value,
    bound: finding.bound,
    ...state,
    createTime: now,
    updateTime: now,
    fireTime: null,
    resolveTime: null,
    acknowledgement: null,
    actions: [],
    deliveries: [],
    bodies: [],
    nextDueTime: null,
    expireTime: null,
    quietVersion: 0,
    retrainingVersion: 0,
  };
  return state.phase === "FIRING" ? fired(alert, look, 1) : alert;
}

/** The alert after one more window; `version` is that of the document that it will be. */
export function continuedAlert(
  alert: AlertRecord,
  look: Look,
  step: { readonly state: SeriesState; readonly version: number },
): AlertRecord {
  const { rule, finding, now } = look;
  const { value, bound } = finding;
  const next = {
    ...alert,
    ...step.state,
    coolDownUs: rule.coolDownMs * 1000,
    value,
    bound,
    summary: summaryOf(look),
  };
  if (step.state.phase === "RESOLVED") {
    return resolved(next, rule, now);
  }
  return alert.phase === "PENDING" && step.state.phase === "FIRING"
    ? fired(next, look, step.version)
    : next;
}

/** The alert of a rule or a version that is gone. `rule` absent: nobody can be told. */
export function endedAlert(
  alert: AlertRecord,
  end: { readonly rule?: AlertRuleRecord | undefined; readonly why: string; readonly now: Date },
): AlertRecord {
  if (alert.phase === "RESOLVED") {
    return alert;
  }
  const next: AlertRecord = { ...alert, phase: "RESOLVED", summary: end.why };
  return resolved(next, end.rule, end.now);
}

function fired(alert: AlertRecord, { rule, now }: Look, version: number): AlertRecord {
  const asksRetraining = rule.actions.includes(AlertAction_Kind.REQUEST_RETRAINING);
  const next: AlertRecord = {
    ...alert,
    severity: severityOf(rule),
    fireTime: now,
    actions: newActions(rule, now),
    retrainingVersion: asksRetraining ? version : 0,
  };
  const events: readonly AlertEvent[] = asksRetraining
    ? ["alert.firing", "retraining.requested"]
    : ["alert.firing"];
  return told(next, { rule, events, now });
}

/** Who was not told that it fires is not told that it no longer does. */
function resolved(alert: AlertRecord, rule: AlertRuleRecord | undefined, now: Date): AlertRecord {
  const next = { ...alert, resolveTime: now };
  return alert.fireTime === null || rule === undefined
    ? next
    : told(next, { rule, events: ["alert.resolved"], now });
}

function told(
  alert: AlertRecord,
  message: {
    readonly rule: AlertRuleRecord;
    readonly events: readonly AlertEvent[];
    readonly now: Date;
  },
): AlertRecord {
  const { rule, events, now } = message;
  const deliveries = events.flatMap((event) => newDeliveries(rule, event, now));
  const bodies = events.map((event) => ({ event, body: messageBody(alert, event, now) }));
  return {
    ...alert,
    deliveries: [...alert.deliveries, ...deliveries],
    bodies: [...alert.bodies, ...bodies],
  };
}

function severityOf({ severity }: AlertRuleRecord): AlertSeverity {
  return severity === AlertSeverity.UNSPECIFIED ? AlertSeverity.WARNING : severity;
}

function summaryOf({ rule, column, window, finding }: Look): string {
  const { kind, q } = rule.metric;
  const metric = Metric_Kind[kind].toLowerCase().replaceAll("_", " ");
  const which = kind === Metric_Kind.QUANTILE ? `${metric} ${q}` : metric;
  const of = column === "" ? "" : ` of ${column}`;
  const [start, end] = [window.startUs, window.endUs].map((us) =>
    new Date(Math.round(us / 1000)).toISOString().replace(".000Z", "Z"),
  );
  const verdict = finding.kind === "wrong" ? "" : "Right again: ";
  return `${verdict}${which}${of} is ${finding.words}, in the window ${start} to ${end}`;
}
