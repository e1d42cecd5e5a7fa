// For tests of this service's jobs.

import { randomUUID } from "node:crypto";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import type { NewJob } from "../../common/jobs/job-store.ts";
import type { Job } from "./job.ts";

/** A new job of the workspace `w`. */
export function newJob(given: Partial<NewJob<Job>> = {}): NewJob<Job> {
  const uid = randomUUID();
  const bytes = Buffer.from(JSON.stringify(given));
  return {
    name: `workspaces/w/jobs/${uid}`,
    uid,
    workspace: "w",
    kind: "compaction",
    work: { featureView: "workspaces/w/featureViews/v" },
    actor: "anonymous",
    digests: [],
    stamp: requestStamp({ method: "m", parent: "workspaces/w", requestId: "", bytes }),
    ...given,
  };
}
