// The jobs of one collection, and the few ways in which they change. A job belongs to the worker
// whose lease stands in it; every write of a worker compares the version it read, so that of two
// workers who both think it theirs only the one with the lease gets anything through.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../clock.ts";
import type {
  Change,
  Collection,
  DocumentStore,
  Filter,
  IndexSpec,
  Stored,
  Value,
} from "../documents/port.ts";
import {
  findReplayed,
  insertOnce,
  REQUEST_KEY,
  type RequestStamp,
} from "../documents/request-stamp.ts";
import { getDocument, notFound, updateDocument, withoutStamps } from "../documents/resource.ts";
import { Aborted, FailedPrecondition, Internal, NotFound } from "../errors/domain-error.ts";
import { listPage, type Page, type PageQuery } from "../list-page.ts";
import { isEnded, type JobDocument, type JobState } from "./job.ts";
import { storedError } from "./job-error.ts";

/** Of jobs that do not say, and of those stored before there were priorities. */
export const PRIORITY_DEFAULT = 5;

/** A worker that falls silent so often in a row is taken to be killed by the job itself. */
const ABANDONED_MAX = 5;

/** What a Create call says of a job; the fields that T adds come with it. */
export type NewJob<T extends JobDocument> = {
  readonly name: string;
  readonly uid: string;
  readonly workspace: string;
  readonly actor: string;
  readonly stamp: RequestStamp;
  /** Absent: PRIORITY_DEFAULT. */
  readonly priority?: number;
  /** Absent: null. */
  readonly checkpoint?: Value;
} & Omit<T, keyof JobDocument>;

/** How jobs of one kind are kept. */
export interface JobStoreOptions<T extends JobDocument> {
  readonly collection: string;
  readonly clock: Clock;
  /** How long a job stays that ends like this; undefined: until it is deleted. */
  readonly expireAfterMs: (ended: T) => number | undefined;
  /** What is written with every end, also of jobs that nobody worked on. Absent: nothing. */
  readonly atEnd?: (ended: T) => Partial<T>;
  /** Besides those of every job. */
  readonly indexes?: readonly IndexSpec[];
}

type EndOptions<T extends JobDocument> = Pick<
  JobStoreOptions<T>,
  "clock" | "expireAfterMs" | "atEnd"
>;

/** What a list asks for; absent: all that `where` matches, newest first. */
export type JobPageQuery<T extends JobDocument> = Omit<PageQuery<T>, "matches" | "order"> &
  Partial<Pick<PageQuery<T>, "matches" | "order">>;

/** What a worker takes a job with. */
export interface Claim {
  /** Of this one attempt: no two are the same. */
  readonly owner: string;
  readonly leaseMs: number;
}

/** Owns a collection of jobs. */
export class JobStore<T extends JobDocument> {
  /** For writes that are not the worker's: each must compare the version. */
  readonly collection: Collection<T>;
  readonly #options: EndOptions<T>;

  private constructor(collection: Collection<T>, options: EndOptions<T>) {
    this.collection = collection;
    this.#options = options;
  }

