// Works off the outbox of alerts: finds what is due, takes it under a lease in the document, does
// it, records what came of it. Every replica has one. Few things are under way at once, and fewer
// for one host, so that an endpoint that hangs holds up its own messages alone. A message may come
// twice (with the same webhook-id) where a worker dies between sending and recording.

import { randomUUID } from "node:crypto";
import type { Clock } from "../../common/clock.ts";
import type { Stored } from "../../common/documents/port.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import { perform } from "./action-errand.ts";
import type { AlertRecord } from "./alert.ts";
import type { AlertStore, DueCursor } from "./alert-store.ts";
import { deliver } from "./delivery-errand.ts";
import { type Claim, isDue, withActionClaimed, withDeliveriesClaimed } from "./errand.ts";
import { actionsOn } from "./run-action.ts";
import { Slots } from "./slots.ts";

/** How often what is due is looked for. */
const POLL_MS = 500;
/** Alerts read in one look; the next one goes on behind them. */
const SCAN_MAX = 500;
const DELIVERIES = { total: 16, perKey: 2 } as const;
/** By deployment: two actions on one deployment would only be in each other's way. */
const ACTIONS = { total: 4, perKey: 1 } as const;
/** Beyond the time that an attempt may take: for the store to record it. */
const LEASE_MARGIN_MS = 15_000;
/** Of one action: a few calls to the registry. */
const ACTION_LEASE_MS = 60_000;

export interface DelivererDeps {
  readonly alerts: AlertStore;
  readonly config: Pick<
    MonitoringConfig,
    "webhookTimeoutMs" | "webhookTriesMax" | "webhookRetryMs" | "webhookHosts"
  >;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "actionTaken" | "webhookAttempted" | "backgroundFailed">;
  /** With the credential of a service; absent: actions fail. */
  readonly registry: Channel | undefined;
  /** 0 up to, not including, 1; for pauses. Absent: Math.random. */
  readonly random?: () => number;
}

/** Owns what is under way. */
export class Deliverer implements AsyncDisposable {
  readonly #deps: DelivererDeps;
  readonly #runAction: ReturnType<typeof actionsOn>;
  readonly #stop = new AbortController();
  readonly #deliveries = new Slots(DELIVERIES);
  readonly #actions = new Slots(ACTIONS);
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;
  #cursor: DueCursor | undefined;

  constructor(deps: DelivererDeps) {
    this.#deps = deps;
    this.#runAction = actionsOn(deps.registry);
  }

  /** Looks for what is due, now and from then on. */
  start(): void {
    if (this.#timer === undefined && !this.#stop.signal.aborted) {
      this.#timer = setInterval(() => this.lookSoon(), POLL_MS).unref();
      this.lookSoon();
    }
  }

  /** Looks for what is due. */
  lookSoon(): void {
    if (!this.#stop.signal.aborted) {
      this.#lookAgain = true;
      this.#look ??= this.#lookWhileAsked().finally(() => {
        this.#look = undefined;
      });
    }
  }

  /** Looks, and waits until all that is due has been tried: what ends makes room, and looks again. */
  async runDue(): Promise<void> {
    this.lookSoon();
    while (this.#look !== undefined || this.#running.size > 0) {
      await this.#look;
      await Promise.all(this.#running);
    }
  }

  /** Stops; attempts that are cut off are free for other replicas at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#look;
    await Promise.all(this.#running);
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stop.signal.aborted) {
      this.#lookAgain = false;
      try {
        await this.#scan();
      } catch (error) {
        if (!this.#stop.signal.aborted) {
          this.#deps.events.backgroundFailed("delivery", "*", error);
        }
      }
    }
  }

  /** Takes what is due as far as there is room. What waits for a slow host is read over. */
  async #scan(): Promise<void> {
    const { alerts } = this.#deps;
    const after = this.#cursor;
    let read = 0;
    this.#cursor = undefined;
    for await (const alert of alerts.due(alerts.now(), after)) {
      if (this.#deliveries.isFull && this.#actions.isFull) {
        break;
      }
      await this.#take(alert);
      read += 1;
      if (read === SCAN_MAX && alert.nextDueTime !== null) {
        this.#cursor = { dueTime: alert.nextDueTime, id: alert._id };
        break;
      }
    }
    // What was left before the place where this scan began.
    this.#lookAgain ||= after !== undefined && this.#cursor === undefined;
  }

  /** Takes what is due of one alert, and begins it. */
  async #take(alert: Stored<AlertRecord>): Promise<void> {
    const now = this.#deps.alerts.now();
    if (
      alert.actions.some((action) => isDue(action, now)) &&
      this.#actions.take(alert.deployment)
    ) {
      this.#begin(
        alert._id,
        () => this.#act(alert),
        () => this.#actions.release(alert.deployment),
      );
    }
    const due = alert.deliveries.filter((delivery) => isDue(delivery, now));
    const taken = due.filter(({ url }) => this.#deliveries.take(hostOf(url)));
    if (taken.length === 0) {
      return;
    }
    const claim = this.#claim(now, this.#deps.config.webhookTimeoutMs + LEASE_MARGIN_MS);
    const ids = new Set(taken.map(({ id }) => id));
    const claimed = await this.#claimed(alert._id, (current) =>
      withDeliveriesClaimed(current, ids, claim),
    );
    for (const { id, url } of taken) {
      const release = () => this.#deliveries.release(hostOf(url));
      const isOurs = claimed?.deliveries.some((one) => one.id === id && one.claim === claim.id);
      if (claimed !== undefined && isOurs === true) {
        const work = { alert: claimed, id, claim: claim.id, signal: this.#stop.signal };
        this.#begin(alert._id, () => deliver(this.#deps, work), release);
      } else {
        release();
      }
    }
  }

  /** One after the other; each is taken only when its turn has come. */
  async #act(alert: AlertRecord): Promise<void> {
    for (const index of alert.actions.keys()) {
      if (this.#stop.signal.aborted) {
        return;
      }
      const claim = this.#claim(this.#deps.alerts.now(), ACTION_LEASE_MS);
      const change = (current: AlertRecord) => withActionClaimed(current, index, claim);
      const claimed = await this.#deps.alerts.change(alert._id, change, { quietly: true });
      if (claimed.actions[index]?.claim === claim.id) {
        await perform(this.#deps, this.#runAction, { alert: claimed, index, claim: claim.id });
      }
    }
  }

  #claim(now: Date, leaseMs: number): Claim {
    return { id: randomUUID(), now, until: new Date(now.getTime() + leaseMs) };
  }

  /** The alert with a claim on it; undefined where it could not be written. */
  async #claimed(
    name: string,
    change: (alert: AlertRecord) => AlertRecord,
  ): Promise<AlertRecord | undefined> {
    try {
      return await this.#deps.alerts.change(name, change, { quietly: true });
    } catch (error) {
      this.#deps.events.backgroundFailed("delivery", name, error);
      return undefined;
    }
  }

  #begin(name: string, run: () => Promise<void>, release: () => void): void {
    const end = (): void => {
      release();
      this.#running.delete(running);
    };
    const running = run().then(
      () => {
        end();
        // There is room again, maybe for something that was read over.
        this.lookSoon();
      },
      (error) => {
        end();
        // Not at once: a store that takes no writes would be asked without a pause.
        this.#deps.events.backgroundFailed("delivery", name, error);
      },
    );
    this.#running.add(running);
  }
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? "";
}
