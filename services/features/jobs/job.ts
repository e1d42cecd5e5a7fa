// A job as it is stored, and what a kind of job must be able to do. job-runner.ts runs them: it
// takes queued jobs under a lease, keeps the lease while the work goes on, and hands a job whose
// worker fell silent to another.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Document, Value } from "../../common/documents/port.ts";

/** What a job does, as the field of the proto's `work` is called. */
export type JobKind =
  | "training_set"
  | "materialization"
  | "ingestion"
  | "erasure"
  | "compaction"
  | "skew_check";

/** As the proto's Job.State, without the prefix. */
export type JobState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

/** `_id` is the job's name. */
export interface Job extends Document {
  readonly uid: string;
  readonly workspace: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly state: JobState;
  readonly kind: JobKind;
  /** The field of the proto's `work` oneof as protobuf JSON, the result in it. */
  readonly work: JsonObject;
  readonly progress: JobProgress | null;
  /** google.rpc.Status as protobuf JSON. */
  readonly error: JsonObject | null;
  readonly startTime: Date | null;
  readonly endTime: Date | null;
  /** When it goes; null: it has not ended, or it made a training set. */
  readonly expireTime: Date | null;
  readonly attempt: number;
  /** How often in a row its worker fell silent; a job that kills its workers is given up. */
  readonly abandoned: number;
  readonly actor: string;
  readonly cancelRequested: boolean;
  /** Where the work goes on after a restart; what it means is the kind's own. */
  readonly checkpoint: Value;
  /** Blobs that the job refers to: its table, its training set. */
  readonly digests: readonly string[];
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

/** A job under way, as its kind sees it. */
export interface RunningJob {
  readonly name: string;
  readonly uid: string;
  readonly workspace: string;
  readonly attempt: number;
  readonly work: JsonObject;
  readonly checkpoint: Value;
  /** Aborts when the job is cancelled, the lease is lost or the server stops. */
  readonly signal: AbortSignal;
  /** Shown to who watches; written at most twice a second. */
  progress(progress: JobProgress): void;
  /**
   * Durable when it resolves: from here a later attempt goes on. `work` replaces the job's (a
   * result so far); `digests` replaces what it refers to.
   * @throws Cancelled when the job is no longer this worker's.
   */
  checkpointAt(
    checkpoint: Value,
    change?: { readonly work?: JsonObject; readonly digests?: readonly string[] },
  ): Promise<void>;
}

/**
 * Does the work and returns `work` with its result. May be run again from the last checkpoint at
 * any moment, also while an earlier worker that lost its lease is still at it, so every step is
 * either harmless to repeat or guarded by a version.
 * @throws DomainError: the job is FAILED with it. Unavailable is tried again, at most 5 times.
 */
export type RunJob = (job: RunningJob) => Promise<JsonObject>;

/** What does the work of each kind. */
export type JobKinds = Readonly<Record<JobKind, RunJob>>;

/** Whether nothing more happens to a job. */
export function isEnded(job: { readonly state: JobState }): boolean {
  return job.state === "SUCCEEDED" || job.state === "FAILED" || job.state === "CANCELLED";
}
