// One job and all who watch it here: what they are told is read and encoded once.

import type { Stored } from "../../common/documents/port.ts";
import { isEnded } from "../../common/jobs/job.ts";
import type { ProofJob } from "./proof-job.ts";
import { jobState, type rowMessages, toProofJob } from "./proof-message.ts";
import { jobBytes } from "./watch-message.ts";

type Rows = ReturnType<typeof rowMessages>;

/** A job as it was at one moment. */
export interface SeenJob {
  readonly job: Stored<ProofJob>;
  /** Counts the changes that readers see. */
  readonly change: number;
  /** How many of `order` it has. */
  readonly proofs: number;
  readonly isEnded: boolean;
}

/** Owned by JobWatches. */
export class WatchedJob {
  readonly name: string;
  /** Ids of the proofs, in the order in which they were seen. */
  readonly order: string[] = [];
  /** Who watches. */
  watchers = 0;
  readonly #readRows: (job: ProofJob) => Promise<Rows>;
  readonly #rowsSeen = new Set<number>();
  readonly #waiting = new Set<() => void>();
  #job: Stored<ProofJob> | undefined;
  #change = 0;
  #failure: { readonly error: unknown } | undefined;
  #rows: Promise<Rows> | undefined;
  #whole: { readonly revision: number; readonly bytes: Promise<Uint8Array> } | undefined;
  #brief: { readonly revision: number; readonly bytes: Uint8Array } | undefined;

  constructor(name: string, readRows: (job: ProofJob) => Promise<Rows>) {
    this.name = name;
    this.#readRows = readRows;
  }

  /** The job as it was stored; what is older than what is known changes nothing. */
  noticed(job: Stored<ProofJob>): void {
    const before = this.#job;
    if (before !== undefined && before.revision >= job.revision) {
      return;
    }
    this.#job = job;
    for (const [row, id] of job.proofs.entries()) {
      if (id !== null && !this.#rowsSeen.has(row)) {
        this.#rowsSeen.add(row);
        this.order.push(id);
      }
    }
    if (before === undefined || visible(before) !== visible(job)) {
      this.#change += 1;
      this.#wake();
    }
  }

  /** Nobody can watch it any more: it is gone, or cannot be read. */
  failed(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /**
   * The job once readers see another one than after `change`; undefined when the signal aborts.
   * @throws what it failed with
   */
  async after(change: number, signal: AbortSignal): Promise<SeenJob | undefined> {
    while (!signal.aborted) {
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      if (this.#job !== undefined && this.#change > change) {
        const [job, proofs] = [this.#job, this.order.length];
        return { job, change: this.#change, proofs, isEnded: isEnded(job) };
      }
      await this.#woken(signal);
    }
    return undefined;
  }

  /** The job with its rows, encoded. */
  whole(job: Stored<ProofJob>): Promise<Uint8Array> {
    if (this.#whole?.revision !== job.revision) {
      const bytes = this.#rowsOf(job).then((rows) => jobBytes(toProofJob(job, rows)));
      this.#whole = { revision: job.revision, bytes };
    }
    return this.#whole.bytes;
  }

  /** The job without its rows, encoded. */
  brief(job: Stored<ProofJob>): Uint8Array {
    if (this.#brief?.revision !== job.revision) {
      this.#brief = { revision: job.revision, bytes: jobBytes(toProofJob(job)) };
    }
    return this.#brief.bytes;
  }

  /** What was answered never changes. */
  #rowsOf(job: ProofJob): Promise<Rows> {
    if (this.#rows === undefined) {
      const rows = this.#readRows(job);
      this.#rows = rows;
      rows.catch(() => {
        this.#rows = undefined;
        this.#whole = undefined;
      });
    }
    return this.#rows;
  }

  #wake(): void {
    for (const wake of this.#waiting) {
      wake();
    }
  }

  async #woken(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake);
    await promise;
    signal.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }
}

/** What of a job its readers see; a renewed lease is none of it. */
function visible(job: ProofJob): string {
  return JSON.stringify([jobState(job), job.rowsDone, job.startTime, job.error]);
}
