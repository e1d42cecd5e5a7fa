// Finds the training sets that hold rows of some entities. They are somebody's work and are not
// changed; who asked for the erasure is told of them.

import { TrainingSetSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import { TableFormat as Format } from "../../../gen/plinth/features/v1/table_pb.js";
import { NotFound } from "../../common/errors/domain-error.ts";
import type { Definitions } from "../definitions/definitions.ts";
import { planFeatureService } from "../definitions/resolve.ts";
import { workOf } from "./convert.ts";
import type { ErasureRun } from "./erase-entity.ts";
import { type KeySet, keySetsOf } from "./erase-targets.ts";
import type { Job } from "./job.ts";

/** Names of the jobs, in order. */
export async function trainingSetsWith(run: ErasureRun): Promise<readonly string[]> {
  const { deps, job } = run;
  const filter = { workspace: job.workspace, kind: "training_set", state: "SUCCEEDED" } as const;
  const definitions = await deps.definitions.fresh(job.workspace);
  const names: string[] = [];
  let done = 0;
  for await (const trainingSet of deps.jobs.find(filter, job.signal)) {
    job.progress({ phase: "looking through training sets", done, total: 0, unit: "training sets" });
    done += 1;
    if (await holdsKeys(run, trainingSet, definitions)) {
      names.push(trainingSet._id);
    }
  }
  return names.sort();
}

async function holdsKeys(
  run: ErasureRun,
  trainingSet: Job,
  definitions: Definitions,
): Promise<boolean> {
  const { result, featureService, format } = workOf(TrainingSetSchema, trainingSet);
  if (result === undefined) {
    return false;
  }
  const columns = new Set(result.columns.map(({ name }) => name));
  const table = {
    path: await pathOf(run, result.sha256),
    format: format === Format.CSV ? ("csv" as const) : ("parquet" as const),
  };
  for (const keySet of namedKeys(run, featureService, definitions)) {
    if (table.path !== undefined && keySet.keyFields.every(({ name }) => columns.has(name))) {
      const input = { table: { ...table, path: table.path }, ...keySet };
      const { rows } = await run.deps.engine.run("count-keys", input, { signal: run.job.signal });
      if (rows > 0) {
        return true;
      }
    }
  }
  return false;
}

/** Undefined where it was deleted meanwhile. */
async function pathOf(run: ErasureRun, digest: string): Promise<string | undefined> {
  try {
    return await run.deps.blobs.localPath(digest);
  } catch (error) {
    if (error instanceof NotFound) {
      return undefined;
    }
    throw error;
  }
}

/** The keys under their own names and under those that the feature service reads them by. */
function namedKeys(
  { keySet, job }: ErasureRun,
  featureService: string,
  definitions: Definitions,
): readonly KeySet[] {
  try {
    const ref = { workspace: job.workspace, name: featureService };
    return [keySet, ...keySetsOf(planFeatureService(definitions, ref), keySet)];
  } catch (error) {
    if (error instanceof NotFound) {
      return [keySet];
    }
    throw error;
  }
}
