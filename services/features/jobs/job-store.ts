// The collection of this service's jobs, and which blobs they and their tables refer to.

import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { JobStore } from "../../common/jobs/job-store.ts";
import type { Job } from "./job.ts";
import type { TableStore } from "./table-store.ts";

/** Opens the jobs. One goes `ttlMs` after its end, but a training set that was made stays. */
export function openJobs(
  documents: DocumentStore,
  { clock, ttlMs }: { readonly clock: Clock; readonly ttlMs: number },
): Promise<JobStore<Job>> {
  return JobStore.open<Job>(documents, {
    collection: "feature_jobs",
    clock,
    expireAfterMs: ({ kind, state }) =>
      kind === "training_set" && state === "SUCCEEDED" ? undefined : ttlMs,
  });
}

/** Every blob that a table or a job refers to; some come more than once. */
export async function* referencedDigests({
  jobs,
  tables,
}: {
  readonly jobs: JobStore<Job>;
  readonly tables: TableStore;
}): AsyncGenerator<string> {
  // Tables first: a job is stored while its table still is, and takes the reference over.
  yield* tables.digests();
  for await (const { digests } of jobs.collection.find({})) {
    yield* digests;
  }
}
