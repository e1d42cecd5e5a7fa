// A job of this service as it is stored, and what a kind of job must be able to do. The runner of
// common/jobs runs them, through run-kinds.ts.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Value } from "../../common/documents/port.ts";
import type { JobDocument, JobProgress } from "../../common/jobs/job.ts";

/** What a job does, as the field of the proto's `work` is called. */
export type JobKind =
  | "training_set"
  | "materialization"
  | "ingestion"
  | "erasure"
  | "compaction"
  | "skew_check";

/** `_id` is the job's name. Those that were stored first lack a priority. */
export interface Job extends JobDocument {
  readonly kind: JobKind;
  /** The field of the proto's `work` oneof as protobuf JSON, the result in it. */
  readonly work: JsonObject;
  /** Blobs that the job refers to: its table, its training set. */
  readonly digests: readonly string[];
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
