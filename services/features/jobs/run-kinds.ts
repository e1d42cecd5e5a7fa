// Between the runner of all jobs and the kinds of this service: shows a kind what it needs of its
// job, and keeps what an ended job refers to for as long as somebody may want it.

import type { Stored } from "../../common/documents/port.ts";
import type {
  RunningJob as HeldJob,
  JobState,
  RunJob as RunHeldJob,
} from "../../common/jobs/job.ts";
import type { Job, JobKinds, RunningJob } from "./job.ts";
import type { TableStore } from "./table-store.ts";

/** Runs each job as its kind. */
export function runKinds(kinds: JobKinds): RunHeldJob<Job> {
  return async (held) => ({ work: await kinds[held.job.kind](runningJob(held)) });
}

/**
 * What to write with a job's end: of its blobs the result alone stays. The table stays by itself
 * for another run that may be asked for soon, then it goes.
 */
export function keepTable(
  tables: TableStore,
  ttlMs: number,
): (job: Stored<Job>, state: JobState) => Promise<Partial<Job>> {
  return async ({ work: { table }, digests }, state) => {
    if (typeof table === "string") {
      await tables.keep(table, ttlMs);
    }
    const isResult = (digest: string) => !String(table).endsWith(`/${digest}`);
    return { digests: state === "SUCCEEDED" ? digests.filter(isResult) : [] };
  };
}

function runningJob(held: HeldJob<Job>): RunningJob {
  return {
    name: held.job._id,
    uid: held.job.uid,
    workspace: held.job.workspace,
    get attempt() {
      return held.job.attempt;
    },
    get work() {
      return held.job.work;
    },
    get checkpoint() {
      return held.job.checkpoint;
    },
    signal: held.signal,
    progress: (progress) => held.progress(progress),
    checkpointAt: (checkpoint, change = {}) => held.checkpoint({ checkpoint, ...change }),
  };
}
