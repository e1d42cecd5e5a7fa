// Follows a job to its end. The job lives on the server: leaving the watch does not stop it, and
// the command says so, and how to come back; a watch that breaks is opened again.

import { setTimeout as sleep } from "node:timers/promises";
import { BadRows } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, JobSchema, Job_State as State } from "../../gen/plinth/features/v1/job_pb.js";
import {
  DeadlineExceeded,
  DomainError,
  FailedPrecondition,
  InvalidArgument,
} from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, exitCodeOf, Interrupted } from "./exit-codes.ts";
import { refusalLines } from "./features-job-report.ts";
import { shortFeatureName } from "./features-names.ts";
import { jobBar } from "./job-bar.ts";
import { errorOfStatus } from "./predict-refused.ts";
import { counted, formatCount } from "./progress.ts";
import type { Session } from "./session.ts";

/** How a job is followed. */
export interface WatchOptions {
  /** Ctrl-C cancels the job; otherwise it goes on. */
  readonly cancelOnInterrupt?: boolean;
}

/** Watches opened again in a row without news, before the command gives up: about a minute. */
const TRIES_MAX = 12;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 8000;

/** Cancelling after Ctrl-C waits this long at most. */
const CANCEL_MS = 10_000;

/**
 * Waits until the job is done.
 * @throws CommandError with the job's own error when it FAILED or was CANCELLED; Interrupted with
 *   the way back at Ctrl-C.
 */
export async function finished(
  session: Session,
  started: Job,
  options: WatchOptions,
): Promise<Job> {
  const job = await ended(session, started, options);
  if (job.state === State.SUCCEEDED) {
    return job;
  }
  if (session.output.json) {
    await session.output.message(JobSchema, job);
  }
  throw failureOf(job);
}

/** The job once it has ended, however. */
export async function ended(session: Session, started: Job, options: WatchOptions): Promise<Job> {
  const { output } = session;
  let job = started;
  const show = output.showsProgress;
  using bar = await jobBar({ show, title: shortFeatureName(job.name) });
  try {
    for (let tries = 1; !hasEnded(job); tries += 1) {
      try {
        for await (const { job: now } of session.jobs.watchJob({ name: job.name }, session.call)) {
          tries = 1;
          job = now ?? job;
          if (job.progress !== undefined) {
            const { phase, done, total, unit } = job.progress;
            bar.update({ phase, done: Number(done), total: Number(total), unit });
          }
        }
      } catch (error) {
        if (!isBroken(error) || tries >= TRIES_MAX) {
          throw error;
        }
      }
      if (!hasEnded(job)) {
        const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (tries - 1));
        await sleep(ms, undefined, { signal: session.signal }).catch(() =>
          session.signal.throwIfAborted(),
        );
      }
    }
  } catch (error) {
    bar[Symbol.dispose]();
    throw await left(session, job, error, options);
  }
  return job;
}

/** Whether nothing more happens to the job. */
export function hasEnded(job: Job): boolean {
  return [State.SUCCEEDED, State.FAILED, State.CANCELLED].includes(job.state);
}

/** How to come back to a job that goes on. */
export function wayBack(name: string): string {
  const job = shortFeatureName(name);
  return (
    `Watch it with "plinth features job ${job} --watch", ` +
    `stop it with "plinth features job ${job} --cancel".`
  );
}

/** The error that a job ended in, with the exit code of its kind. */
export function failureOf(job: Job): CommandError {
  const name = shortFeatureName(job.name);
  if (job.state === State.CANCELLED) {
    return new CommandError(`${name} was cancelled.`, { exitCode: ExitCode.failed });
  }
  if (job.error === undefined) {
    return new CommandError(`${name} is ${State[job.state]}.`, { exitCode: ExitCode.failed });
  }
  const refused = refusedRows(job);
  if (refused !== undefined) {
    return refused;
  }
  const error = errorOfStatus(job.error);
  return new CommandError(`${name} FAILED: ${error.message}`, {
    exitCode: exitCodeOf(error.kind),
    advice: violationLines(error),
  });
}

/** An ingestion that bad rows ended, told by the rows of the file and the options of the command. */
function refusedRows(job: Job): CommandError | undefined {
  const { badRows, result } = job.work.case === "ingestion" ? job.work.value : {};
  if (result === undefined || result.rowsRefused === 0n || badRows === BadRows.SKIP) {
    return undefined;
  }
  const { rowsRead, rowsRefused } = result;
  const refused = `${formatCount(Number(rowsRefused))} of ${counted(Number(rowsRead), "row")}`;
  const name = shortFeatureName(job.name);
  return new CommandError(`${name} FAILED: ${refused} cannot be stored, and nothing was.`, {
    exitCode: ExitCode.invalidInput,
    advice: [
      ...refusalLines(result).map((line) => `- ${line}`),
      "Correct the rows and ingest again, or leave bad ones out: --bad-rows skip.",
    ],
  });
}

function violationLines(error: DomainError): readonly string[] {
  const found =
    error instanceof InvalidArgument
      ? error.violations.map(({ field, description }) => ({ place: placeOf(field), description }))
      : error instanceof FailedPrecondition
        ? error.violations.map(({ subject, description }) => ({ place: subject, description }))
        : [];
  return found
    .filter(({ description }) => !error.message.includes(description))
    .map(({ place, description }) => `- ${place === "" ? "" : `${place}: `}${description}`);
}

/** "rows[0].delay" of a file is its row 1, as a person counts. */
function placeOf(field: string): string {
  const parts = /^rows\[(\d+)\](?:\.(.+))?$/.exec(field);
  const column = parts?.[2] === undefined ? "" : `, ${parts[2]}`;
  return parts === null ? field : `row ${Number(parts[1]) + 1}${column}`;
}

function isBroken(error: unknown): boolean {
  return error instanceof DomainError && error.kind === "Unavailable";
}

/** What is thrown when the watch ends before the job does. */
async function left(
  session: Session,
  job: Job,
  error: unknown,
  options: WatchOptions,
): Promise<unknown> {
  const name = shortFeatureName(job.name);
  if (error instanceof Interrupted) {
    if (options.cancelOnInterrupt === true) {
      await session.jobs.cancelJob({ name: job.name }, { timeoutMs: CANCEL_MS });
      return new Interrupted(error.signal, `Stopped; ${name} is cancelled.`);
    }
    return new Interrupted(error.signal, `${name} goes on by itself.\n${wayBack(job.name)}`);
  }
  if (error instanceof DeadlineExceeded || isBroken(error)) {
    const why =
      error instanceof DeadlineExceeded ? "has not ended yet" : "cannot be watched any more";
    return new CommandError(`${name} ${why}; it goes on by itself.`, {
      exitCode: ExitCode.unavailable,
      advice: [wayBack(job.name)],
    });
  }
  return error;
}
