// Compares what was served online with what the history gives for the same keys at the same times:
// where the two differ, training and serving saw different data.

import { SkewCheckSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { columnOf, microsOf, timestampOf } from "../columns.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import { planFeatureService } from "../definitions/resolve.ts";
import type { EngineTasks } from "../offline/engine-tasks.ts";
import { readsHistory, type Snapshot } from "../offline/history.ts";
import { historyOf } from "../offline/view-history.ts";
import { storedWork, workOf } from "./convert.ts";
import type { RunJob } from "./job.ts";
import { type JobDeps, withSnapshots } from "./job-deps.ts";

type Difference = EngineTasks["compare-reads"]["output"]["differences"][number];

/** Runs skew checks. */
export function checkSkew(deps: JobDeps): RunJob {
  return async (job) => {
    const work = workOf(SkewCheckSchema, job);
    const plan = planFeatureService(await deps.definitions.fresh(job.workspace), {
      workspace: job.workspace,
      name: work.featureService,
    });
    const views = [...new Map(plan.views.map(({ source }) => [source.uid, source])).values()];
    const startUs = work.startTime === undefined ? undefined : microsOf(work.startTime);
    const endUs = work.endTime === undefined ? undefined : microsOf(work.endTime);
    job.progress({ phase: "reading history", done: 0, total: views.length + 1, unit: "views" });
    const found = await withSnapshots(deps, job, {
      // Reads first: what is served after that is not looked at, so its history need not be there.
      histories: [
        readsHistory(job.workspace, work.featureService),
        ...views.map((view) => historyOf(job.workspace, view)),
      ],
      use: async ([reads, ...snapshots]) => {
        const input = {
          reads: (reads as Snapshot).sources,
          plan,
          files: plan.views.map(({ source }) => {
            const index = views.findIndex(({ uid }) => uid === source.uid);
            return (snapshots[index] as Snapshot).sources;
          }),
          ...(startUs === undefined ? {} : { startUs }),
          ...(endUs === undefined ? {} : { endUs }),
        };
        return await deps.engine.run("compare-reads", input, {
          signal: job.signal,
          onProgress: (progress) => job.progress(progress),
        });
      },
    });
    const result = {
      rowsChecked: BigInt(found.rowsChecked),
      rowsDiffering: BigInt(found.rowsDiffering),
      differences: found.differences.map((difference) => toDifference(plan, difference)),
    };
    return storedWork(SkewCheckSchema, work, { result });
  };
}

function toDifference(plan: ReadPlan, difference: Difference) {
  const { entity, readUs, feature, onlineValue, offlineValue, onlineStatus } = difference;
  const keys = plan.requestColumns.slice(0, plan.keyColumns);
  return {
    entity: keys.map((field, index) => columnOf(field, [entity[index] ?? null])),
    readTime: timestampOf(readUs),
    feature,
    onlineValue,
    offlineValue,
    onlineStatus: FieldStatus[onlineStatus as keyof typeof FieldStatus] ?? FieldStatus.UNSPECIFIED,
  };
}
