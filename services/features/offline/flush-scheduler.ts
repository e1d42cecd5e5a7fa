// When histories are flushed, and that it happens once at a time: on request, when rows have waited
// long enough, and when there are many.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import type { FeaturesConfig } from "../config.ts";
import type { FeaturesEvents } from "../events.ts";
import { type FlusherDeps, flushHistory } from "./flusher.ts";
import type { History } from "./history.ts";
import type { Lease, Leases } from "./leases.ts";
import { PendingTally } from "./pending-tally.ts";

/** How often it is looked whether rows have waited long enough; oftener for short intervals. */
const TICK_MS_MAX = 1_000;

/** Another replica's flush is waited for in steps of this. */
const LEASE_POLL_MS = 50;

/** Pause after a flush that failed; doubled each time up to the maximum. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 60_000;

export interface SchedulerDeps extends FlusherDeps {
  readonly config: Pick<FeaturesConfig, "flushRowsMax" | "flushIntervalMs" | "pendingRowsMax">;
  readonly clock: Clock;
  readonly events: FeaturesEvents;
  readonly leases: Leases;
  /** Names this process among the owners of leases. */
  readonly owner: string;
  /** Called after a flush in the background. */
  readonly onFlushed: (history: History) => void;
}

interface Flight {
  readonly done: Promise<void>;
  /** The flush that begins when this one has ended, for those who came meanwhile. */
  next: Promise<void> | undefined;
}

/** Owns the timer and the flushes under way. */
export class FlushScheduler implements AsyncDisposable {
  readonly #deps: SchedulerDeps;
  readonly #tally = new PendingTally();
  readonly #flights = new Map<string, Flight>();
  readonly #failures = new Map<string, { readonly tries: number; readonly untilMs: number }>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #countedMs = 0;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
  }

  /** Counts what waits in the log. */
  async count(): Promise<void> {
    this.#countedMs = this.#deps.clock.now();
    await this.#tally.recount(this.#deps.log.heads());
  }

  /** Flushes in the background from now on. */
  start(): void {
    const tickMs = Math.min(TICK_MS_MAX, this.#deps.config.flushIntervalMs / 4);
    this.#timer = setInterval(() => this.#wake(), tickMs).unref();
  }

  /** @throws ResourceExhausted when too many rows wait. */
  checkRoom(history: History, rows: number): void {
    this.#tally.checkRoom(history, rows, this.#deps.config.pendingRowsMax);
  }

  /** To be told of every batch that was appended. */
  appended(history: History, rows: number): void {
    this.#tally.add(history, { rows, timeMs: this.#deps.clock.now() });
    if (this.#timer !== undefined && this.#tally.isFull(history, this.#deps.config)) {
      this.#wake();
    }
  }

  /** Everything appended before the call is in files when it resolves. */
  flush(history: History): Promise<void> {
    const flight = this.#flights.get(history.uid);
    if (flight === undefined) {
      return this.#begin(history);
    }
    flight.next ??= flight.done.catch(() => {}).then(() => this.#begin(history));
    return flight.next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stop.abort(draining());
    await this.#ticking;
    await Promise.allSettled([...this.#flights.values()].map(({ next, done }) => next ?? done));
  }

  #begin(history: History): Promise<void> {
    const { uid } = history;
    const done = this.#flushNow(history).finally(() => {
      if (flight.next === undefined) {
        this.#flights.delete(uid);
      }
    });
    const flight: Flight = { done, next: undefined };
    this.#flights.set(uid, flight);
    return done;
  }

  async #flushNow(history: History): Promise<void> {
    const { clock, events, log, manifests } = this.#deps;
    this.#stop.signal.throwIfAborted();
    const last = await log.newestId(history);
    if (last === undefined && (await manifests.get(history)).absorbed.length === 0) {
      await this.#tally.recount(log.heads(history), history.uid);
      return;
    }
    const right = await this.#rightToFlush(history, last);
    await using _lease = right.lease;
    if (!right.isDone) {
      const startMs = clock.monotonicMs();
      const rows = await flushHistory(this.#deps, history, this.#stop.signal);
      if (rows > 0) {
        events.flushed(history.view, { rows, durationMs: clock.monotonicMs() - startMs });
      }
    }
    await this.#tally.recount(log.heads(history), history.uid);
  }

  /**
   * Waits for another replica's flush, which may take in all up to the batch `last`. Without a lease
   * when it was waited for too long: then two flush at once, which is a waste but no harm.
   */
  async #rightToFlush(
    history: History,
    last: string | undefined,
  ): Promise<{ readonly isDone: boolean; readonly lease: Lease | undefined }> {
    const { leases, log, owner } = this.#deps;
    for (let waitedMs = 0; waitedMs < 2 * leases.leaseMs; waitedMs += LEASE_POLL_MS) {
      const lease = await leases.acquire(`flush|${history.uid}`, owner);
      if (lease !== undefined) {
        return { isDone: false, lease };
      }
      await sleep(LEASE_POLL_MS);
      this.#stop.signal.throwIfAborted();
      const oldest = await log.oldestId(history);
      if (last !== undefined && (oldest === undefined || oldest > last)) {
        return { isDone: true, lease: undefined };
      }
    }
    return { isDone: false, lease: undefined };
  }

  #wake(): void {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
  }

  async #tick(): Promise<void> {
    const { clock, config, events } = this.#deps;
    try {
      if (clock.now() - this.#countedMs >= config.flushIntervalMs) {
        await this.count();
      }
    } catch (error) {
      events.backgroundFailed("flush", "the log", error);
    }
    for (const history of this.#tally.due(clock.now(), config)) {
      if (this.#stop.signal.aborted) {
        return;
      }
      if ((this.#failures.get(history.uid)?.untilMs ?? 0) <= clock.now()) {
        await this.#flushInBackground(history);
      }
    }
  }

  async #flushInBackground(history: History): Promise<void> {
    const { clock, config, events, onFlushed } = this.#deps;
    try {
      await this.flush(history);
      this.#failures.delete(history.uid);
      const isDue = this.#tally.due(clock.now(), config).some(({ uid }) => uid === history.uid);
      if (isDue && !this.#tally.isFull(history, config)) {
        // A batch whose writer died in the middle: nothing can be done until it is swept.
        this.#failures.set(history.uid, {
          tries: 0,
          untilMs: clock.now() + config.flushIntervalMs,
        });
      }
      onFlushed(history);
    } catch (error) {
      const tries = (this.#failures.get(history.uid)?.tries ?? 0) + 1;
      const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (tries - 1));
      this.#failures.set(history.uid, { tries, untilMs: clock.now() + pauseMs });
      if (!this.#stop.signal.aborted) {
        events.backgroundFailed("flush", history.view, error);
      }
    }
  }
}

function draining(): Unavailable {
  return new Unavailable("The server is stopping; ask another one, or this one in a moment.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: RETRY_MS,
  });
}
