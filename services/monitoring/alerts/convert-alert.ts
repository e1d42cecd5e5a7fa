// Alerts to messages. Pure and total.

import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ActionRecord_State,
  type ActionRecordSchema,
  Alert_State,
  AlertSchema,
  Delivery_State,
  type DeliverySchema,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { durationOf } from "../../common/duration.ts";
import { type AlertEvent, type AlertRecord, ATTEMPTS_KEPT } from "./alert.ts";
import type { Phase } from "./alert-state.ts";

/** Deliveries that an alert shows. */
const DELIVERIES_SHOWN = 50;

const STATES: Readonly<Record<Phase, Alert_State>> = {
  PENDING: Alert_State.PENDING,
  FIRING: Alert_State.FIRING,
  RESOLVED: Alert_State.RESOLVED,
};

/** An alert as callers see it. */
export function toAlert(alert: AlertRecord): MessageInitShape<typeof AlertSchema> {
  return {
    ...withoutOutbox(alert),
    actions: alert.actions.map(toAction),
    deliveries: alert.deliveries.slice(-DELIVERIES_SHOWN).map(toDelivery),
  };
}

/** The stored phase of a state that callers name. */
export function phaseOf(state: Alert_State): Phase | undefined {
  return (Object.keys(STATES) as Phase[]).find((phase) => STATES[phase] === state);
}

/** What is sent to webhooks: the alert as it is now, without its deliveries. */
export function messageBody(alert: AlertRecord, event: AlertEvent, now: Date): string {
  const message = { ...withoutOutbox(alert), actions: alert.actions.map(toAction) };
  const data = toJson(AlertSchema, create(AlertSchema, message));
  return JSON.stringify({ type: event, timestamp: now.toISOString(), data });
}

function withoutOutbox(alert: AlertRecord) {
  const { acknowledgement } = alert;
  return {
    name: alert._id,
    rule: alert.rule,
    deployment: alert.deployment,
    modelVersion: alert.modelVersion,
    column: alert.column,
    severity: alert.severity,
    state: STATES[alert.phase],
    summary: alert.summary,
    value: alert.value,
    bound: alert.bound,
    windowEndTime: timestampFromMs(Math.round(alert.windowEndUs / 1000)),
    createTime: timestampFromDate(alert.createTime),
    ...time("fireTime", alert.fireTime),
    ...time("resolveTime", alert.resolveTime),
    ...(acknowledgement === null
      ? {}
      : {
          acknowledgement: { ...acknowledgement, time: timestampFromDate(acknowledgement.time) },
        }),
    updateTime: timestampFromDate(alert.updateTime),
  };
}

function toAction(
  action: AlertRecord["actions"][number],
): MessageInitShape<typeof ActionRecordSchema> {
  return {
    kind: action.kind,
    state: ActionRecord_State[action.state],
    detail: action.detail,
    ...time("time", action.endTime),
    tries: action.tries,
  };
}

function toDelivery(
  delivery: AlertRecord["deliveries"][number],
): MessageInitShape<typeof DeliverySchema> {
  return {
    id: delivery.id,
    url: delivery.url,
    event: delivery.event,
    state: Delivery_State[delivery.state],
    attempts: delivery.attempts.slice(-ATTEMPTS_KEPT).map((attempt) => ({
      time: timestampFromDate(attempt.time),
      status: attempt.status,
      error: attempt.error,
      duration: durationOf(attempt.durationMs),
    })),
    tries: delivery.tries,
    ...time("nextAttemptTime", delivery.claim === "" ? delivery.dueTime : null),
  };
}

function time<K extends string>(
  key: K,
  date: Date | null,
): { [P in K]?: ReturnType<typeof timestampFromDate> } {
  return (date === null ? {} : { [key]: timestampFromDate(date) }) as {
    [P in K]?: ReturnType<typeof timestampFromDate>;
  };
}
