// `plinth monitor alerts`: what is wrong now and was before, followed if asked, and acknowledged.

import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type Alert,
  AlertSchema,
  Alert_State as State,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import {
  ListAlertsResponseSchema,
  type WatchAlertsResponse,
  WatchAlertsResponseSchema,
} from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import { alertName } from "../common/names.ts";
import { didYouMean } from "../common/nearest-name.ts";
import { UsageError } from "./exit-codes.ts";
import {
  ALERT_COLUMNS,
  alertCells,
  alertLines,
  changeLines,
  retrainingLine,
  tonedStates,
} from "./monitor-alert-lines.ts";
import { messageJson, writeText } from "./output.ts";
import { reopened } from "./reopened.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { tableLines } from "./table.ts";

interface AlertOptions {
  readonly deployment?: string;
  readonly state?: readonly string[];
  readonly follow?: boolean;
  readonly limit: number;
}

const STATES: Readonly<Record<string, State>> = {
  pending: State.PENDING,
  firing: State.FIRING,
  resolved: State.RESOLVED,
};

/** What of all alerts is wanted. */
interface Wanted {
  readonly deployment: string;
  readonly states: readonly State[];
}

/** `plinth monitor alerts` */
export async function listAlerts(
  session: Session,
  _args: readonly [],
  options: AlertOptions,
): Promise<void> {
  const { output } = session;
  const deployment = options.deployment ? session.deploymentName(options.deployment) : "";
  const wanted = { deployment, states: (options.state ?? []).map(stateOf) };
  if (options.follow === true) {
    return followAlerts(session, wanted);
  }
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.alerts.listAlerts(
        { parent: session.parent, deployment, states: [...wanted.states], ...page },
        session.call,
      ),
    items: ({ alerts }) => alerts,
  });
  if (output.json) {
    const all = create(ListAlertsResponseSchema, { alerts: [...items] });
    return output.message(ListAlertsResponseSchema, all);
  }
  if (items.length === 0) {
    output.note("No alerts.");
    return;
  }
  const { lineWidth } = output;
  const [head = "", ...body] = tableLines(ALERT_COLUMNS, items.map(alertCells), { lineWidth });
  output.lines([output.tone("strong", head), ...tonedStates(output, body)]);
  noteMore(session, more);
}

/** What is active, then every change, a line each; until Ctrl-C. */
async function followAlerts(session: Session, wanted: Wanted): Promise<void> {
  const { output, signal } = session;
  let resumeToken = "";
  const open = (): AsyncIterable<WatchAlertsResponse> =>
    fresh(session.alerts.watchAlerts({ parent: session.parent, resumeToken }, session.call), () => {
      resumeToken = "";
    });
  let shown = 0;
  // Resolved ones go on to be known: few alerts end while somebody looks.
  const last = new Map<string, Alert>();
  for await (const response of reopened(session, open)) {
    resumeToken = response.resumeToken || resumeToken;
    const { event } = response;
    if (event.case === "synced") {
      if (shown === 0) {
        output.note("Nothing is wrong now; waiting.");
      }
      continue;
    }
    if (event.case === "alert" && !isWanted(event.value, wanted)) {
      continue;
    }
    if (event.case === "retraining" && !isOf(event.value.deployment, wanted)) {
      continue;
    }
    for (const line of await linesOf(session, response, last)) {
      shown += 1;
      await writeText(process.stdout, `${line}\n`, signal);
    }
    if (event.case === "alert") {
      last.set(event.value.name, event.value);
    }
  }
}

async function linesOf(
  { output }: Session,
  response: WatchAlertsResponse,
  last: ReadonlyMap<string, Alert>,
): Promise<readonly string[]> {
  const { event } = response;
  if (output.json) {
    return [JSON.stringify(await messageJson(WatchAlertsResponseSchema, response))];
  }
  return event.case === "alert"
    ? changeLines(output, last.get(event.value.name), event.value)
    : event.case === "retraining"
      ? [output.tone("warn", retrainingLine(event.value))]
      : [];
}

/** A token that is no longer known is forgotten; the stream then ends and begins with a snapshot. */
async function* fresh<T>(stream: AsyncIterable<T>, onExpired: () => void): AsyncGenerator<T> {
  try {
    yield* stream;
  } catch (error) {
    const { RESUME_TOKEN_EXPIRED } = ErrorReason;
    if (!(error instanceof FailedPrecondition) || error.reason !== RESUME_TOKEN_EXPIRED) {
      throw error;
    }
    onExpired();
  }
}

function isWanted(alert: Alert, wanted: Wanted): boolean {
  const { states } = wanted;
  return isOf(alert.deployment, wanted) && (states.length === 0 || states.includes(alert.state));
}

function isOf(deployment: string, wanted: Wanted): boolean {
  return wanted.deployment === "" || wanted.deployment === deployment;
}

function stateOf(word: string): State {
  const state = STATES[word.toLowerCase()];
  if (state === undefined) {
    const known = Object.keys(STATES);
    throw new UsageError(
      `States are ${known.join(", ")}; got "${word}".${didYouMean(word, known)}`,
    );
  }
  return state;
}

/** `plinth monitor alerts show` */
export async function showAlert(session: Session, [text]: readonly [string]): Promise<void> {
  const name = alertReference(session, text);
  await print(session, await session.alerts.getAlert({ name }, session.call));
}

/** `plinth monitor alerts ack` */
export async function acknowledge(
  session: Session,
  [text]: readonly [string],
  options: { readonly comment?: string },
): Promise<void> {
  const name = alertReference(session, text);
  const alert = await session.alerts.acknowledgeAlert(
    { name, comment: options.comment ?? "" },
    session.call,
  );
  await print(session, alert);
}

async function print({ output }: Session, alert: Alert): Promise<void> {
  if (output.json) {
    return output.message(AlertSchema, alert);
  }
  output.lines(alertLines(output, alert));
}

function alertReference(session: Session, text: string): string {
  if (alertName.match(text) !== undefined) {
    return text;
  }
  const name = `${session.parent}/alerts/${text.replace(/^alerts\//, "")}`;
  if (alertName.match(name) === undefined) {
    throw new UsageError(`An alert is named by its id, as the list has it; got "${text}".`);
  }
  return name;
}
