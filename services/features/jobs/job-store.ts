// The jobs, as they are stored, and the few ways in which they change. A job belongs to the worker
// whose lease stands in it; every write of a worker compares the version it read, so that of two
// workers who both think it theirs only the one with the lease gets anything through.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { Change, Collection, DocumentStore, Stored } from "../../common/documents/port.ts";
import {
  findReplayed,
  insertOnce,
  REQUEST_KEY,
  type RequestStamp,
} from "../../common/documents/request-stamp.ts";
import {
  getDocument,
  notFound,
  updateDocument,
  withoutStamps,
} from "../../common/documents/resource.ts";
import {
  Aborted,
  FailedPrecondition,
  Internal,
  NotFound,
} from "../../common/errors/domain-error.ts";
import { listPage, type Page } from "../../common/list-page.ts";
import { isEnded, type Job, type JobKind, type JobState } from "./job.ts";
import { storedError } from "./job-error.ts";
import { TableStore } from "./table-store.ts";

/** A worker that falls silent so often in a row is taken to be killed by the job itself. */
const ABANDONED_MAX = 5;

/** What a Create call says of a job. */
export interface NewJob {
  readonly name: string;
  readonly uid: string;
  readonly workspace: string;
  readonly kind: JobKind;
  readonly work: Job["work"];
  readonly actor: string;
  readonly digests: readonly string[];
  readonly checkpoint: Job["checkpoint"];
  readonly stamp: RequestStamp;
}

/** What a list asks for. */
export interface JobPageQuery {
  readonly workspace: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly signal: AbortSignal;
}

/** What a worker takes a job with. */
export interface Claim {
  /** Of this one attempt: no two are the same. */
  readonly owner: string;
  readonly leaseMs: number;
}

/** Owns the collection of jobs, and the tables they read. */
export class JobStore {
  readonly tables: TableStore;
  readonly #jobs: Collection<Job>;
  readonly #clock: Clock;
  readonly #ttlMs: number;

