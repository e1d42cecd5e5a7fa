// A training set: the rows of an entity table with the features that an online read at their time
// would have given. The engine joins; here the history of every view is taken as one snapshot, and
// the file becomes a blob that the job refers to. A run after a restart starts over.

import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { TrainingSetSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import { TableFormat as Format } from "../../../gen/plinth/features/v1/table_pb.js";
import { featureViewVersionName, tableName } from "../../common/names.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import { planFeatureService } from "../definitions/resolve.ts";
import type { EngineTasks, TableFormat } from "../offline/engine-tasks.ts";
import type { Snapshot } from "../offline/history.ts";
import { historyOf } from "../offline/view-history.ts";
import { storedWork, workOf } from "./convert.ts";
import { tablePath } from "./ingest-table.ts";
import type { RunJob, RunningJob } from "./job.ts";
import { type JobDeps, withScratch, withSnapshots } from "./job-deps.ts";

/** The column of the time where the caller names none. */
export const EVENT_COLUMN_DEFAULT = "event_timestamp";

/** Fixed when the job is made: a table may be gone from the store before its job is done. */
export interface TrainingSetStart {
  readonly format: TableFormat;
}

type Joined = EngineTasks["join-training-set"]["output"];

/** Makes training sets. */
export function makeTrainingSet(deps: JobDeps): RunJob {
  return (job) =>
    withScratch(deps, async (folder) => {
      const work = workOf(TrainingSetSchema, job);
      const plan = planFeatureService(await deps.definitions.fresh(job.workspace), {
        workspace: job.workspace,
        name: work.featureService,
      });
      const out = {
        path: join(folder, "training-set"),
        format: work.format === Format.CSV ? ("csv" as const) : ("parquet" as const),
      };
      const table = {
        path: await tablePath(deps, work.table),
        format: (job.checkpoint as unknown as TrainingSetStart).format,
      };
      const uids = [...new Set(plan.views.map(({ source }) => source.uid))];
      job.progress({ phase: "reading history", done: 0, total: uids.length, unit: "views" });
      const made = await withSnapshots(deps, job, {
        histories: uids.map((uid) => historyOf(job.workspace, viewWith(plan, uid))),
        use: async (snapshots) => {
          const input = {
            table,
            plan,
            eventTimestampColumn: work.eventTimestampColumn || EVENT_COLUMN_DEFAULT,
            ignoreCreatedTimestamp: work.ignoreCreatedTimestamp,
            files: plan.views.map(({ source }) => {
              return (snapshots[uids.indexOf(source.uid)] as Snapshot).sources;
            }),
            out,
          };
          const joined = await deps.engine.run("join-training-set", input, {
            signal: job.signal,
            onProgress: (progress) => job.progress(progress),
          });
          return { joined, snapshots: new Map(uids.map((uid, i) => [uid, snapshots[i]])) };
        },
      });
      job.progress({ phase: "storing", done: 0, total: 0, unit: "" });
      const { table: digest } = tableName.parse(work.table, "table");
      const file = await storeResult(deps, job, { path: out.path, others: [digest] });
      const result = {
        ...resultOf(plan, made.joined),
        ...file,
        sizeBytes: BigInt(file.sizeBytes),
        sources: sourcesOf(plan, made.snapshots),
      };
      return storedWork(TrainingSetSchema, work, { result });
    });
}

function viewWith({ views }: ReadPlan, uid: string): ViewVersion {
  return (views.find(({ source }) => source.uid === uid) as ReadPlan["views"][number]).source;
}

/** Makes the file a blob that the job refers to from before it is there. */
async function storeResult(
  { blobs, offline }: JobDeps,
  job: RunningJob,
  file: { readonly path: string; readonly others: readonly string[] },
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash("sha256");
  const stageId = `job-${randomUUID()}`;
  let sizeBytes = 0;
  try {
    {
      await using writer = await blobs.stage(stageId);
      for await (const chunk of createReadStream(file.path, { highWaterMark: 1024 * 1024 })) {
        job.signal.throwIfAborted();
        hash.update(chunk as Buffer);
        sizeBytes += (chunk as Buffer).length;
        await writer.write(chunk as Buffer);
      }
    }
    const sha256 = hash.digest("hex");
    await job.checkpointAt(job.checkpoint, { digests: [...file.others, sha256] });
    await offline.claimBlob(sha256);
    await blobs.commit(stageId, { digest: sha256, sizeBytes });
    return { sha256, sizeBytes };
  } finally {
    await blobs.discard(stageId);
  }
}

function resultOf(plan: ReadPlan, joined: Joined) {
  return {
    rows: BigInt(joined.rows),
    columns: joined.columns.map((column) => ({
      ...column,
    })),
    features: plan.outputs.map(({ name }, index) => {
      const counts = joined.features[index];
      return {
        feature: name,
        present: BigInt(counts?.present ?? 0),
        nullValue: BigInt(counts?.nullValue ?? 0),
        notFound: BigInt(counts?.notFound ?? 0),
        outsideMaxAge: BigInt(counts?.outsideMaxAge ?? 0),
      };
    }),
  };
}

/** Every version of a view that is read, once, in the order of the plan. */
function sourcesOf(plan: ReadPlan, snapshots: ReadonlyMap<string, Snapshot | undefined>) {
  const sources = plan.views.map(({ source: { view, uid, version } }) => {
    const { snapshot, rows, sha256 } = snapshots.get(uid) as Snapshot;
    const names = { workspace: plan.workspace, view, version: String(version.number) };
    const featureView = featureViewVersionName.format(names);
    return { featureView, snapshot: BigInt(snapshot), rows: BigInt(rows), sha256 };
  });
  return [...new Map(sources.map((source) => [source.featureView, source])).values()];
}
