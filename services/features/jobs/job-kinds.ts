// Which function does which kind of job.

import { checkSkew } from "./check-skew.ts";
import { compactView } from "./compact-view.ts";
import { eraseEntity } from "./erase-entity.ts";
import { ingestTable } from "./ingest-table.ts";
import type { JobKinds } from "./job.ts";
import type { JobDeps } from "./job-deps.ts";
import { materialize } from "./materialize.ts";
import { makeTrainingSet } from "./training-set.ts";

/** All kinds, over the stores of the service. */
export function jobKinds(deps: JobDeps): JobKinds {
  return {
    training_set: makeTrainingSet(deps),
    materialization: materialize(deps),
    ingestion: ingestTable(deps),
    erasure: eraseEntity(deps),
    compaction: compactView(deps),
    skew_check: checkSkew(deps),
  };
}
