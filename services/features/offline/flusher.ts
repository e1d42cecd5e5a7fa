// Brings a history's rows from the log into files:
//   1. what an earlier flush absorbed and could not remove is removed
//   2. the engine writes the rows of waiting batches as one file a day; the files become blobs
//   3. one compare-and-set of the manifest adds the files and names the batches as absorbed
//   4. the receipts of the batches are marked, the batches removed, the names cleared
// Only step 3 counts. Before it nothing has happened but unnamed blobs; after it step 4 is repeated
// by the next flush until it is done. Two flushers at once: the slower one finds at step 3 that its
// batches are no longer waiting and begins anew. The lease only spares that.

import { mkdir, rm } from "node:fs/promises";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { FeaturesConfig } from "../config.ts";
import type { LoggedRows } from "./batch-codec.ts";
import type { BatchReceipts } from "./batch-receipts.ts";
import type { OfflineEngine, Shape } from "./engine-tasks.ts";
import type { History } from "./history.ts";
import type { ManifestState, ManifestStore } from "./manifest-store.ts";
import { fullId, type Head, type PendingLog, shortId } from "./pending-log.ts";
import { type FileToStore, type StoredFile, storeFiles } from "./store-file.ts";

/** Of one engine task: they are in memory here and in the engine. */
const BYTES_PER_TASK_MAX = 64 * 1024 * 1024;

/** Their ids stand in the manifest for a moment. */
const BATCHES_PER_TASK_MAX = 10_000;

/** Batches read from the log at once. */
const LOADS_AT_ONCE = 16;

export interface FlusherDeps {
  readonly config: Pick<FeaturesConfig, "flushRowsMax">;
  readonly blobs: BlobStore;
  readonly engine: OfflineEngine;
  readonly log: PendingLog;
  readonly receipts: BatchReceipts;
  readonly manifests: ManifestStore;
  /** A new folder's path. */
  readonly newScratchDir: () => string;
}

/**
 * Everything that was in the log when it began is in files when it resolves. How many rows this call
 * brought there.
 */
export async function flushHistory(
  deps: FlusherDeps,
  history: History,
  signal: AbortSignal,
): Promise<number> {
  let rows = 0;
  const manifest = await deps.manifests.get(history);
  await finishAbsorbed(deps, history, manifest);
  const waiting = await collectHeads(deps, history);
  for (const batches of tasksOf(waiting, deps.config.flushRowsMax)) {
    rows += await flushBatches(deps, history, { heads: batches, signal });
  }
  return rows;
}

/** Removes batches from the log whose rows are in files. */
async function finishAbsorbed(
  deps: FlusherDeps,
  history: History,
  { absorbed }: Pick<ManifestState, "absorbed">,
): Promise<void> {
  if (absorbed.length === 0) {
    return;
  }
  const left = await deps.log.find(absorbed.map((id) => fullId(history, id)));
  await deps.receipts.markAbsorbed(receiptsOf(left));
  await deps.log.remove(left);
  const done = new Set(absorbed);
  await deps.manifests.change(history, (current) => ({
    ...current,
    absorbed: current.absorbed.filter((id) => !done.has(id)),
  }));
}

async function flushBatches(
  deps: FlusherDeps,
  history: History,
  work: { readonly heads: readonly Head[]; readonly signal: AbortSignal },
): Promise<number> {
  for (let heads = work.heads; ; ) {
    const manifest = await deps.manifests.get(history);
    heads = await stillWaiting(deps, history, { heads, manifest });
    if (manifest.deleteTime !== null) {
      await deps.log.remove(heads);
      return 0;
    }
    const loaded = await loadAll(deps, heads);
    if (loaded.heads.length === 0) {
      return 0;
    }
    const files = await writeFiles(deps, loaded.rows, work.signal);
    const changed = await absorb(deps, history, { ...loaded, files });
    if (changed !== undefined) {
      await finishAbsorbed(deps, history, changed);
      return loaded.heads.reduce((sum, head) => sum + head.rows, 0);
    }
  }
}

interface Loaded {
  readonly heads: readonly Head[];
  readonly rows: readonly LoggedRows[];
}

/** The batches that are whole; one that is still being written is left for the next flush. */
async function loadAll(deps: FlusherDeps, heads: readonly Head[]): Promise<Loaded> {
  const whole: Head[] = [];
  const rows: LoggedRows[] = [];
  for (let start = 0; start < heads.length; start += LOADS_AT_ONCE) {
    const some = heads.slice(start, start + LOADS_AT_ONCE);
    const loaded = await Promise.all(some.map((head) => deps.log.load(head)));
    for (const [index, parts] of loaded.entries()) {
      if (parts !== undefined) {
        whole.push(some[index]!);
        rows.push(...parts);
      }
    }
  }
  return { heads: whole, rows };
}