  private constructor(
    parts: { jobs: Collection<Job>; tables: TableStore },
    { clock, ttlMs }: { readonly clock: Clock; readonly ttlMs: number },
  ) {
    this.#jobs = parts.jobs;
    this.tables = parts.tables;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** Opens the collections, making what is missing. Jobs go `ttlMs` after their end. */
  static async open(
    documents: DocumentStore,
    options: { readonly clock: Clock; readonly ttlMs: number },
  ): Promise<JobStore> {
    const jobs = await documents.collection<Job>({
      name: "feature_jobs",
      feed: true,
      indexes: [
        { keys: { workspace: 1, createTime: 1 } },
        { keys: { state: 1, createTime: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
        REQUEST_KEY,
      ],
    });
    return new JobStore({ jobs, tables: await TableStore.open(documents, options.clock) }, options);
  }

  /** The job that a call with the same request_id made, if any. @throws InvalidArgument */
  findReplayed(stamp: RequestStamp): Promise<Stored<Job> | undefined> {
    return findReplayed(this.#jobs, stamp);
  }

  /** Stores a new job, QUEUED; a replay gives the first one. @throws AlreadyExists */
  async create(job: NewJob): Promise<Stored<Job>> {
    const { name, stamp, ...given } = job;
    const createTime = this.#now();
    const { stored } = await insertOnce<Job>(this.#jobs, {
      ...given,
      ...stamp,
      _id: name,
      createTime,
      updateTime: createTime,
      state: "QUEUED",
      progress: null,
      error: null,
      startTime: null,
      endTime: null,
      expireTime: null,
      attempt: 0,
      abandoned: 0,
      cancelRequested: false,
      lease: null,
    });
    return stored;
  }

  /** @throws NotFound */
  get(name: string): Promise<Stored<Job>> {
    return getDocument(this.#jobs, name);
  }

  /** The jobs of a workspace, newest first. @throws InvalidArgument */
  list(query: JobPageQuery): Promise<Page<Job>> {
    const { workspace, pageSize, pageToken, signal } = query;
    return listPage(this.#jobs, {
      call: ["ListJobs", workspace],
      pageSize,
      pageToken,
      where: { workspace },
      matches: () => true,
      order: { field: "createTime", kind: "date", descending: true },
      signal,
    });
  }

  /** The jobs of a workspace of one kind that are in a state. */
  find(
    filter: { readonly workspace: string; readonly kind: JobKind; readonly state: JobState },
    signal: AbortSignal,
  ): AsyncIterable<Stored<Job>> {
    return this.#jobs.find({ ...filter }, { signal });
  }

  /**
   * Asks for the end of a job: at once where nobody works on it, else its worker sees to it. A job
   * that has ended stays as it is.
   * @throws NotFound
   */
  cancel(name: string): Promise<Stored<Job>> {
    return updateDocument(this.#jobs, { name }, (job) => {
      if (isEnded(job) || job.cancelRequested) {
        return job;
      }
      const asked = { ...job, cancelRequested: true, updateTime: this.#now() };
      return this.#isFree(job) ? this.#ended(asked, { state: "CANCELLED" }) : asked;
    });
  }

  /** Removes a job that has ended. @throws NotFound; FailedPrecondition while it has not */
  async delete(name: string): Promise<void> {
    const job = await this.get(name);
    if (!isEnded(job)) {
      throw new FailedPrecondition(
        `${name} has not ended yet. Cancel it with CancelJob, or wait for its end, then delete it.`,
        {
          reason: ErrorReason.STATE_FORBIDS,
          metadata: { resource: name },
          violations: [{ type: "STATE", subject: name, description: "has not ended yet" }],
        },
      );
    }
    if (!(await this.#jobs.deleteOne(name))) {
      throw notFound(name);
    }
  }

  /** Names of jobs that nobody works on: abandoned ones first, then the longest waiting. */
  async waiting(limit: number, signal: AbortSignal): Promise<readonly string[]> {
    const names: string[] = [];
    const sort = { createTime: 1 } as const;
    const abandoned = { state: "RUNNING", "lease.until": { $lte: this.#now() } };
    for (const filter of [abandoned, { state: "QUEUED" }]) {
      for await (const { _id } of this.#jobs.find(filter, { sort, limit, signal })) {
        names.push(_id);
      }
    }
    return names;
  }

  /**
   * Takes a job that nobody works on. Undefined when another was faster, it has ended, or it ends
   * now: cancelled while its worker was gone, or given up because its workers keep dying.
   */
  async take(name: string, claim: Claim): Promise<Stored<Job> | undefined> {
    const stored = await this.#jobs.findOne({ _id: name });
    if (stored === undefined || !this.#isFree(stored)) {
      return undefined;
    }
    const job = withoutStamps(stored);
    const abandoned = job.state === "RUNNING" ? job.abandoned + 1 : job.abandoned;
    const next =
      this.#endOfAbandoned({ ...job, abandoned }) ??
      this.#leased({ ...job, abandoned, state: "RUNNING", attempt: job.attempt + 1 }, claim);
    const now = this.#now();
    try {
      const taken = await this.#jobs.replaceOne(
        { ...next, startTime: job.startTime ?? now, updateTime: now },
        { ifVersion: stored.version },
      );
      return isEnded(taken) ? undefined : taken;
    } catch (error) {
      if (error instanceof Aborted || error instanceof NotFound) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Changes a job that a worker holds, and renews its lease.
   * @returns the job as stored, or undefined when it is no longer the worker's
   */
  async update(
    held: Stored<Job>,
    claim: Claim,
    change: Partial<Job>,
  ): Promise<Stored<Job> | undefined> {
    const updateTime = Object.keys(change).length === 0 ? {} : { updateTime: this.#now() };
    return this.#write(held, claim.owner, (job) =>
      this.#leased({ ...job, ...change, ...updateTime }, claim),
    );
  }

  /** Ends a job that a worker holds. Undefined when it is no longer the worker's. */
  async end(
    held: Stored<Job>,
    owner: string,
    change: Partial<Job> & { readonly state: JobState },
  ): Promise<Stored<Job> | undefined> {
    return this.#write(held, owner, (job) => this.#ended(job, change));
  }

  /** Gives a job back for others to go on with. */
  async release(held: Stored<Job>, owner: string): Promise<void> {
    await this.#write(held, owner, (job) => ({
      ...job,
      state: "QUEUED",
      lease: null,
      abandoned: 0,
      updateTime: this.#now(),
    }));
  }

  /** As Collection.revision. */
  revision(): Promise<number> {
    return this.#jobs.revision();
  }

  /** As Collection.changes. */
  changes(after: number, signal: AbortSignal): AsyncIterable<Change<Job>> {
    return this.#jobs.changes(after, signal);
  }

  /** Every blob that a table or a job refers to; some come more than once. */
  async *referencedDigests(): AsyncGenerator<string> {
    // Tables first: a job is stored while its table still is, and takes the reference over.
    yield* this.tables.digests();
    for await (const { digests } of this.#jobs.find({})) {
      yield* digests;
    }
  }

  async #write(
    held: Stored<Job>,
    owner: string,
    change: (job: Job) => Job,
  ): Promise<Stored<Job> | undefined> {
    for (let current = held; ; ) {
      if (current.lease?.owner !== owner) {
        return undefined;
      }
      try {
        const next = change(withoutStamps(current));
        return await this.#jobs.replaceOne(next, { ifVersion: current.version });
      } catch (error) {
        if (!(error instanceof Aborted || error instanceof NotFound)) {
          throw error;
        }
      }
      const found = await this.#jobs.findOne({ _id: held._id });
      if (found === undefined) {
        return undefined;
      }
      current = found;
    }
  }

  #isFree(job: Job): boolean {
    const isExpired = (job.lease?.until.getTime() ?? 0) <= this.#clock.now();
    return job.state === "QUEUED" || (job.state === "RUNNING" && isExpired);
  }

  #leased(job: Job, { owner, leaseMs }: Claim): Job {
    return { ...job, lease: { owner, until: new Date(this.#clock.now() + leaseMs) } };
  }

  #ended(job: Job, change: Partial<Job> & { readonly state: JobState }): Job {
    const now = this.#now();
    const stays = job.kind === "training_set" && change.state === "SUCCEEDED";
    const expireTime = stays ? null : new Date(now.getTime() + this.#ttlMs);
    return { ...job, ...change, lease: null, endTime: now, expireTime, updateTime: now };
  }

  #endOfAbandoned(job: Job): Job | undefined {
    if (job.cancelRequested) {
      return this.#ended(job, { state: "CANCELLED" });
    }
    if (job.abandoned < ABANDONED_MAX) {
      return undefined;
    }
    const error = new Internal(
      `The worker of this job stopped without a word ${ABANDONED_MAX} times in a row. The ` +
        "server's log tells why; memory is the first thing to look at. Start the job again when " +
        "that is solved.",
      { reason: ErrorReason.INSTANCE_LOST, metadata: { resource: job._id } },
    );
    return this.#ended(job, { state: "FAILED", error: storedError(error) });
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}
