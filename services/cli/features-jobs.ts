// `plinth features jobs|job`: long work on the server; and what every command that starts some does
// next: follow it, or say how to.

import { create } from "@bufbuild/protobuf";
import { type Job, JobSchema } from "../../gen/plinth/features/v1/job_pb.js";
import { ListJobsResponseSchema } from "../../gen/plinth/features/v1/job_service_pb.js";
import { UsageError } from "./exit-codes.ts";
import { downloadTrainingSet } from "./features-download.ts";
import { jobLines, progressText, resultLines, stateText, workText } from "./features-job-report.ts";
import { jobReference, shortFeatureName } from "./features-names.ts";
import { ended, finished, hasEnded, wayBack } from "./features-watch.ts";
import { formatTime } from "./format.ts";
import { listAll, noteMore, type Session } from "./session.ts";

/** What every command that starts a job takes. */
export interface StartOptions {
  /** False: --no-wait. */
  readonly wait: boolean;
  readonly cancelOnInterrupt?: boolean;
}

interface JobOptions {
  readonly watch?: boolean;
  readonly cancel?: boolean;
  readonly delete?: boolean;
  readonly out?: string;
  readonly cancelOnInterrupt?: boolean;
}

/** `plinth features jobs` */
export async function listJobs(
  session: Session,
  _args: readonly [],
  options: { readonly limit: number },
): Promise<void> {
  const { output } = session;
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) => session.jobs.listJobs({ parent: session.parent, ...page }, session.call),
    items: (response) => response.jobs,
  });
  if (output.json) {
    const all = create(ListJobsResponseSchema, { jobs: [...items] });
    return output.message(ListJobsResponseSchema, all);
  }
  output.table(
    ["JOB", "WORK", "STATE", "PROGRESS", "CREATED", "BY"].map((title) => ({ title })),
    items.map((job) => [
      shortFeatureName(job.name),
      workText(job),
      stateText(job),
      progressText(job),
      formatTime(job.createTime),
      job.actor,
    ]),
    `No jobs in ${session.parent}.`,
  );
  noteMore(session, more);
}

/** `plinth features job` */
export async function oneJob(
  session: Session,
  [text]: readonly [string],
  options: JobOptions,
): Promise<void> {
  const { watch, cancel, delete: remove, out } = options;
  const name = jobReference(session, text);
  if ([watch, cancel, remove, out].filter((one) => one !== undefined).length > 1) {
    throw new UsageError("Give one of --watch, --cancel, --delete and --out.");
  }
  if (remove === true) {
    return removeJob(session, name);
  }
  const job =
    cancel === true
      ? await session.jobs.cancelJob({ name }, session.call)
      : await session.jobs.getJob({ name }, session.call);
  if (out !== undefined) {
    return downloadTrainingSet(session, job, out);
  }
  // A cancelled job may take a moment to let go.
  const shown =
    cancel === true && !hasEnded(job)
      ? await ended(session, job, {})
      : watch === true
        ? await finished(session, job, options)
        : job;
  return printJob(session, shown);
}

async function removeJob(session: Session, name: string): Promise<void> {
  await session.jobs.deleteJob({ name }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${shortFeatureName(name)} is deleted.`);
  }
}

async function printJob(session: Session, job: Job): Promise<void> {
  return session.output.json
    ? session.output.message(JobSchema, job)
    : session.output.lines(jobLines(job));
}

/**
 * Follows a job that was just started, and tells its result; under --no-wait only that it was.
 * Gives the job, or undefined under --no-wait.
 */
export async function follow(
  session: Session,
  started: Job,
  options: StartOptions,
): Promise<Job | undefined> {
  const { output } = session;
  if (!options.wait) {
    if (output.json) {
      await output.message(JobSchema, started);
    } else {
      output.line(`${shortFeatureName(started.name)} is ${stateText(started)}.`);
      output.note(wayBack(started.name));
    }
    return undefined;
  }
  return finished(session, started, options);
}

/** As `follow`, and prints the result. */
export async function carryOut(
  session: Session,
  started: Job,
  options: StartOptions,
): Promise<Job | undefined> {
  const job = await follow(session, started, options);
  if (job !== undefined && session.output.json) {
    await session.output.message(JobSchema, job);
  } else if (job !== undefined) {
    session.output.lines(resultLines(job));
  }
  return job;
}
