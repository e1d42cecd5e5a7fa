// One attempt at one message of an alert, and its record.

import type { Clock } from "../../common/clock.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { AlertRecord, DeliveryRecord } from "./alert.ts";
import type { AlertStore } from "./alert-store.ts";
import { withAttempt, withDeliveryReturned } from "./errand.ts";
import { retryPauseMs } from "./retry-pause.ts";
import { sendWebhook, type WebhookOutcome } from "./send-webhook.ts";
import { webhookHeaders } from "./webhook.ts";

export interface DeliveryDeps {
  readonly alerts: AlertStore;
  readonly config: Pick<
    MonitoringConfig,
    "webhookTimeoutMs" | "webhookTriesMax" | "webhookRetryMs" | "webhookHosts"
  >;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "webhookAttempted">;
  readonly random?: () => number;
}

/** Sends one claimed message once and records it. `signal` cuts it off and gives it back. */
export async function deliver(
  deps: DeliveryDeps,
  work: {
    readonly alert: AlertRecord;
    readonly id: string;
    readonly claim: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { alerts, clock, config, events, random = Math.random } = deps;
  const { alert, id, claim, signal } = work;
  const delivery = alert.deliveries.find((one) => one.id === id);
  if (delivery === undefined) {
    return;
  }
  const time = alerts.now();
  const startedMs = clock.monotonicMs();
  const outcome = await attempt(deps, work, delivery);
  const durationMs = clock.monotonicMs() - startedMs;
  if (signal.aborted && outcome.status === 0) {
    const returned = { id, claim, now: alerts.now() };
    await alerts.change(alert._id, (current) => withDeliveryReturned(current, returned), {
      quietly: true,
    });
    return;
  }
  events.webhookAttempted(delivery.url, {
    ok: outcome.error === "",
    detail: outcome.error || `answered ${outcome.status}`,
  });
  const pauseMs = retryPauseMs({
    firstMs: config.webhookRetryMs,
    tries: delivery.tries + 1,
    askedMs: outcome.retryAfterMs,
    random: random(),
  });
  const retryTime = new Date(clock.now() + pauseMs);
  const triesMax = config.webhookTriesMax;
  const attempted = { id, claim, outcome, time, durationMs, triesMax, retryTime };
  await alerts.change(alert._id, (current) => withAttempt(current, attempted));
}

async function attempt(
  { alerts, clock, config }: DeliveryDeps,
  { alert, signal }: { readonly alert: AlertRecord; readonly signal: AbortSignal },
  delivery: DeliveryRecord,
): Promise<WebhookOutcome> {
  const secret = await currentSecret(alerts, alert, delivery);
  if (secret === undefined) {
    const error = "the rule no longer has this webhook";
    return { status: 0, error, isGone: true, retryAfterMs: 0 };
  }
  const { id, url, event } = delivery;
  const body = alert.bodies.find((one) => one.event === event)?.body ?? "";
  const nowMs = clock.now();
  const timestampSeconds = Math.floor(nowMs / 1000);
  const headers = webhookHeaders({ id, timestampSeconds, body, secret });
  const { webhookHosts: hosts, webhookTimeoutMs: timeoutMs } = config;
  return sendWebhook({ url, headers, body }, { hosts, timeoutMs, signal, nowMs });
}

/**
 * The secret that the rule has for the url now, so that a new one counts for what is on its way; of
 * a rule that is gone the one it had. Undefined: the rule is there and no longer wants it sent.
 */
async function currentSecret(
  alerts: AlertStore,
  alert: AlertRecord,
  { url, secret }: DeliveryRecord,
): Promise<string | undefined> {
  const rule = await alerts.rules.findOne({ _id: alert.rule });
  if (rule === undefined || rule.uid !== alert.ruleUid || rule.deleting) {
    return secret;
  }
  return rule.webhooks.find((one) => one.url === url)?.secret;
}
