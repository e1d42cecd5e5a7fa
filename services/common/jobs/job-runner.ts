// Works on jobs, a few at once. Every replica has one: it looks for jobs that nobody works on when
// the feed tells of one and now and then anyway, takes them under a lease, and ends them with their
// result or their error. A failure that may pass is tried again here, from the last checkpoint.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { Stored } from "../documents/port.ts";
import { Unavailable } from "../errors/domain-error.ts";
import { isForeseen } from "../errors/status.ts";
import { HeldJob } from "./held-job.ts";
import { HAND_BACK, type JobDocument, type JobState, type RunJob } from "./job.ts";
import { storedError } from "./job-error.ts";
import type { JobStore } from "./job-store.ts";

/** Of one worker at one job, while the failure is Unavailable. */
const ATTEMPTS_MAX = 5;
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MS_MAX = 30_000;
/** A feed that broke is opened again after this. */
const FEED_RETRY_MS = 500;
/** Ending a job is tried again this often while the store is away; then the lease decides. */
const END_TRIES = 5;

export interface JobRunnerOptions<T extends JobDocument> {
  readonly jobs: JobStore<T>;
  readonly run: RunJob<T>;
  /** Jobs worked on at once. */
  readonly jobsMax: number;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly events: JobEvents<T>;
  /** Names of jobs to take up, best first. Absent: as JobStore.waiting. */
  readonly waiting?: (limit: number, signal: AbortSignal) => Promise<readonly string[]>;
  /**
   * Called before a job is ended here, perhaps more than once; what it returns is written with the
   * end. Where it throws, the end waits and it is called again.
   */
  readonly onEnd?: (job: Stored<T>, state: JobState) => Promise<Partial<T>>;
  /**
   * Whether a job got on between two failures: then it is tried as often as after the first one.
   * Absent: never.
   */
  readonly gotOn?: (before: T, now: T) => boolean;
  /** The first pause after a failure that may pass; the next ones double. Absent: a second. */
  readonly backoffFirstMs?: number;
}

/** What a runner tells; none of them may throw. */
export interface JobEvents<T extends JobDocument> {
  /** `durationMs` from its creation on. */
  jobEnded(job: Stored<T>, durationMs: number): void;
  /** Work that nobody waits for failed. */
  backgroundFailed(work: string, subject: string, error: unknown): void;
}

