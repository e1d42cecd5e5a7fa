// Taking errands of an alert (messages, actions) and recording what became of them: pure changes of
// the document, so that two workers who try the same end with one outcome.

import {
  type ActionPlan,
  type AlertRecord,
  ATTEMPTS_KEPT,
  type DeliveryRecord,
  type StoredAction,
} from "./alert.ts";
import type { ActionOutcome } from "./change-deployment.ts";
import type { WebhookOutcome } from "./send-webhook.ts";

/** A worker's hold on errands until others may take them over. */
export interface Claim {
  readonly id: string;
  readonly now: Date;
  readonly until: Date;
}

/** The alert with those of its deliveries that are due taken. */
export function withDeliveriesClaimed(
  alert: AlertRecord,
  ids: ReadonlySet<string>,
  claim: Claim,
): AlertRecord {
  const deliveries = alert.deliveries.map((delivery) =>
    ids.has(delivery.id) && isDue(delivery, claim.now)
      ? { ...delivery, claim: claim.id, dueTime: claim.until }
      : delivery,
  );
  const isSame = deliveries.every((delivery, i) => delivery === alert.deliveries[i]);
  return isSame ? alert : { ...alert, deliveries };
}

/** The alert with one of its actions taken, where that is due. */
export function withActionClaimed(alert: AlertRecord, index: number, claim: Claim): AlertRecord {
  return withAction(alert, index, (action) =>
    isDue(action, claim.now) ? { ...action, claim: claim.id, dueTime: claim.until } : action,
  );
}

/** What came of an attempt to deliver. */
export interface Attempted {
  readonly id: string;
  readonly claim: string;
  readonly outcome: WebhookOutcome;
  readonly time: Date;
  readonly durationMs: number;
  readonly triesMax: number;
  /** When the next one is due, should there be one. */
  readonly retryTime: Date;
}

/**
 * The alert with an attempt in its history. A message that was taken is delivered, whoever sent it;
 * a failure of a worker that lost its claim counts for nothing.
 */
export function withAttempt(alert: AlertRecord, attempted: Attempted): AlertRecord {
  const { id, claim, outcome, time, durationMs, triesMax, retryTime } = attempted;
  return withDelivery(alert, id, (delivery) => {
    const isTaken = outcome.error === "";
    if (delivery.state !== "PENDING" || (!isTaken && delivery.claim !== claim)) {
      return delivery;
    }
    const { status, error } = outcome;
    const attempt = { time, status, error, durationMs };
    const tries = delivery.tries + 1;
    const attempts = [...delivery.attempts, attempt].slice(-ATTEMPTS_KEPT);
    const next = { ...delivery, attempts, tries, claim: "" };
    if (isTaken || outcome.isGone || tries >= triesMax) {
      const state = isTaken ? "DELIVERED" : "FAILED";
      return { ...next, state, dueTime: null, secret: "" };
    }
    return { ...next, dueTime: retryTime };
  });
}

/** The alert with a delivery that its worker gives back untried, as when it stops. */
export function withDeliveryReturned(
  alert: AlertRecord,
  returned: { readonly id: string; readonly claim: string; readonly now: Date },
): AlertRecord {
  const { id, claim, now } = returned;
  return withDelivery(alert, id, (delivery) =>
    delivery.claim === claim ? { ...delivery, claim: "", dueTime: now } : delivery,
  );
}

/** The alert with the plan of an action; itself where another worker has taken the action over. */
export function withPlan(
  alert: AlertRecord,
  planned: { readonly index: number; readonly claim: string; readonly plan: ActionPlan | null },
): AlertRecord {
  const { index, claim, plan } = planned;
  return withAction(alert, index, (action) =>
    action.claim === claim ? { ...action, plan } : action,
  );
}

/** The alert with an action that has ended, whoever ended it. */
export function withActionEnded(
  alert: AlertRecord,
  ended: { readonly index: number; readonly outcome: ActionOutcome; readonly now: Date },
): AlertRecord {
  const { index, outcome, now } = ended;
  return withAction(alert, index, (action) =>
    action.state === "PENDING"
      ? {
          ...action,
          ...outcome,
          tries: action.tries + 1,
          endTime: now,
          dueTime: null,
          claim: "",
          plan: null,
        }
      : action,
  );
}

/** The alert with an action that is to be tried again. */
export function withActionPostponed(
  alert: AlertRecord,
  postponed: {
    readonly index: number;
    readonly claim: string;
    readonly detail: string;
    readonly retryTime: Date;
  },
): AlertRecord {
  const { index, claim, detail, retryTime } = postponed;
  return withAction(alert, index, (action) =>
    action.claim === claim
      ? { ...action, detail, tries: action.tries + 1, dueTime: retryTime, claim: "" }
      : action,
  );
}

/** Whether it waits for a worker: untaken, or taken by one that has fallen silent. */
export function isDue(errand: { readonly dueTime: Date | null }, now: Date): boolean {
  return errand.dueTime !== null && errand.dueTime <= now;
}

function withDelivery(
  alert: AlertRecord,
  id: string,
  change: (delivery: DeliveryRecord) => DeliveryRecord,
): AlertRecord {
  const index = alert.deliveries.findIndex((delivery) => delivery.id === id);
  const current = alert.deliveries[index];
  const next = current && change(current);
  return next === undefined || next === current
    ? alert
    : { ...alert, deliveries: alert.deliveries.with(index, next) };
}

function withAction(
  alert: AlertRecord,
  index: number,
  change: (action: StoredAction) => StoredAction,
): AlertRecord {
  const current = alert.actions[index];
  const next = current && change(current);
  return next === undefined || next === current
    ? alert
    : { ...alert, actions: alert.actions.with(index, next) };
}