/**
 * Step 3. Undefined: another flusher absorbed some of the batches meanwhile; the files are left to
 * the sweeper. That they still wait is looked at after the manifest was read that is compared with,
 * so that nothing slips in between.
 */
async function absorb(
  deps: FlusherDeps,
  history: History,
  work: Loaded & { readonly files: readonly StoredFile[] },
): Promise<ManifestState | undefined> {
  const { heads, rows, files } = work;
  let isOvertaken = false;
  const manifest = await deps.manifests.change(history, async (current) => {
    const waiting = await stillWaiting(deps, history, { heads, manifest: current });
    isOvertaken = waiting.length < heads.length || current.deleteTime !== null;
    if (isOvertaken) {
      return current;
    }
    const addedSnapshot = current.snapshot + 1;
    return {
      ...current,
      snapshot: addedSnapshot,
      files: [...current.files, ...files.map((file) => ({ ...file, addedSnapshot }))],
      joinKeys: rows[0]!.shape.joinKeys.map(({ name }) => name),
      absorbed: [...current.absorbed, ...heads.map((head) => shortId(history, head._id))],
    };
  });
  return isOvertaken ? undefined : manifest;
}

/**
 * Those of the batches that are in the log and not in files. A batch that a replay put back into the
 * log after it had gone into files is removed.
 */
async function stillWaiting(
  deps: FlusherDeps,
  history: History,
  work: { readonly heads: readonly Head[]; readonly manifest: ManifestState },
): Promise<readonly Head[]> {
  const absorbed = new Set(work.manifest.absorbed.map((id) => fullId(history, id)));
  const ids = work.heads.map(({ _id }) => _id).filter((id) => !absorbed.has(id));
  const found = await deps.log.find(ids);
  const repeated = await deps.receipts.absorbedAmong(receiptsOf(found));
  if (repeated.size === 0) {
    return found;
  }
  await deps.log.remove(found.filter(({ receipt }) => receipt !== null && repeated.has(receipt)));
  return found.filter(({ receipt }) => receipt === null || !repeated.has(receipt));
}

/** One engine task for each shape among the rows: the view may have changed meanwhile. */
async function writeFiles(
  deps: FlusherDeps,
  rows: readonly LoggedRows[],
  signal: AbortSignal,
): Promise<readonly StoredFile[]> {
  const files: FileToStore[] = [];
  const outDir = deps.newScratchDir();
  await mkdir(outDir, { recursive: true });
  try {
    for (const [n, { shape, batches }] of groupByShape(rows).entries()) {
      const folder = `${outDir}/${n}`;
      await mkdir(folder);
      const output = await deps.engine.run(
        "write-rows",
        { shape, batches, outDir: folder },
        { signal },
      );
      const columns = [...shape.joinKeys, ...shape.features];
      files.push(...output.files.map((file) => ({ file, columns })));
    }
    return await storeFiles(deps.blobs, files);
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

function groupByShape(
  rows: readonly LoggedRows[],
): readonly { readonly shape: Shape; readonly batches: LoggedRows["batch"][] }[] {
  const groups = new Map<string, { shape: Shape; batches: LoggedRows["batch"][] }>();
  for (const { shape, batch } of rows) {
    const key = JSON.stringify([shape.joinKeys, shape.features]);
    const group = groups.get(key) ?? { shape, batches: [] };
    groups.set(key, group);
    group.batches.push(batch);
  }
  return [...groups.values()];
}

/** The batches in portions that one engine task can take. */
function* tasksOf(heads: readonly Head[], rowsMax: number): Generator<readonly Head[]> {
  let portion: Head[] = [];
  let rows = 0;
  let bytes = 0;
  for (const head of heads) {
    const isFull =
      rows + head.rows > rowsMax ||
      bytes + head.bytes > BYTES_PER_TASK_MAX ||
      portion.length === BATCHES_PER_TASK_MAX;
    if (isFull && portion.length > 0) {
      yield portion;
      portion = [];
      rows = 0;
      bytes = 0;
    }
    portion.push(head);
    rows += head.rows;
    bytes += head.bytes;
  }
  if (portion.length > 0) {
    yield portion;
  }
}

async function collectHeads(deps: FlusherDeps, history: History): Promise<readonly Head[]> {
  const heads: Head[] = [];
  for await (const head of deps.log.heads(history)) {
    heads.push(head);
  }
  return heads;
}

function receiptsOf(heads: readonly Head[]): readonly string[] {
  return heads.flatMap(({ receipt }) => (receipt === null ? [] : [receipt]));
}
