// Takes rows of the keys out of one history, or counts them.

import { Aborted } from "../../common/errors/domain-error.ts";
import type { Snapshot } from "../offline/history.ts";
import type { ErasureRun } from "./erase-entity.ts";
import type { ErasureTarget, KeySet } from "./erase-targets.ts";
import {
  type ErasedCounts,
  type ErasureState,
  storedErasure,
  withPendingDone,
} from "./erasure-state.ts";
import { withSnapshots, withViewLease } from "./job-deps.ts";

/** Files that others replaced meanwhile are read again, this often. */
const TRIES_MAX = 5;

/** Rows of the keys in the history, those still in the log included, and the files they are in. */
export async function countRows(run: ErasureRun, target: ErasureTarget): Promise<ErasedCounts> {
  return await withSnapshots(run.deps, run.job, {
    histories: [target.history],
    use: async ([snapshot]) => {
      let rows = 0;
      const files = new Set<number>();
      for (const keySet of target.keySets) {
        const results = await lookFor(run, { snapshot, keySet, countOnly: true });
        for (const [index, result] of results.entries()) {
          if (result !== undefined) {
            rows += result.rows;
            files.add(index);
          }
        }
      }
      return { rows, files: files.size };
    },
  });
}

/** Removes the rows and the bytes of the files that held them; the state with what was removed. */
export async function eraseRows(
  run: ErasureRun,
  target: ErasureTarget,
  from: ErasureState,
): Promise<ErasureState> {
  return await withViewLease(run.deps, run.job, {
    history: target.history,
    work: async (signal) => {
      let state = from;
      for (const keySet of target.keySets) {
        for (let tries = 1; ; tries++) {
          signal.throwIfAborted();
          try {
            state = await eraseOnce(run, { target, keySet, from: state, signal });
            break;
          } catch (error) {
            if (!(error instanceof Aborted) || tries === TRIES_MAX) {
              throw error;
            }
          }
        }
      }
      return state;
    },
  });
}

async function eraseOnce(
  run: ErasureRun,
  parts: {
    readonly target: ErasureTarget;
    readonly keySet: KeySet;
    readonly from: ErasureState;
    readonly signal: AbortSignal;
  },
): Promise<ErasureState> {
  const { target, keySet, signal } = parts;
  const { history } = target;
  const snapshot = await run.deps.offline.read(history);
  let state = settlePending(parts.from, history.uid, snapshot);
  const results = await lookFor(run, { snapshot, keySet, countOnly: false, signal });
  const found = results.flatMap((result, index) => {
    const file = snapshot.files[index];
    return result === undefined || file === undefined ? [] : [{ result, file }];
  });
  if (found.length === 0) {
    return state;
  }
  const remove = found.map(({ file }) => file.digest);
  const pending = {
    uid: history.uid,
    viewName: target.viewName ?? "",
    digests: remove,
    rows: found.reduce((sum, { result }) => sum + result.rows, 0),
    files: found.length,
  };
  state = { ...state, pending };
  await run.job.checkpointAt(storedErasure(state));
  signal.throwIfAborted();
  const add = found.flatMap(({ result, file }) => {
    const { columns, addedSnapshot, digest } = file;
    return result.file === undefined
      ? []
      : [{ file: result.file, columns, addedSnapshot, replaces: digest }];
  });
  await run.deps.offline.replace(history, { remove, add, deleteNow: true });
  state = withPendingDone(state);
  await run.job.checkpointAt(storedErasure(state));
  return state;
}

/** Whether a replacement that an earlier attempt wrote down was made: its files are then gone. */
function settlePending(state: ErasureState, uid: string, snapshot: Snapshot): ErasureState {
  const { pending } = state;
  if (pending === null || pending.uid !== uid) {
    return state;
  }
  const present = new Set(snapshot.files.map(({ digest }) => digest));
  const wasMade = !pending.digests.some((digest) => present.has(digest));
  return wasMade ? withPendingDone(state) : { ...state, pending: null };
}

async function lookFor(
  run: ErasureRun,
  look: {
    readonly snapshot: Snapshot | undefined;
    readonly keySet: KeySet;
    readonly countOnly: boolean;
    readonly signal?: AbortSignal;
  },
) {
  const { snapshot, keySet, countOnly, signal } = look;
  if (snapshot === undefined || snapshot.files.length === 0) {
    return [];
  }
  const { results } = await run.deps.engine.run(
    "erase-keys",
    { files: snapshot.sources, ...keySet, countOnly, outDir: run.folder },
    { signal: signal ?? run.job.signal },
  );
  return results;
}
