// Offline to online: the newest row of each key of an interval, or of the files that came since the
// last incremental run. The online store keeps the newer of two rows, so running it twice, or two
// at once, does no harm; the lease on the view only spares the work.

import {
  type Materialization,
  MaterializationSchema,
} from "../../../gen/plinth/features/v1/job_pb.js";
import type { Value } from "../../common/documents/port.ts";
import { microsOf } from "../columns.ts";
import type { Snapshot } from "../offline/history.ts";
import type { OfflineFile } from "../offline/manifest.ts";
import { historyOf } from "../offline/view-history.ts";
import { storedWork, workOf } from "./convert.ts";
import type { RunJob } from "./job.ts";
import { currentView, type JobDeps, withViewLease } from "./job-deps.ts";
import { keyOf, storedKey } from "./key-position.ts";
import { NOTHING_WRITTEN, type OnlineProgress, writeOnline } from "./write-online.ts";

/** What a run began with, kept over restarts, and how far it is. */
interface Begun {
  /** Incremental: files up to this snapshot were taken in before. */
  readonly base: number;
  /** The snapshot it saw when it began. */
  readonly snapshot: number;
  readonly done: OnlineProgress;
}

/** Runs materialisations. */
export function materialize(deps: JobDeps): RunJob {
  return async (job) => {
    const work = workOf(MaterializationSchema, job);
    const view = await currentView(deps, job, work.featureView);
    const history = historyOf(job.workspace, view);
    const run = async (signal: AbortSignal) => {
      const interval = intervalOf(work);
      const begun = begunOf(job.checkpoint) ?? beginAt(await deps.offline.read(history));
      const result = (done: OnlineProgress) => ({
        rowsRead: BigInt(done.rowsRead),
        keysWritten: BigInt(done.keysWritten),
        keysUnchanged: BigInt(done.keysUnchanged),
        snapshot: BigInt(interval === undefined ? begun.snapshot : begun.base),
      });
      const done = await writeOnline(deps, job, {
        view,
        ...interval,
        keysPerSecondMax: work.keysPerSecondMax,
        from: begun.done,
        signal,
        files: async () => {
          const { files, sources } = await deps.offline.read(history);
          const isWanted = (file: OfflineFile) =>
            interval === undefined ? file.addedSnapshot > begun.base : overlaps(file, interval);
          return sources.filter((_, index) => isWanted(files[index] as OfflineFile));
        },
        checkpoint: (progress) => job.checkpointAt(storedBegun({ ...begun, done: progress })),
      });
      signal.throwIfAborted();
      if (interval === undefined) {
        await deps.offline.markMaterialized(history, begun.snapshot);
      }
      return storedWork(MaterializationSchema, work, { result: result(done) });
    };
    return await withViewLease(deps, job, { history, work: run });
  };
}

interface Interval {
  readonly startUs: number;
  readonly endUs: number;
}

/** Undefined: what came since the last incremental run. */
function intervalOf({ startTime, endTime }: Materialization): Interval | undefined {
  const startUs = startTime === undefined ? undefined : microsOf(startTime);
  const endUs = endTime === undefined ? undefined : microsOf(endTime);
  return startUs === undefined || endUs === undefined ? undefined : { startUs, endUs };
}

function overlaps(file: OfflineFile, { startUs, endUs }: Interval): boolean {
  return file.maxEventUs >= startUs && file.minEventUs < endUs;
}

function beginAt({ snapshot, materializedSnapshot }: Snapshot): Begun {
  return { base: materializedSnapshot, snapshot, done: NOTHING_WRITTEN };
}

function storedBegun({ base, snapshot, done }: Begun): Value {
  const { afterKey, ...counts } = done;
  return { base, snapshot, ...counts, afterKey: storedKey(afterKey) };
}

function begunOf(checkpoint: Value): Begun | undefined {
  if (checkpoint === null || typeof checkpoint !== "object" || !("snapshot" in checkpoint)) {
    return undefined;
  }
  const { base, snapshot, rowsRead, keysWritten, keysUnchanged, afterKey } = checkpoint;
  return {
    base: Number(base),
    snapshot: Number(snapshot),
    done: {
      afterKey: keyOf(afterKey),
      rowsRead: Number(rowsRead),
      keysWritten: Number(keysWritten),
      keysUnchanged: Number(keysUnchanged),
    },
  };
}
