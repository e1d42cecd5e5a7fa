// Follows one job until it has ended. A reader that is slower than the changes is shown the job as
// it is by then, not each change in turn.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../documents/port.ts";
import { FailedPrecondition } from "../errors/domain-error.ts";
import { isEnded, type JobDocument } from "./job.ts";
import type { JobStore } from "./job-store.ts";

/**
 * The job now and after each change, until it has ended. Ends without error when the signal aborts.
 * @throws NotFound when there is none, or once it is deleted
 */
export async function* watchJob<T extends JobDocument>(
  jobs: JobStore<T>,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Stored<T>> {
  let seen: Stored<T> | undefined;
  while (!signal.aborted) {
    // Read before the job: what changes in between is seen twice, not never.
    const after = await jobs.revision();
    try {
      for await (const job of changesOf(jobs, { name, after, signal })) {
        if (seen === undefined || visible(job) !== visible(seen)) {
          yield job;
        }
        seen = job;
        if (isEnded(job)) {
          return;
        }
      }
    } catch (error) {
      // A reader so slow that the feed was trimmed begins again with the job as it is.
      const isTrimmed =
        error instanceof FailedPrecondition && error.reason === ErrorReason.RESUME_TOKEN_EXPIRED;
      if (!isTrimmed) {
        throw error;
      }
    }
  }
}

async function* changesOf<T extends JobDocument>(
  jobs: JobStore<T>,
  watch: { readonly name: string; readonly after: number; readonly signal: AbortSignal },
): AsyncGenerator<Stored<T>> {
  const { name, after, signal } = watch;
  let job = await jobs.get(name);
  yield job;
  for await (const change of jobs.changes(after, signal)) {
    const id = change.kind === "put" ? change.document._id : change.id;
    if (id === name && change.revision > job.revision) {
      job = await jobs.get(name);
      yield job;
    }
  }
}

/** What of a job its readers see; a renewed lease and a checkpoint are none of it. */
function visible(job: Stored<JobDocument>): string {
  const { version: _version, revision: _revision, updateTime: _updateTime, ...document } = job;
  const { lease: _lease, checkpoint: _checkpoint, abandoned: _abandoned, ...seen } = document;
  return JSON.stringify(seen, (_, value) => (value instanceof Uint8Array ? value.length : value));
}
