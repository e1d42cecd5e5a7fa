// Tidies the offline files of a view. Each day is done when it is done, so a run after a restart
// goes on with the days that are left; the counts are those of the whole, from the first attempt
// on.

import { CompactionSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import { compactHistory } from "../offline/compact.ts";
import { historyOf, shapeOf } from "../offline/view-history.ts";
import { storedWork, workOf } from "./convert.ts";
import type { RunJob } from "./job.ts";
import { currentView, type JobDeps, withViewLease } from "./job-deps.ts";

/** What the history had before the first attempt. */
interface Before {
  readonly files: number;
  readonly rows: number;
}

/** Runs compactions. */
export function compactView(deps: JobDeps): RunJob {
  return async (job) => {
    const work = workOf(CompactionSchema, job);
    const view = await currentView(deps, job, work.featureView);
    const history = historyOf(job.workspace, view);
    return await withViewLease(deps, job, {
      history,
      work: async (signal) => {
        let before = job.checkpoint as unknown as Before | null;
        if (before === null) {
          const { files, rows } = await deps.offline.read(history);
          before = { files: files.length, rows };
          await job.checkpointAt({ ...before });
        }
        const done = await compactHistory(deps.offline, history, shapeOf(view), {
          signal,
          onProgress: (progress) => job.progress(progress),
        });
        const result = {
          filesBefore: before.files,
          filesAfter: done.filesAfter,
          rowsBefore: BigInt(before.rows),
          rowsAfter: BigInt(done.rowsAfter),
        };
        return storedWork(CompactionSchema, work, { result });
      },
    });
  };
}