/** Owns the jobs that this replica works on. */
export class JobRunner<T extends JobDocument> implements AsyncDisposable {
  readonly #options: JobRunnerOptions<T>;
  readonly #stop = new AbortController();
  readonly #held = new Map<string, HeldJob<T>>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #feed: Promise<void> | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(options: JobRunnerOptions<T>) {
    this.#options = options;
  }

  /** Takes up what waits, now, whenever the feed tells of a job, and every poll interval. */
  start(): void {
    if (this.#timer === undefined && !this.#stop.signal.aborted) {
      this.#timer = setInterval(() => this.lookSoon(), this.#options.pollMs).unref();
      this.#feed = this.#follow();
      this.lookSoon();
    }
  }

  /** Looks for jobs that nobody works on, if there is room. */
  lookSoon(): void {
    if (this.#stop.signal.aborted) {
      return;
    }
    this.#lookAgain = true;
    this.#look ??= this.#lookWhileAsked().finally(() => {
      this.#look = undefined;
    });
  }

  /** Stops the work; its jobs are free for other replicas at once. Resolves when that is so. */
  async drain(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    for (const held of this.#held.values()) {
      held.stop("stop");
    }
    await this.#look;
    await Promise.all(this.#running);
    await this.#feed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { jobs, events } = this.#options;
    while (!signal.aborted) {
      try {
        const after = await jobs.revision();
        // What changed while nobody followed.
        await Promise.all([...this.#held.values()].map((held) => this.#noticeStored(held)));
        this.lookSoon();
        for await (const change of jobs.changes(after, signal)) {
          if (change.kind === "put") {
            this.#notice(change.document);
          }
        }
      } catch (error) {
        if (!signal.aborted) {
          events.backgroundFailed("job feed", "*", error);
          await sleep(FEED_RETRY_MS, undefined, { signal }).catch(() => {});
        }
      }
    }
  }

  #notice(job: Stored<T>): void {
    this.#held.get(job._id)?.noticed(job);
    if (job.state === "QUEUED") {
      this.lookSoon();
    }
  }

  async #noticeStored(held: HeldJob<T>): Promise<void> {
    held.noticed(await this.#options.jobs.get(held.name));
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stop.signal.aborted) {
      this.#lookAgain = false;
      try {
        await this.#takeWaiting();
      } catch (error) {
        if (!this.#stop.signal.aborted) {
          this.#options.events.backgroundFailed("job", "*", error);
        }
      }
    }
  }

  async #takeWaiting(): Promise<void> {
    const { jobs, jobsMax } = this.#options;
    const { signal } = this.#stop;
    if (this.#running.size >= jobsMax) {
      return;
    }
    const waiting = this.#options.waiting ?? jobs.waiting.bind(jobs);
    // Of those found some may be taken by other replicas in the meantime.
    for (const name of await waiting(2 * jobsMax, signal)) {
      if (this.#running.size >= jobsMax || signal.aborted) {
        return;
      }
      if (!this.#held.has(name)) {
        await this.#take(name);
      }
    }
  }

  async #take(name: string): Promise<void> {
    const { jobs, clock, leaseMs, events } = this.#options;
    const claim = { owner: randomUUID(), leaseMs };
    const job = await jobs.take(name, claim);
    if (job === undefined) {
      return;
    }
    const held = new HeldJob({
      store: jobs,
      clock,
      claim,
      job,
      onRenewalFailed: (error) => events.backgroundFailed("job lease", name, error),
    });
    this.#held.set(name, held);
    if (this.#stop.signal.aborted) {
      held.stop("stop");
    }
    const run = this.#work(held).finally(() => {
      this.#held.delete(name);
      this.#running.delete(run);
      this.lookSoon();
    });
    this.#running.add(run);
  }

  async #work(held: HeldJob<T>): Promise<void> {
    await using _ = held;
    const { run, events, gotOn } = this.#options;
    let before = held.job;
    for (let tries = 1, isFirst = true; held.stopReason === undefined; tries++, isFirst = false) {
      try {
        if (!isFirst) {
          await held.beginAgain();
        }
        const result = await run(held);
        if (result === HAND_BACK) {
          return await this.#release(held);
        }
        return await this.#end(held, { ...result, state: "SUCCEEDED" });
      } catch (error) {
        if (held.stopReason !== undefined) {
          break;
        }
        if (!isForeseen(error)) {
          events.backgroundFailed("job", held.name, error);
        }
        if (gotOn?.(before, held.job)) {
          tries = 1;
        }
        before = held.job;
        if (!(error instanceof Unavailable) || tries === ATTEMPTS_MAX) {
          return await this.#end(held, ending<T>({ state: "FAILED", error: storedError(error) }));
        }
        await this.#pause(held, tries, error);
      }
    }
    await this.#stopped(held);
  }

  async #stopped(held: HeldJob<T>): Promise<void> {
    switch (held.stopReason) {
      case "cancel":
        return this.#end(held, ending<T>({ state: "CANCELLED" }));
      case "stop":
        return this.#release(held);
      default:
        return;
    }
  }

  async #release(held: HeldJob<T>): Promise<void> {
    try {
      await held.release();
    } catch (error) {
      // The lease runs out.
      this.#options.events.backgroundFailed("job lease", held.name, error);
    }
  }

  async #end(held: HeldJob<T>, end: Ending<T>): Promise<void> {
    const { clock, events, onEnd } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        const more = await onEnd?.(held.job, end.state);
        const ended = await held.end({ ...more, ...end });
        if (ended !== undefined) {
          events.jobEnded(ended, clock.now() - ended.createTime.getTime());
        }
        return;
      } catch (error) {
        events.backgroundFailed("job", held.name, error);
        if (tries === END_TRIES || held.stopReason === "lost") {
          return;
        }
        await sleep(this.#backoffMs(tries));
      }
    }
  }

  async #pause(held: HeldJob<T>, tries: number, error: Unavailable): Promise<void> {
    const ms = Math.min(Math.max(this.#backoffMs(tries), error.retryAfterMs), BACKOFF_MS_MAX);
    held.progress({ phase: `waiting to try again: ${error.message}`, done: 0, total: 0, unit: "" });
    await sleep(ms, undefined, { signal: held.signal }).catch(() => {});
  }

  #backoffMs(tries: number): number {
    const first = this.#options.backoffFirstMs ?? BACKOFF_FIRST_MS;
    return Math.min(first * 2 ** (tries - 1), BACKOFF_MS_MAX);
  }
}

type Ending<T extends JobDocument> = Partial<T> & { readonly state: JobState };

/** An ending that says nothing of the fields that T adds. */
function ending<T extends JobDocument>(
  end: Partial<JobDocument> & { readonly state: JobState },
): Ending<T> {
  return end as Ending<T>;
}