  /** Opens the collection, making what is missing. */
  static async open<T extends JobDocument>(
    documents: DocumentStore,
    options: JobStoreOptions<T>,
  ): Promise<JobStore<T>> {
    const collection = await documents.collection<T>({
      name: options.collection,
      feed: true,
      indexes: [
        { keys: { workspace: 1, createTime: 1 } },
        { keys: { state: 1, createTime: 1 } },
        { keys: { state: 1, priority: 1, createTime: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
        REQUEST_KEY,
        ...(options.indexes ?? []),
      ],
    });
    return new JobStore(collection, options);
  }

  /** The job that a call with the same request_id made, if any. @throws InvalidArgument */
  findReplayed(stamp: RequestStamp): Promise<Stored<T> | undefined> {
    return findReplayed(this.collection, stamp);
  }

  /** Stores a new job, QUEUED; a replay gives the first one. @throws AlreadyExists */
  async create(job: NewJob<T>): Promise<Stored<T>> {
    const { name, stamp, ...given } = job;
    const createTime = this.#now();
    const document: JobDocument = {
      priority: PRIORITY_DEFAULT,
      checkpoint: null,
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
    };
    // T is a JobDocument and what NewJob<T> says of it besides.
    const { stored } = await insertOnce<T>(this.collection, document as T);
    return stored;
  }

  /** @throws NotFound */
  get(name: string): Promise<Stored<T>> {
    return getDocument(this.collection, name);
  }

  /** One page of jobs. @throws InvalidArgument */
  list(query: JobPageQuery<T>): Promise<Page<T>> {
    return listPage(this.collection, {
      matches: () => true,
      order: { field: "createTime", kind: "date", descending: true },
      ...query,
    });
  }

  /** The jobs that match. */
  find(filter: Filter, signal: AbortSignal): AsyncIterable<Stored<T>> {
    return this.collection.find(filter, { signal });
  }

  /**
   * Asks for the end of a job: at once where nobody works on it, else its worker sees to it. A job
   * that has ended stays as it is.
   * @throws NotFound
   */
  cancel(name: string): Promise<Stored<T>> {
    return updateDocument<T>(this.collection, { name }, (job) => {
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
        `${name} has not ended yet. Cancel it, or wait for its end, then delete it.`,
        {
          reason: ErrorReason.STATE_FORBIDS,
          metadata: { resource: name },
          violations: [{ type: "STATE", subject: name, description: "has not ended yet" }],
        },
      );
    }
    if (!(await this.collection.deleteOne(name))) {
      throw notFound(name);
    }
  }

  /**
   * Names of jobs that nobody works on: abandoned ones first, then by priority, then the longest
   * waiting. At most `limit` of those abandoned and as many of those never taken.
   */
  async waiting(limit: number, signal: AbortSignal): Promise<readonly string[]> {
    const names: string[] = [];
    const abandoned = { state: "RUNNING", "lease.until": { $lte: this.#now() } };
    const options = { limit, signal };
    const byTime = { createTime: 1 } as const;
    for await (const { _id } of this.collection.find(abandoned, { sort: byTime, ...options })) {
      names.push(_id);
    }
    return [...names, ...(await this.queued({}, options)).map(({ _id }) => _id)];
  }

  /** Jobs that wait to be taken and match: by priority, then the longest waiting. */
  async queued(
    where: Filter,
    options: { readonly limit: number; readonly signal: AbortSignal },
  ): Promise<readonly Stored<T>[]> {
    const queued: Stored<T>[] = [];
    const [priority, createTime] = [1, 1] as const;
    // Those without a priority would be sorted before all others.
    const filters = [
      [
        { ...where, state: "QUEUED", priority: { $exists: true } },
        { priority, createTime },
      ],
      [{ ...where, state: "QUEUED", priority: null }, { createTime }],
    ] as const;
    for (const [filter, sort] of filters) {
      for await (const job of this.collection.find(filter, { sort, ...options })) {
        queued.push(job);
      }
    }
    const byTurn = (a: T, b: T) =>
      priorityOf(a) - priorityOf(b) || a.createTime.getTime() - b.createTime.getTime();
    return queued.sort(byTurn).slice(0, options.limit);
  }

  /**
   * Takes a job that nobody works on. Undefined when another was faster, it has ended, or it ends
   * now: cancelled while its worker was gone, or given up because its workers keep dying.
   */
  async take(name: string, claim: Claim): Promise<Stored<T> | undefined> {
    const stored = await this.collection.findOne({ _id: name });
    if (stored === undefined || !this.#isFree(stored)) {
      return undefined;
    }
    const job = withoutStamps<T>(stored);
    const abandoned = job.state === "RUNNING" ? job.abandoned + 1 : job.abandoned;
    const next =
      this.#endOfAbandoned({ ...job, abandoned }) ??
      this.#leased({ ...job, abandoned, state: "RUNNING", attempt: job.attempt + 1 }, claim);
    const now = this.#now();
    try {
      const taken = await this.collection.replaceOne(
        { ...next, startTime: job.startTime ?? now, updateTime: now },
        { ifVersion: stored.version },
      );
      return isEnded(taken) ? undefined : taken;
    } catch (error) {
      if (isRace(error)) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Changes a job that a worker holds, and renews its lease.
   * @returns the job as stored, or undefined when it is no longer the worker's
   */
  async update(held: Stored<T>, claim: Claim, change: Partial<T>): Promise<Stored<T> | undefined> {
    const updateTime = Object.keys(change).length === 0 ? {} : { updateTime: this.#now() };
    return this.#write(held, claim.owner, (job) =>
      this.#leased({ ...job, ...change, ...updateTime }, claim),
    );
  }

  /** Ends a job that a worker holds. Undefined when it is no longer the worker's. */
  async end(
    held: Stored<T>,
    owner: string,
    change: Partial<T> & { readonly state: JobState },
  ): Promise<Stored<T> | undefined> {
    const { state } = change;
    return this.#write(held, owner, (job) => this.#ended({ ...job, ...change }, { state }));
  }

  /** Gives a job back for others to go on with. */
  async release(held: Stored<T>, owner: string): Promise<void> {
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
    return this.collection.revision();
  }

  /** As Collection.changes. */
  changes(after: number, signal: AbortSignal): AsyncIterable<Change<T>> {
    return this.collection.changes(after, signal);
  }

  async #write(
    held: Stored<T>,
    owner: string,
    change: (job: T) => T,
  ): Promise<Stored<T> | undefined> {
    for (let current = held; ; ) {
      if (current.lease?.owner !== owner) {
        return undefined;
      }
      try {
        const next = change(withoutStamps<T>(current));
        return await this.collection.replaceOne(next, { ifVersion: current.version });
      } catch (error) {
        if (!isRace(error)) {
          throw error;
        }
      }
      const found = await this.collection.findOne({ _id: held._id });
      if (found === undefined) {
        return undefined;
      }
      current = found;
    }
  }

  #isFree(job: JobDocument): boolean {
    const isExpired = (job.lease?.until.getTime() ?? 0) <= this.#options.clock.now();
    return job.state === "QUEUED" || (job.state === "RUNNING" && isExpired);
  }

  #leased(job: T, { owner, leaseMs }: Claim): T {
    return { ...job, lease: { owner, until: new Date(this.#options.clock.now() + leaseMs) } };
  }

  #ended(job: T, change: Partial<JobDocument> & { readonly state: JobState }): T {
    const now = this.#now();
    const { expireAfterMs, atEnd } = this.#options;
    const ended = { ...job, ...change, lease: null, endTime: now, updateTime: now };
    const ms = expireAfterMs(ended);
    const expireTime = ms === undefined ? null : new Date(now.getTime() + ms);
    return { ...ended, ...atEnd?.(ended), expireTime };
  }

  #endOfAbandoned(job: T): T | undefined {
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
    return new Date(this.#options.clock.now());
  }
}

/** The priority of a job, also of one that was stored before there were priorities. */
export function priorityOf(job: { readonly priority?: number | null }): number {
  return job.priority ?? PRIORITY_DEFAULT;
}

function isRace(error: unknown): boolean {
  return error instanceof Aborted || error instanceof NotFound;
}
