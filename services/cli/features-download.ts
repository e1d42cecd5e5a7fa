// The file of a training set: streamed beside its final place, gone on with where a stream broke,
// checked against its SHA-256 and only then given its name.

import { createHash, randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job, TrainingSetResult } from "../../gen/plinth/features/v1/job_pb.js";
import { Unavailable } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { shortFeatureName } from "./features-names.ts";
import { bytesBar, formatBytes } from "./progress.ts";
import type { Session } from "./session.ts";

/** Streams that broke in a row without a new byte, before it is given up. */
const TRIES_MAX = 5;
const BACKOFF_MS = 500;

/** Writes the file of a training set, and says so. */
export async function downloadTrainingSet(session: Session, job: Job, path: string): Promise<void> {
  const { output } = session;
  const result = await saveTrainingSet(session, job, path);
  if (output.json) {
    const { sha256 } = result;
    output.value({ name: job.name, file: path, sizeBytes: Number(result.sizeBytes), sha256 });
  } else {
    const size = formatBytes(Number(result.sizeBytes));
    output.line(`${shortFeatureName(job.name)} is in ${path} (${size}, SHA-256 checked).`);
  }
}

/** @throws CommandError when the job has no training set, or when its file arrived damaged. */
export async function saveTrainingSet(
  session: Session,
  job: Job,
  path: string,
): Promise<TrainingSetResult> {
  const result = job.work.case === "trainingSet" ? job.work.value.result : undefined;
  if (result === undefined) {
    throw new CommandError(`${shortFeatureName(job.name)} has no training set.`, {
      exitCode: ExitCode.conflict,
      advice: [`See "plinth features job ${shortFeatureName(job.name)}".`],
    });
  }
  const partial = `${path}.${randomUUID().slice(0, 8)}.part`;
  try {
    const found = await receive(session, job.name, { total: Number(result.sizeBytes), partial });
    if (found !== result.sha256) {
      throw new CommandError(
        `The file arrived damaged: SHA-256 ${found}, expected ${result.sha256}.`,
        {
          exitCode: ExitCode.failed,
          advice: ["Try again; if it stays so, the stored file is damaged: see the server's log."],
        },
      );
    }
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
  return result;
}

/** Writes the stream to the file and gives the SHA-256 of what came. */
async function receive(
  session: Session,
  name: string,
  { total, partial }: { readonly total: number; readonly partial: string },
): Promise<string> {
  await using file = await open(partial, "wx");
  using bar = await bytesBar({
    show: session.output.showsProgress,
    title: "Downloading",
    total,
  });
  const hash = createHash("sha256");
  let offset = 0;
  for (let tries = 1; ; tries += 1) {
    const request = { name, offset: BigInt(offset) };
    try {
      for await (const { chunk } of session.jobs.downloadTrainingSet(request, session.call)) {
        hash.update(chunk);
        await file.write(chunk, 0, chunk.length, offset);
        offset += chunk.length;
        bar.update(offset);
        tries = 1;
      }
      break;
    } catch (error) {
      if (!(error instanceof Unavailable) || tries >= TRIES_MAX) {
        throw error;
      }
      await sleep(BACKOFF_MS * tries, undefined, { signal: session.signal }).catch(() =>
        session.signal.throwIfAborted(),
      );
    }
  }
  await file.sync();
  return hash.digest("hex");
}
