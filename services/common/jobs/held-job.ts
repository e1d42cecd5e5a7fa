// One job in the hands of this worker: keeps its lease, writes its progress, and tells the work to
// stop when the job is cancelled, when another worker has it, or when the server stops.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../clock.ts";
import type { Stored } from "../documents/port.ts";
import { Cancelled } from "../errors/domain-error.ts";
import type { JobDocument, JobProgress, JobState, RunningJob } from "./job.ts";
import type { Claim, JobStore } from "./job-store.ts";

/** A heartbeat may be missed once. */
const RENEWALS_PER_LEASE = 3;
/** People read no faster. */
const PROGRESS_INTERVAL_MS = 500;

/** Why the work is to stop. */
export type StopReason = "cancel" | "lost" | "stop";

export interface HeldJobParts<T extends JobDocument> {
  readonly store: JobStore<T>;
  readonly clock: Clock;
  readonly claim: Claim;
  readonly job: Stored<T>;
  /** Told of renewals that failed; the next one may do. */
  readonly onRenewalFailed: (error: unknown) => void;
}

/** Owns the lease of one job. */
export class HeldJob<T extends JobDocument> implements RunningJob<T>, AsyncDisposable {
  readonly #parts: HeldJobParts<T>;
  readonly #abort = new AbortController();
  readonly #heartbeat: NodeJS.Timeout;
  #stored: Stored<T>;
  #tail: Promise<unknown> = Promise.resolve();
  #stopReason: StopReason | undefined;
  #progress: JobProgress | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #progressMs = Number.NEGATIVE_INFINITY;

  constructor(parts: HeldJobParts<T>) {
    this.#parts = parts;
    this.#stored = parts.job;
    const everyMs = parts.claim.leaseMs / RENEWALS_PER_LEASE;
    this.#heartbeat = setInterval(() => void this.#renew(), everyMs).unref();
  }

  get name(): string {
    return this.#stored._id;
  }

  get job(): Stored<T> {
    return this.#stored;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Undefined while the work may go on. */
  get stopReason(): StopReason | undefined {
    return this.#stopReason;
  }

  progress(progress: JobProgress): void {
    this.#progress = progress;
    const dueMs = this.#progressMs + PROGRESS_INTERVAL_MS - this.#parts.clock.monotonicMs();
    // A clock that stands still (in tests) must not hold progress back for longer than it should.
    const waitMs = Math.min(Math.max(dueMs, 0), PROGRESS_INTERVAL_MS);
    this.#progressTimer ??= setTimeout(() => void this.#writeProgress(), waitMs).unref();
  }

  async checkpoint(change: Partial<T>): Promise<void> {
    if (!(await this.#update({ ...change, abandoned: 0 }))) {
      throw notOurs(this.name);
    }
  }

  /** Counts another attempt at the work, after one that failed for a reason that may pass. */
  async beginAgain(): Promise<void> {
    if (!(await this.#update({ attempt: this.#stored.attempt + 1 } as Partial<T>))) {
      throw notOurs(this.name);
    }
  }

  /** Ends the job. The document as it ended, or undefined when it was no longer this worker's. */
  end(change: Partial<T> & { readonly state: JobState }): Promise<Stored<T> | undefined> {
    const progress = this.#progress ?? this.#stored.progress;
    return this.#inOrder(() =>
      this.#parts.store.end(this.#stored, this.#parts.claim.owner, { progress, ...change }),
    );
  }

  /** Gives the job back for another worker to go on with. */
  release(): Promise<void> {
    return this.#inOrder(() => this.#parts.store.release(this.#stored, this.#parts.claim.owner));
  }

  /** What the feed says of the job; it may lag behind what was written here. */
  noticed(job: Stored<T>): void {
    if (job.version < this.#stored.version) {
      return;
    }
    if (job.lease?.owner !== this.#parts.claim.owner) {
      this.stop("lost");
    } else if (job.cancelRequested) {
      this.stop("cancel");
    }
  }

  /** Tells the work to stop; the first reason counts, except that a lost job is lost. */
  stop(reason: StopReason): void {
    if (this.#stopReason === undefined || reason === "lost") {
      this.#stopReason = reason;
    }
    this.#abort.abort(stopped(this.name, this.#stopReason));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#progressTimer);
    await this.#tail.catch(() => {});
  }

  async #renew(): Promise<void> {
    try {
      await this.#update({});
    } catch (error) {
      this.#parts.onRenewalFailed(error);
      if ((this.#stored.lease?.until.getTime() ?? 0) <= this.#parts.clock.now()) {
        this.stop("lost");
      }
    }
  }

  async #writeProgress(): Promise<void> {
    this.#progressTimer = undefined;
    this.#progressMs = this.#parts.clock.monotonicMs();
    const progress = this.#progress;
    if (progress === undefined) {
      return;
    }
    try {
      await this.#update({ progress } as Partial<T>);
    } catch (error) {
      // The heartbeat decides what that means; progress comes again.
      this.#parts.onRenewalFailed(error);
    }
  }

  #update(change: Partial<T>): Promise<boolean> {
    return this.#inOrder(async () => {
      const { store, claim } = this.#parts;
      const stored = await store.update(this.#stored, claim, change);
      if (stored === undefined) {
        this.stop("lost");
        return false;
      }
      this.#stored = stored;
      this.noticed(stored);
      return true;
    });
  }

  #inOrder<R>(run: () => Promise<R>): Promise<R> {
    const turn = this.#tail.catch(() => {}).then(run);
    this.#tail = turn;
    return turn;
  }
}

function notOurs(name: string): Cancelled {
  return new Cancelled(`${name} is no longer this worker's.`, { reason: ErrorReason.CANCELLED });
}

function stopped(name: string, reason: StopReason): Cancelled {
  const why = {
    cancel: "was cancelled",
    lost: "is no longer this worker's",
    stop: "waits for another server, as this one stops",
  }[reason];
  return new Cancelled(`${name} ${why}.`, { reason: ErrorReason.CANCELLED });
}
