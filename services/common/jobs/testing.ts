// For tests of jobs: a job type of their own, and runners that do the test's own work.

import { randomUUID } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { type Clock, systemClock } from "../clock.ts";
import type { DocumentStore, Stored } from "../documents/port.ts";
import { requestStamp } from "../documents/request-stamp.ts";
import { isEnded, type JobDocument, type RunJob } from "./job.ts";
import { JobRunner, type JobRunnerOptions } from "./job-runner.ts";
import { JobStore, type NewJob } from "./job-store.ts";
import { watchJob } from "./watch-job.ts";

/** How long ended jobs of tests stay. */
export const TTL_MS = 60_000;

/** A job whose result stands in its `work`; one that is to stay stays. */
export interface TestJob extends JobDocument {
  readonly work: JsonObject;
  readonly stays: boolean;
  /** Written with the end, whatever it is. */
  readonly lastWords: string;
}

/** The jobs of a test. */
export function openTestJobs(
  documents: DocumentStore,
  clock: Clock = systemClock,
): Promise<JobStore<TestJob>> {
  return JobStore.open<TestJob>(documents, {
    collection: "test_jobs",
    clock,
    expireAfterMs: ({ stays, state }) => (stays && state === "SUCCEEDED" ? undefined : TTL_MS),
    atEnd: ({ state }) => ({ lastWords: state }),
  });
}

/** A new job of the workspace `w`. */
export function newJob(
  given: Partial<NewJob<TestJob>> & { readonly requestId?: string } = {},
): NewJob<TestJob> {
  const { requestId = "", ...job } = given;
  const uid = randomUUID();
  const bytes = Buffer.from(JSON.stringify(job));
  return {
    name: `workspaces/w/jobs/${uid}`,
    uid,
    workspace: "w",
    work: {},
    stays: false,
    lastWords: "",
    actor: "anonymous",
    stamp: requestStamp({ method: "m", parent: "workspaces/w", requestId, bytes }),
    ...job,
  };
}

/** A runner that ends with the test; failures of its background work go to `failures`. */
export function useRunner<T extends JobDocument>(
  jobs: JobStore<T>,
  run: RunJob<T>,
  options: Partial<JobRunnerOptions<T>> & { readonly failures?: unknown[] } = {},
): JobRunner<T> {
  const { failures, ...given } = options;
  const runner = new JobRunner<T>({
    jobs,
    run,
    jobsMax: 2,
    leaseMs: 2_000,
    pollMs: 2_000,
    clock: systemClock,
    events: {
      jobEnded() {},
      backgroundFailed: (_work, _subject, error) => failures?.push(error),
    },
    backoffFirstMs: 5,
    ...given,
  });
  onTestFinished(async () => {
    await runner[Symbol.asyncDispose]();
  });
  runner.start();
  return runner;
}

/** The job once it has ended. */
export async function ended<T extends JobDocument>(
  jobs: JobStore<T>,
  name: string,
): Promise<Stored<T>> {
  return await until(jobs, name, isEnded);
}

/** The job once it is as wanted. */
export async function until<T extends JobDocument>(
  jobs: JobStore<T>,
  name: string,
  isWanted: (job: Stored<T>) => boolean,
): Promise<Stored<T>> {
  for await (const job of watchJob(jobs, name, AbortSignal.timeout(20_000))) {
    if (isWanted(job)) {
      return job;
    }
  }
  throw new Error(`${name} did not come to be as wanted`);
}
