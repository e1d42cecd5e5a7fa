// Alerts as lines for a terminal: a table of many, all of one, one line a change.

import {
  ActionRecord_State as ActionState,
  type Alert,
  type Delivery,
  Delivery_State as DeliveryState,
  Alert_State as State,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import type { RetrainingRequest } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { formatDuration, formatTime } from "./format.ts";
import { ACTIONS, severityText, wordOf } from "./monitor-alert-words.ts";
import { briefTime, measureText, momentText } from "./monitor-words.ts";
import type { Output, Tone } from "./output.ts";
import { type Column, factLines, printable, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

/** Columns of a list of alerts. */
export const ALERT_COLUMNS: readonly Column[] = [
  "ALERT",
  "STATE",
  "SEVERITY",
  "DEPLOYMENT",
  "VERSION",
  "RULE",
  "COLUMN",
  "SINCE",
  "SEEN BY",
  "WHAT",
].map((title) => ({ title }));

/** Cells of one alert in a list. */
export function alertCells(alert: Alert): readonly string[] {
  return [
    shortName(alert.name),
    State[alert.state] ?? "",
    severityText(alert.severity),
    shortName(alert.deployment),
    shortName(alert.modelVersion),
    shortName(alert.rule),
    alert.column,
    formatTime(alert.fireTime ?? alert.createTime),
    alert.acknowledgement?.actor ?? "",
    alert.summary,
  ];
}

/** Colours the state words of a table's body. */
export function tonedStates(output: Output, lines: readonly string[]): readonly string[] {
  return lines.map((line) =>
    line.replace(/\b(?:PENDING|FIRING|RESOLVED)\b/, (word) => output.tone(toneOf(word), word)),
  );
}

function toneOf(state: string): Tone {
  return state === "FIRING" ? "bad" : state === "PENDING" ? "warn" : "good";
}

/**
 * What a change of an alert is worth saying, a line each: its state, who saw it, what was done, who
 * was told. `before` is what was said of it last.
 */
export function changeLines(
  output: Output,
  before: Alert | undefined,
  alert: Alert,
): readonly string[] {
  const when = momentText(alert.updateTime);
  const what = `${shortName(alert.deployment)} ${shortName(alert.modelVersion)}`;
  const column = alert.column === "" ? "" : `, ${alert.column}`;
  const rule = `${what}  ${shortName(alert.rule)}${column}`;
  const said: string[] = [];
  if (stateKey(before) !== stateKey(alert)) {
    const seen = alert.acknowledgement;
    const by = seen === undefined ? "" : ` (seen by ${seen.actor})`;
    const state = (State[alert.state] ?? "").padEnd(8);
    said.push(
      `${state}  ${severityText(alert.severity).padEnd(8)}  ${rule}: ${alert.summary}${by}`,
    );
  }
  for (const [index, action] of alert.actions.entries()) {
    const isOver = action.state !== ActionState.PENDING;
    if (isOver && before?.actions[index]?.state !== action.state) {
      const detail = action.detail === "" ? "" : `: ${action.detail}`;
      const word = ActionState[action.state] ?? "";
      said.push(`${word.padEnd(8)}  ${wordOf(ACTIONS, action.kind)}  ${rule}${detail}`);
    }
  }
  const known = new Map(before?.deliveries.map((delivery) => [delivery.id, delivery]));
  for (const delivery of alert.deliveries) {
    const old = known.get(delivery.id);
    const isNews = delivery.tries > 0 && deliveryKey(old) !== deliveryKey(delivery);
    if (isNews) {
      const word = delivery.state === DeliveryState.DELIVERED ? "TOLD" : "NOT TOLD";
      const answer = answerText(delivery);
      said.push(`${word.padEnd(8)}  ${delivery.url}  ${delivery.event}: ${answer}`);
    }
  }
  return tonedStates(
    output,
    said.map((line) => printable(`${when}  ${line}`)),
  );
}

function stateKey(alert: Alert | undefined): string | undefined {
  return alert && `${alert.state} ${alert.acknowledgement?.actor ?? ""} ${alert.summary}`;
}

function deliveryKey(delivery: Delivery | undefined): string | undefined {
  return delivery && `${delivery.state} ${delivery.tries}`;
}

/** A wish for retraining in one line. */
export function retrainingLine(request: RetrainingRequest): string {
  const { deployment, modelVersion, reason } = request;
  return printable(
    `RETRAINING WANTED  ${shortName(deployment)} ${shortName(modelVersion)}: ${reason}`,
  );
}

/** Everything of one alert. */
export function alertLines(output: Output, alert: Alert): readonly string[] {
  const { acknowledgement: seen } = alert;
  const facts = factLines([
    ["alert", alert.name],
    ["state", State[alert.state]],
    ["severity", severityText(alert.severity)],
    ["what", alert.summary],
    ["value", `${measureText(alert.value)}, held against ${measureText(alert.bound)}`],
    ["rule", shortName(alert.rule)],
    ["deployment", shortName(alert.deployment)],
    ["version", shortName(alert.modelVersion)],
    ["column", alert.column],
    ["window", alert.windowEndTime && `ends ${briefTime(alert.windowEndTime)}`],
    ["began", formatTime(alert.createTime)],
    ["fired", formatTime(alert.fireTime)],
    ["resolved", formatTime(alert.resolveTime)],
    [
      "seen by",
      seen && `${seen.actor}, ${formatTime(seen.time)}${seen.comment && `: ${seen.comment}`}`,
    ],
  ]);
  return [...tonedStates(output, facts), ...actionLines(alert), ...deliveryLines(alert)];
}

function actionLines({ actions }: Alert): readonly string[] {
  if (actions.length === 0) {
    return [];
  }
  const columns = ["ACTION", "STATE", "WHEN", "DETAIL"].map((title) => ({ title }));
  const rows = actions.map(({ kind, state, time, detail }) => [
    wordOf(ACTIONS, kind),
    ActionState[state] ?? "",
    formatTime(time),
    detail,
  ]);
  return ["", ...tableLines(columns, rows)];
}

function deliveryLines({ deliveries }: Alert): readonly string[] {
  if (deliveries.length === 0) {
    return [];
  }
  const columns = ["TOLD", "EVENT", "STATE", "TRIES", "LAST ANSWER", "NEXT"].map((title) => ({
    title,
  }));
  const rows = deliveries.map((delivery) => [
    delivery.url,
    delivery.event,
    DeliveryState[delivery.state] ?? "",
    String(delivery.tries),
    answerText(delivery),
    formatTime(delivery.nextAttemptTime),
  ]);
  return ["", ...tableLines(columns, rows)];
}

/** "503 after 120 ms", "no answer: timed out" */
function answerText({ attempts, tries }: Delivery): string {
  const last = attempts.at(-1);
  if (last === undefined) {
    return tries === 0 ? "" : "not kept";
  }
  const after = formatDuration(last.duration);
  const told = last.status === 0 ? "no answer" : String(last.status);
  return `${told}${after && ` after ${after}`}${last.error && `: ${last.error}`}`;
}
