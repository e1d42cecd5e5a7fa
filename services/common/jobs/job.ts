// Long work as it is stored, and what whoever does it must be able to do. job-runner.ts does it: it
// takes queued jobs under a lease, keeps the lease while the work goes on, and hands a job whose
// worker fell silent to another. A service adds the fields of its own kind of work.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Document, Stored, Value } from "../documents/port.ts";

/** Where a job is. */
export type JobState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

/** `_id` is the job's name. */
export interface JobDocument extends Document {
  readonly uid: string;
  readonly workspace: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly state: JobState;
  /** 0 to 9; lower is taken first, then the longest waiting. */
  readonly priority: number;
  readonly progress: JobProgress | null;
  /** google.rpc.Status as protobuf JSON. */
  readonly error: JsonObject | null;
  readonly startTime: Date | null;
  readonly endTime: Date | null;
  /** When it goes; null: it has not ended, or it stays. */
  readonly expireTime: Date | null;
  readonly attempt: number;
  /** How often in a row its worker fell silent; a job that kills its workers is given up. */
  readonly abandoned: number;
  readonly actor: string;
  readonly cancelRequested: boolean;
  /** Where the work goes on after a restart; what it means is the kind's own. */
  readonly checkpoint: Value;
  readonly lease: { readonly owner: string; readonly until: Date } | null;
  readonly requestKey?: string;
  readonly requestDigest: string;
}

/** How far a job is, for who watches; `total` 0: not known. */
export interface JobProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
}

/** A job under way, as whoever does it sees it. */
export interface RunningJob<T extends JobDocument> {
  /** As it was stored last. */
  readonly job: Stored<T>;
  /** Aborts when the job is cancelled, the lease is lost or the server stops. */
  readonly signal: AbortSignal;
  /** Shown to who watches; written at most twice a second. */
  progress(progress: JobProgress): void;
  /**
   * Writes a part of the result, durable when it resolves: a later attempt goes on from here.
   * @throws Cancelled when the job is no longer this worker's.
   */
  checkpoint(change: Partial<T>): Promise<void>;
}

/** Instead of a result: the job goes back into the queue, so that another has its turn. */
export const HAND_BACK: unique symbol = Symbol("hand back");

/**
 * Does the work and returns what to write with its success. May be run again from the last
 * checkpoint at any moment, also while an earlier worker that lost its lease is still at it, so
 * every step is either harmless to repeat or guarded by a version.
 * @throws DomainError: the job is FAILED with it. Unavailable is tried again, at most 5 times.
 */
export type RunJob<T extends JobDocument> = (
  job: RunningJob<T>,
) => Promise<Partial<T> | typeof HAND_BACK>;

/** Whether nothing more happens to a job. */
export function isEnded(job: { readonly state: JobState }): boolean {
  return job.state === "SUCCEEDED" || job.state === "FAILED" || job.state === "CANCELLED";
}
