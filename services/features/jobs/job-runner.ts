// Works on jobs, a few at once. Every replica has one: it looks for jobs that nobody works on when
// the feed tells of one and now and then anyway, takes them under a lease, and ends them with their
// result or their error. A failure that may pass is tried again here, from the last checkpoint.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { isForeseen } from "../../common/errors/status.ts";
import type { FeaturesConfig } from "../config.ts";
import type { FeaturesEvents } from "../events.ts";
import { HeldJob } from "./held-job.ts";
import type { Job, JobKinds, JobState } from "./job.ts";
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

export interface JobRunnerDeps {
  readonly config: Pick<FeaturesConfig, "jobsMax" | "jobLeaseMs" | "jobPollMs" | "tableTtlMs">;
  readonly jobs: JobStore;
  readonly kinds: JobKinds;
  readonly clock: Clock;
  readonly events: Pick<FeaturesEvents, "jobEnded" | "backgroundFailed">;
  /** The first pause after a failure that may pass; the next ones double. Absent: a second. */
  readonly backoffFirstMs?: number;
}

/** Owns the jobs that this replica works on. */
export class JobRunner implements AsyncDisposable {
  readonly #deps: JobRunnerDeps;
  readonly #stop = new AbortController();
  readonly #held = new Map<string, HeldJob>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #feed: Promise<void> | undefined;
  #look: Promise<void> | undefined;
  #lookAgain = false;

  constructor(deps: JobRunnerDeps) {
    this.#deps = deps;
  }

  /** Takes up what waits, now, whenever the feed tells of a job, and every poll interval. */
  start(): void {
    if (this.#timer === undefined && !this.#stop.signal.aborted) {
      this.#timer = setInterval(() => this.lookSoon(), this.#deps.config.jobPollMs).unref();
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
    const { jobs, events } = this.#deps;
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

  #notice(job: Stored<Job>): void {
    this.#held.get(job._id)?.noticed(job);
    if (job.state === "QUEUED") {
      this.lookSoon();
    }
  }

  async #noticeStored(held: HeldJob): Promise<void> {
    held.noticed(await this.#deps.jobs.get(held.name));
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stop.signal.aborted) {
      this.#lookAgain = false;
      try {
        await this.#takeWaiting();
      } catch (error) {
        if (!this.#stop.signal.aborted) {
          this.#deps.events.backgroundFailed("job", "*", error);
        }
      }
    }
  }

  async #takeWaiting(): Promise<void> {
    const { jobs, config } = this.#deps;
    const { signal } = this.#stop;
    if (this.#running.size >= config.jobsMax) {
      return;
    }
    // Of those found some may be taken by other replicas in the meantime.
    for (const name of await jobs.waiting(2 * config.jobsMax, signal)) {
      if (this.#running.size >= config.jobsMax || signal.aborted) {
        return;
      }
      if (!this.#held.has(name)) {
        await this.#take(name);
      }
    }
  }

  async #take(name: string): Promise<void> {
    const { jobs, clock, config, events } = this.#deps;
    const claim = { owner: randomUUID(), leaseMs: config.jobLeaseMs };
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

  async #work(held: HeldJob): Promise<void> {
    await using _ = held;
    const { kinds, events } = this.#deps;
    for (let tries = 1; held.stopReason === undefined; tries++) {
      try {
        if (tries > 1) {
          await held.beginAgain();
        }
        const work = await kinds[held.kind](held);
        return await this.#end(held, { state: "SUCCEEDED", work });
      } catch (error) {
        if (held.stopReason !== undefined) {
          break;
        }
        if (!isForeseen(error)) {
          events.backgroundFailed("job", held.name, error);
        }
        if (!(error instanceof Unavailable) || tries === ATTEMPTS_MAX) {
          return await this.#end(held, { state: "FAILED", error: storedError(error) });
        }
        await this.#pause(held, tries, error);
      }
    }
    await this.#stopped(held);
  }

  async #stopped(held: HeldJob): Promise<void> {
    switch (held.stopReason) {
      case "cancel":
        return this.#end(held, { state: "CANCELLED" });
      case "stop":
        // Where that fails the lease runs out.
        return held.release().catch((error) => {
          this.#deps.events.backgroundFailed("job lease", held.name, error);
        });
      default:
        return;
    }
  }

  async #end(held: HeldJob, end: Partial<Job> & { readonly state: JobState }): Promise<void> {
    const { jobs, clock, config, events } = this.#deps;
    // The table stays for another run that may be asked for soon, then it goes.
    const { table } = held.work;
    const isResult = (digest: string) => !String(table).endsWith(`/${digest}`);
    const digests = end.state === "SUCCEEDED" ? held.digests.filter(isResult) : [];
    for (let tries = 1; ; tries++) {
      try {
        if (typeof table === "string") {
          await jobs.tables.keep(table, config.tableTtlMs);
        }
        const ended = await held.end({ ...end, digests });
        if (ended !== undefined) {
          const durationMs = clock.now() - held.createTime.getTime();
          events.jobEnded(held.name, { kind: held.kind, state: ended.state, durationMs });
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

  async #pause(held: HeldJob, tries: number, error: Unavailable): Promise<void> {
    const ms = Math.min(Math.max(this.#backoffMs(tries), error.retryAfterMs), BACKOFF_MS_MAX);
    held.progress({ phase: `waiting to try again: ${error.message}`, done: 0, total: 0, unit: "" });
    await sleep(ms, undefined, { signal: held.signal }).catch(() => {});
  }

  #backoffMs(tries: number): number {
    const first = this.#deps.backoffFirstMs ?? BACKOFF_FIRST_MS;
    return Math.min(first * 2 ** (tries - 1), BACKOFF_MS_MAX);
  }
}
