// One try at one action of an alert, and its record.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { AlertAction_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Clock } from "../../common/clock.ts";
import { Aborted, DomainError } from "../../common/errors/domain-error.ts";
import type { MonitoringEvents } from "../events.ts";
import type { ActionPlan, AlertRecord } from "./alert.ts";
import type { AlertStore } from "./alert-store.ts";
import type { ActionOutcome } from "./change-deployment.ts";
import { withActionEnded, withActionPostponed, withPlan } from "./errand.ts";
import { retryPauseMs } from "./retry-pause.ts";
import { mayPass, type RunAction } from "./run-action.ts";

const RETRY_FIRST_MS = 1000;
/** Once the registry is back it shall not take long. */
const RETRY_MS_MAX = 60_000;
/** What could not be done for so long is not wanted any more: whoever looks by then decides. */
const GIVE_UP_MS = 3_600_000;

export interface ActionDeps {
  readonly alerts: AlertStore;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "actionTaken">;
  readonly random?: () => number;
}

/** Tries one claimed action and records what came of it. */
export async function perform(
  deps: ActionDeps,
  run: RunAction,
  work: { readonly alert: AlertRecord; readonly index: number; readonly claim: string },
): Promise<void> {
  const { alerts, clock, events, random = Math.random } = deps;
  const { alert, index, claim } = work;
  const action = alert.actions[index];
  if (action === undefined) {
    return;
  }
  let outcome: ActionOutcome;
  try {
    outcome = await run(alert, action, (plan) => writePlan(alerts, work, plan));
  } catch (error) {
    const detail = textOf(error);
    const isOver = clock.now() - action.createTime.getTime() >= GIVE_UP_MS;
    if (mayPass(error) && !isOver) {
      const tries = action.tries + 1;
      const pauseMs = retryPauseMs({ firstMs: RETRY_FIRST_MS, tries, random: random() });
      const retryTime = new Date(clock.now() + Math.min(pauseMs, RETRY_MS_MAX));
      const postponed = { index, claim, detail, retryTime };
      await alerts.change(alert._id, (current) => withActionPostponed(current, postponed));
      return;
    }
    outcome = { state: "FAILED", detail: isOver ? `Given up after an hour: ${detail}` : detail };
  }
  const ended = { index, outcome, now: alerts.now() };
  await alerts.change(alert._id, (current) => withActionEnded(current, ended));
  const { state, detail } = outcome;
  const kind = AlertAction_Kind[action.kind];
  events.actionTaken(alert._id, { kind, detail: `${state}: ${detail}` });
}

/** @throws Aborted where another worker has taken the action over */
async function writePlan(
  alerts: AlertStore,
  work: { readonly alert: AlertRecord; readonly index: number; readonly claim: string },
  plan: ActionPlan | null,
): Promise<void> {
  const { alert, index, claim } = work;
  const change = (current: AlertRecord) => withPlan(current, { index, claim, plan });
  const written = await alerts.change(alert._id, change, { quietly: true });
  if (written.actions[index]?.claim !== claim) {
    throw new Aborted("Another worker has taken the action over.", {
      reason: ErrorReason.ETAG_MISMATCH,
    });
  }
}

function textOf(error: unknown): string {
  return error instanceof DomainError ? error.message : "It failed in a way that nobody foresaw.";
}
