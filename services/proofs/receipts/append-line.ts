// The receipts of one log that wait to be appended: collected for a moment, so that they share a
// signed head, then written one job after the other. A store that is away is waited for.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import { HEAD_BATCHES_MAX, HEAD_RECEIPTS_MAX } from "./log-documents.ts";
import { AppendJob, type LogWriter } from "./log-writer.ts";
import type { PendingBatch } from "./pending-batch.ts";

/** The pause after which a store that was away is asked again. */
const RETRY_MS = 250;

export interface AppendLineOptions {
  readonly writer: LogWriter;
  /** How long a receipt waits for others to share its head with. */
  readonly flushIntervalMs: number;
  /** Receipts that wait; more are refused. */
  readonly waitingMax: number;
  /** Receipts that count against it and wait elsewhere. */
  readonly othersWaiting: () => number;
}

/** A call that waits. */
interface Waiter {
  readonly batch: PendingBatch;
  readonly resolve: (index: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Owns what waits and the one job that is written. */
export class AppendLine implements AsyncDisposable {
  readonly #options: AppendLineOptions;
  /** Batches under way, by their name. */
  readonly #underWay = new Map<string, Promise<number>>();
  #waiters: Waiter[] = [];
  #waitingCount = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(options: AppendLineOptions) {
    this.#options = options;
  }

  /** Receipts that wait. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /**
   * Resolves with the index of its first receipt once all are in the log. One of the same name that
   * is under way is not logged again.
   * @throws ResourceExhausted when too many wait; Unavailable (DRAINING) after closing.
   */
  add(batch: PendingBatch): Promise<number> {
    const { uid, count } = batch;
    let underWay = this.#underWay.get(uid);
    if (underWay === undefined) {
      this.#checkRoom(count);
      underWay = this.#wait(batch).finally(() => this.#underWay.delete(uid));
      this.#underWay.set(uid, underWay);
    }
    return underWay;
  }

  /** Logs what waits, tries no longer than the store answers, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    do {
      await this.#run();
    } while (this.#waiters.length > 0);
    clearTimeout(this.#timer);
  }

  #checkRoom(count: number): void {
    if (this.#closing.signal.aborted) {
      throw closed();
    }
    const { waitingMax, othersWaiting } = this.#options;
    const waiting = this.#waitingCount + othersWaiting();
    if (waiting + count > waitingMax) {
      throw new ResourceExhausted(
        `${waiting} receipts wait to be logged, ${waitingMax} at most. The store is too ` +
          "slow; try again.",
        { reason: ErrorReason.OVERLOADED, retryAfterMs: 1_000 },
      );
    }
  }

  #wait(batch: PendingBatch): Promise<number> {
    this.#waitingCount += batch.count;
    return new Promise((resolve, reject) => {
      this.#waiters.push({ batch, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    if (this.#waitingCount >= HEAD_RECEIPTS_MAX) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      void this.#run();
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.#run();
      }, this.#options.flushIntervalMs);
    }
  }

  /** Appends what waits; never rejects. */
  #run(): Promise<void> {
    this.#running ??= this.#appendAll().finally(() => {
      this.#running = undefined;
      if (this.#waiters.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #appendAll(): Promise<void> {
    const { writer } = this.#options;
    do {
      const taken = this.#take();
      if (taken.length === 0) return;
      const job = new AppendJob(taken.map(({ batch }) => batch));
      let failure: unknown;
      try {
        await this.#append(job);
      } catch (error) {
        writer.forget(job);
        failure = error;
      }
      for (const { batch, resolve, reject } of taken) {
        this.#waitingCount -= batch.count;
        const start = job.places.get(batch);
        if (start === undefined) reject(job.refusals.get(batch) ?? failure);
        else resolve(start);
      }
    } while (this.#waitingCount >= HEAD_RECEIPTS_MAX || this.#closing.signal.aborted);
  }

  /** The waiters of as many batches as a head takes. */
  #take(): readonly Waiter[] {
    let receipts = 0;
    let end = 0;
    for (; end < this.#waiters.length && end < HEAD_BATCHES_MAX; end++) {
      receipts += this.#waiters[end]!.batch.count;
      if (receipts > HEAD_RECEIPTS_MAX) break;
    }
    return this.#waiters.splice(0, end);
  }

  /** Waits for a store that is away, unless the log is closed. */
  async #append(job: AppendJob): Promise<void> {
    for (;;) {
      try {
        return await this.#options.writer.append(job);
      } catch (error) {
        if (!(error instanceof Unavailable) || this.#closing.signal.aborted) throw error;
        await sleep(RETRY_MS, undefined, { signal: this.#closing.signal }).catch(() => {});
      }
    }
  }
}

function closed(): Unavailable {
  return new Unavailable("The server is stopping and logs no more receipts. Try another one.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: 1_000,
  });
}
