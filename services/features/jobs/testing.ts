// For tests of jobs: a store and runners whose kinds are the test's own functions.

import { randomUUID } from "node:crypto";
import { onTestFinished } from "vitest";
import { type Clock, systemClock } from "../../common/clock.ts";
import { parseSettings } from "../../common/config.ts";
import type { Stored } from "../../common/documents/port.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { type FeaturesConfig, featuresSettings } from "../config.ts";
import { createEvents } from "../events.ts";
import { isEnded, type Job, type JobKinds, type RunJob } from "./job.ts";
import { JobRunner } from "./job-runner.ts";
import type { JobStore, NewJob } from "./job-store.ts";
import { watchJob } from "./watch-job.ts";

/** A new job of the workspace `w`. */
export function newJob(given: Partial<NewJob> & { readonly requestId?: string } = {}): NewJob {
  const { requestId = "", ...job } = given;
  const uid = randomUUID();
  const bytes = Buffer.from(JSON.stringify(job));
  return {
    name: `workspaces/w/jobs/${uid}`,
    uid,
    workspace: "w",
    kind: "compaction",
    work: { featureView: "workspaces/w/featureViews/v" },
    actor: "anonymous",
    digests: [],
    checkpoint: null,
    stamp: requestStamp({ method: "m", parent: "workspaces/w", requestId, bytes }),
    ...job,
  };
}

/** Kinds that all do the same. */
function kindsOf(run: RunJob): JobKinds {
  return {
    training_set: run,
    materialization: run,
    ingestion: run,
    erasure: run,
    compaction: run,
    skew_check: run,
  };
}

/** A runner that ends with the test; failures of its background work go to `failures`. */
export function useRunner(
  jobs: JobStore,
  run: RunJob,
  options: {
    readonly clock?: Clock;
    readonly config?: Partial<FeaturesConfig>;
    readonly failures?: unknown[];
  } = {},
): JobRunner {
  const events = createEvents(createLogger({ service: "features", level: "off" }));
  const runner = new JobRunner({
    config: { ...parseSettings({}, featuresSettings), jobLeaseMs: 2_000, ...options.config },
    jobs,
    kinds: kindsOf(run),
    clock: options.clock ?? systemClock,
    events: {
      ...events,
      backgroundFailed: (_work, _subject, error) => options.failures?.push(error),
    },
    backoffFirstMs: 5,
  });
  onTestFinished(async () => {
    await runner[Symbol.asyncDispose]();
  });
  runner.start();
  return runner;
}

/** The job once it has ended. */
export async function ended(jobs: JobStore, name: string): Promise<Stored<Job>> {
  return await until(jobs, name, isEnded);
}

/** The job once it is as wanted. */
export async function until(
  jobs: JobStore,
  name: string,
  isWanted: (job: Stored<Job>) => boolean,
): Promise<Stored<Job>> {
  for await (const job of watchJob(jobs, name, AbortSignal.timeout(20_000))) {
    if (isWanted(job)) {
      return job;
    }
  }
  throw new Error(`${name} did not come to be as wanted`);
}
