// An alert as it is stored: its state, and with it the outbox. What a change of state causes
// (messages to webhooks, actions) is written with the change, so that neither is there without the
// other; the deliverer works off what is due. Pure.

import { createHash, randomUUID } from "node:crypto";
import {
  AlertAction_Kind,
  type AlertSeverity,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Document } from "../../common/documents/port.ts";
import type { TargetIdentity } from "../target.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import type { SeriesState } from "./alert-state.ts";

/** What a message says has happened. */
export type AlertEvent = "alert.firing" | "alert.resolved" | "retraining.requested";

export interface AttemptRecord {
  readonly time: Date;
  /** 0: no answer came. */
  readonly status: number;
  /** Empty: nothing went wrong. */
  readonly error: string;
  readonly durationMs: number;
}

/** Something to be done, by one worker at a time. */
interface Errand {
  /** When it is to be tried; while a worker has it, when others may take it over. Null: ended. */
  readonly dueTime: Date | null;
  /** Which worker has it. Empty: none. */
  readonly claim: string;
  readonly tries: number;
}

export interface DeliveryRecord extends Errand {
  /** The header `webhook-id`. */
  readonly id: string;
  readonly url: string;
  /** In clear, as in the rule, for when the rule is gone; empty once it has ended. */
  readonly secret: string;
  readonly event: AlertEvent;
  readonly state: "PENDING" | "DELIVERED" | "FAILED";
  /** The newest ones, oldest first. */
  readonly attempts: readonly AttemptRecord[];
}

export interface StoredAction extends Errand {
  readonly kind: AlertAction_Kind;
  readonly state: "PENDING" | "DONE" | "FAILED" | "SKIPPED";
  readonly detail: string;
  readonly createTime: Date;
  readonly endTime: Date | null;
  /** What is about to be done to the deployment, written before it is done. */
  readonly plan: ActionPlan | null;
}

/** Against doing it again after a crash between the doing and its record. */
export interface ActionPlan {
  /** The deployment's revision that is to be replaced. */
  readonly revision: number;
  /** Of a rollback: the revision to go back to; else 0. */
  readonly to: number;
  /** Of the configuration that replaces it. */
  readonly configDigest: string;
}

/** `_id` is the alert's name. */
export interface AlertRecord extends Document, SeriesState, TargetIdentity {
  readonly uid: string;
  /** Of the rule, the target and the column. */
  readonly series: string;
  /** The series while PENDING or FIRING: no two alerts of it are. */
  readonly activeSeries?: string | null;
  readonly target: string;
  readonly rule: string;
  readonly ruleUid: string;
  readonly column: string;
  /** The rule's, when it was last looked at. */
  readonly coolDownUs: number;
  readonly severity: AlertSeverity;
  readonly summary: string;
  readonly value: number;
  readonly bound: number;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly fireTime: Date | null;
  readonly resolveTime: Date | null;
  readonly acknowledgement: {
    readonly actor: string;
    readonly time: Date;
    readonly comment: string;
  } | null;
  readonly actions: readonly StoredAction[];
  readonly deliveries: readonly DeliveryRecord[];
  /** What messages say, as it was when they were caused; only while one is on its way. */
  readonly bodies: readonly { readonly event: AlertEvent; readonly body: string }[];
  /** The earliest dueTime. Null: nothing is to be done. */
  readonly nextDueTime: Date | null;
  /** When it is forgotten; only once it is resolved and nothing is to be done. */
  readonly expireTime: Date | null;
  /** The document's version when it was last written without a change that anybody sees. */
  readonly quietVersion: number;
  /** The document's version when it fired and a retraining was asked for; 0: never. */
  readonly retrainingVersion: number;
}

/** Of a delivery; the API gives no more. */
export const ATTEMPTS_KEPT = 10;

/** Names a series. */
export function seriesOf(ruleUid: string, target: string, column: string): string {
  return createHash("sha256")
    .update(JSON.stringify([ruleUid, target, column]))
    .digest("hex")
    .slice(0, 32);
}

/**
 * The id of the alert that begins in a window after another one of its series. Two replicas that
 * begin it at once begin the same one.
 */
export function alertId(series: string, previous: string | undefined, windowEndUs: number): string {
  return createHash("sha256")
    .update(JSON.stringify([series, previous ?? null, windowEndUs]))
    .digest("hex")
    .slice(0, 20);
}

/** The messages that an event causes. */
export function newDeliveries(
  rule: Pick<AlertRuleRecord, "webhooks">,
  event: AlertEvent,
  now: Date,
): readonly DeliveryRecord[] {
  return rule.webhooks.map(({ url, secret }) => ({
    id: `msg_${randomUUID()}`,
    url,
    secret,
    event,
    state: "PENDING",
    attempts: [],
    tries: 0,
    dueTime: now,
    claim: "",
  }));
}

/** What a rule has done when it fires. Asking for retraining is done by being written down. */
export function newActions(
  rule: Pick<AlertRuleRecord, "actions">,
  now: Date,
): readonly StoredAction[] {
  return rule.actions.map((kind) => {
    const errand = { kind, createTime: now, claim: "", plan: null };
    return kind === AlertAction_Kind.REQUEST_RETRAINING
      ? {
          ...errand,
          state: "DONE",
          detail: "Asked for in WatchAlerts and at the webhooks.",
          endTime: now,
          tries: 1,
          dueTime: null,
        }
      : { ...errand, state: "PENDING", detail: "", endTime: null, tries: 0, dueTime: now };
  });
}

/** The alert with what follows from its errands: when one is due, and when it can be forgotten. */
export function settled(
  alert: AlertRecord,
  keep: { readonly now: Date; readonly ttlMs: number },
): AlertRecord {
  const due = [...alert.deliveries, ...alert.actions]
    .map(({ dueTime }) => dueTime?.getTime())
    .filter((time) => time !== undefined);
  const isOver = alert.phase === "RESOLVED" && due.length === 0;
  const wanted = new Set(
    alert.deliveries.filter(({ state }) => state === "PENDING").map(({ event }) => event),
  );
  return {
    ...alert,
    activeSeries: alert.phase === "RESOLVED" ? null : alert.series,
    bodies: alert.bodies.filter(({ event }) => wanted.has(event)),
    nextDueTime: due.length === 0 ? null : new Date(Math.min(...due)),
    expireTime: isOver ? (alert.expireTime ?? new Date(keep.now.getTime() + keep.ttlMs)) : null,
  };
}
