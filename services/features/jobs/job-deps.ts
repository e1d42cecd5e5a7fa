// What every kind of job works with, and the few things that several kinds do.

import { access, mkdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Aborted } from "../../common/errors/domain-error.ts";
import { featureViewName } from "../../common/names.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { viewOf } from "../definitions/resolve.ts";
import type { FeaturesDeps } from "../deps.ts";
import type { SourceFile } from "../offline/engine-tasks.ts";
import type { History, Snapshot } from "../offline/history.ts";
import type { RunningJob } from "./job.ts";

/** The service without the registry, which no job asks. */
export type JobDeps = Omit<FeaturesDeps, "registry">;

/** Erasures that come one after the other while a job reads; past it something is wrong. */
export const READ_TRIES = 5;
const LEASE_POLL_MS = 250;

/** Runs `work` with a folder of its own, which goes afterwards. */
export async function withScratch<T>(
  deps: JobDeps,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = deps.offline.newScratchDir();
  await mkdir(folder, { recursive: true });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The newest version of the view a job names. @throws NotFound */
export async function currentView(
  deps: JobDeps,
  job: RunningJob,
  name: string,
): Promise<ViewVersion> {
  const { view } = featureViewName.parse(name, "feature_view");
  const definitions = await deps.definitions.fresh(job.workspace);
  return viewOf(definitions, { workspace: job.workspace, view });
}

/**
 * Reads histories and does something with their files. Files that vanish meanwhile were erased:
 * what came of them must not be used, so it is done again with what is there then.
 * @throws Aborted when that happens again and again
 */
export async function withSnapshots<T>(
  deps: JobDeps,
  job: RunningJob,
  parts: {
    readonly histories: readonly History[];
    readonly use: (snapshots: readonly Snapshot[]) => Promise<T>;
  },
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const snapshots: Snapshot[] = [];
    let failure: unknown;
    let result: { readonly value: T } | undefined;
    try {
      for (const history of parts.histories) {
        job.signal.throwIfAborted();
        snapshots.push(await deps.offline.read(history));
      }
      result = { value: await parts.use(snapshots) };
    } catch (error) {
      failure = error;
    }
    if (job.signal.aborted || (await areThere(snapshots.flatMap(({ sources }) => sources)))) {
      if (result === undefined) {
        throw failure;
      }
      return result.value;
    }
    if (tries === READ_TRIES) {
      throw new Aborted(
        "The history was erased from again and again while the job read it. Start it again when " +
          "the erasures are done.",
        { reason: ErrorReason.RESOURCE_IN_USE, cause: failure },
      );
    }
    job.progress({ phase: "starting over, as rows were erased", done: 0, total: 0, unit: "" });
  }
}

/**
 * Keeps others from materialising, compacting and erasing a view while `work` does one of these.
 * The signal aborts when the job is to stop or the lease is lost.
 */
export async function withViewLease<T>(
  deps: JobDeps,
  job: RunningJob,
  held: { readonly history: History; readonly work: (signal: AbortSignal) => Promise<T> },
): Promise<T> {
  // A later attempt takes the lease over from one that died; where it lives, its signal aborts.
  const owner = job.uid;
  let lease = await deps.offline.lease(held.history, owner);
  while (lease === undefined) {
    const phase = "waiting for another job on this view";
    job.progress({ phase, done: 0, total: 0, unit: "" });
    await sleep(LEASE_POLL_MS, undefined, { signal: job.signal }).catch(() => {});
    job.signal.throwIfAborted();
    lease = await deps.offline.lease(held.history, owner);
  }
  await using taken = lease;
  return await held.work(AbortSignal.any([job.signal, taken.signal]));
}

/** Whether none of the files was removed. */
export async function areThere(files: readonly SourceFile[]): Promise<boolean> {
  for (const { path } of files) {
    try {
      await access(path);
    } catch {
      return false;
    }
  }
  return true;
}
