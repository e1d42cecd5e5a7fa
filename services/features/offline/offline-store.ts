// The history of features. Pushed rows are durable in a log first (pending-log.ts) and go into
// Parquet files soon (flusher.ts); every read takes in what waits before it looks. Which files there
// are stands in one manifest a history (manifest-store.ts), so every change shows as a whole.

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { References } from "../../common/blobs/sweep-unreferenced.ts";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import type { FeaturesConfig } from "../config.ts";
import type { FeaturesEvents } from "../events.ts";
import type { Field, RowBatch } from "../value.ts";
import { BatchReceipts, type ClaimedBatch, type Receipt } from "./batch-receipts.ts";
import type { OfflineEngine, Shape, WrittenFile } from "./engine-tasks.ts";
import { FlushScheduler } from "./flush-scheduler.ts";
import type { AddedFile, History, HistoryStatus, Snapshot } from "./history.ts";
import { type Lease, Leases } from "./leases.ts";
import type { OfflineFile } from "./manifest.ts";
import { type ManifestState, ManifestStore } from "./manifest-store.ts";
import { PendingLog, shortId } from "./pending-log.ts";
import { replaceFiles } from "./replace-files.ts";
import { snapshotOf, statusOf } from "./snapshot.ts";
import { storeFiles } from "./store-file.ts";
import { BlobSweeper, SCRATCH_PREFIX } from "./sweeper.ts";
import { Upkeep, viewLeaseId } from "./upkeep.ts";

/** Keys of additions that are remembered, so that a resumed job does not add twice. */
const RECENT_ADDS_MAX = 1_000;

/** A read that met an erasure begins anew, this often. */
const READ_TRIES = 5;

export interface OfflineStoreOptions {
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly engine: OfflineEngine;
  readonly clock: Clock;
  readonly config: Pick<
    FeaturesConfig,
    | "flushIntervalMs"
    | "flushRowsMax"
    | "pendingRowsMax"
    | "compactFilesMax"
    | "jobLeaseMs"
    | "sweepIntervalMs"
  >;
  readonly events: FeaturesEvents;
  /** For files on their way between engine and blobs. */
  readonly scratchDir: string;
}

/** Files that were added. */
export interface Addition {
  /** The snapshot that has them. */
  readonly snapshot: number;
  /** False: they had been added by an earlier call, and may have changed since. */
  readonly isNew: boolean;
  /** True: they are new, and all other files up to that snapshot were materialised before. */
  readonly isCaughtUp: boolean;
}

interface Parts {
  readonly log: PendingLog;
  readonly receipts: BatchReceipts;
  readonly manifests: ManifestStore;
  readonly leases: Leases;
  readonly sweeper: BlobSweeper;
}

/** Owns the histories and the background work on them. */
export class OfflineStore implements AsyncDisposable {
  readonly engine: OfflineEngine;
  readonly #options: OfflineStoreOptions;
  readonly #parts: Parts;
  readonly #flushes: FlushScheduler;
  readonly #upkeep: Upkeep;

  private constructor(options: OfflineStoreOptions, parts: Parts) {
    this.engine = options.engine;
    this.#options = options;
    this.#parts = parts;
    const owner = randomUUID();
    this.#upkeep = new Upkeep({ ...options, ...parts, store: this, owner });
    this.#flushes = new FlushScheduler({
      ...options,
      ...parts,
      owner,
      newScratchDir: () => this.newScratchDir(),
      onFlushed: (history) => this.#upkeep.compactSoon(history),
    });
  }

  /** Opens the collections and counts what waits in the log. Background work begins with `start`. */
  static async open(options: OfflineStoreOptions): Promise<OfflineStore> {
    const { documents, clock, config } = options;
    const log = await PendingLog.open(documents, clock);
    const manifests = await ManifestStore.open(documents);
    const store = new OfflineStore(options, {
      log,
      manifests,
      receipts: await BatchReceipts.open(documents, clock),
      leases: await Leases.open(documents, { clock, leaseMs: config.jobLeaseMs }),
      sweeper: await BlobSweeper.open(documents, { ...options, log, manifests }),
    });
    await store.#flushes.count();
    return store;
  }

  /**
   * Flushes, compacts and sweeps in the background from now on. Without `referencedDigests` (what
   * jobs and tables refer to) no blob is swept.
   */
  start(referencedDigests?: References): void {
    this.#flushes.start();
    if (referencedDigests !== undefined) {
      this.#upkeep.startSweeping(referencedDigests);
    }
  }

  /**
   * The receipt of a batch that has an id; to be had before anything of the batch is stored.
   * @throws InvalidArgument when the id was used for other content within 24 hours.
   */
  claim(history: History, batch: ClaimedBatch): Promise<Receipt> {
    return this.#parts.receipts.claim(history, batch);
  }

  /**
   * Takes rows in; durable when it resolves, and in every read from then on. With a receipt, or with
   * a `batchId` for rows that are always the same under it, they are there once however often they
   * are appended. `replayed`: they had been there before.
   * @throws ResourceExhausted when too many rows wait to go into files; InvalidArgument for a row
   *   that is too large.
   */
  async append(
    history: History,
    shape: Shape,
    batch: RowBatch,
    options: { readonly receipt?: Receipt | undefined; readonly batchId?: string } = {},
  ): Promise<{ readonly replayed: boolean }> {
    const receipt = options.receipt ?? (await this.#receiptFor(history, options.batchId));
    if (batch.rows === 0 || receipt?.absorbed === true) {
      return { replayed: receipt?.absorbed === true };
    }
    this.#flushes.checkRoom(history, batch.rows);
    const isNew = await this.#parts.log.append(history, { shape, batch }, { receipt });
    if (isNew) {
      this.#flushes.appended(history, batch.rows);
    }
    return { replayed: !isNew };
  }

  /** The history with everything appended before the call. */
  async read(history: History): Promise<Snapshot> {
    await this.flush(history);
    for (let tries = 1; ; tries++) {
      const manifest = await this.#parts.manifests.get(history);
      try {
        return await snapshotOf(manifest, this.#options.blobs);
      } catch (error) {
        // Its files may have been erased just now; then a newer manifest names others.
        const newer = await this.#parts.manifests.get(history);
        const isSame = newer.snapshot === manifest.snapshot;
        if (!(error instanceof NotFound) || isSame || tries === READ_TRIES) {
          throw error;
        }
      }
    }
  }

  /** Brings everything appended before the call into files. */
  flush(history: History): Promise<void> {
    return this.#flushes.flush(history);
  }

  /**
   * Adds files that the engine wrote, all or none, and removes them from where they were. Added again
   * under the same key `once`, nothing changes.
   * @throws NotFound when the history was deleted.
   */
  async add(
    history: History,
    files: readonly WrittenFile[],
    columns: readonly Field[],
    options: { readonly once?: string | undefined } = {},
  ): Promise<Addition> {
    const { once } = options;
    const isDone = (state: ManifestState): boolean =>
      once !== undefined && state.recentAdds.includes(once);
    const before = await this.#parts.manifests.get(history);
    if (isDone(before)) {
      return { snapshot: before.snapshot, isNew: false, isCaughtUp: false };
    }
    let isNew = false;
    let isCaughtUp = false;
    const stored = await storeFiles(
      this.#options.blobs,
      files.map((file) => ({ file, columns })),
    );
    const after = await this.#parts.manifests.change(history, (current) => {
      checkLives(current);
      isNew = !isDone(current);
      isCaughtUp = isNew && !current.files.some(isUnmaterialized(current));
      if (isDone(current) || (stored.length === 0 && once === undefined)) {
        return current;
      }
      const addedSnapshot = current.snapshot + (stored.length === 0 ? 0 : 1);
      const recent = once === undefined ? current.recentAdds : [...current.recentAdds, once];
      return {
        ...current,
        snapshot: addedSnapshot,
        files: [...current.files, ...stored.map((file) => ({ ...file, addedSnapshot }))],
        recentAdds: recent.slice(-RECENT_ADDS_MAX),
      };
    });
    return { snapshot: after.snapshot, isNew, isCaughtUp };
  }

  /**
   * Puts files in the place of others, all or none. The bytes of the removed ones stay for an hour
   * for who reads them; with `deleteNow` they are gone when it resolves, and so are those of files
   * that were replaced earlier. The snapshot that has the change.
   * @throws Aborted when a file to remove is not there any more.
   */
  async replace(
    history: History,
    change: {
      readonly remove: readonly Digest[];
      readonly add: readonly AddedFile[];
      readonly deleteNow?: boolean;
    },
  ): Promise<number> {
    const { blobs, clock } = this.#options;
    const stored = await storeFiles(blobs, change.add);
    const add = stored.map((file, place) => {
      const { addedSnapshot, replaces } = change.add[place]!;
      return { ...file, addedSnapshot, replaces };
    });
    const retireTime = change.deleteNow === true ? undefined : new Date(clock.now());
    let goes: readonly Digest[] = [];
    const after = await this.#parts.manifests.change(history, (current) => {
      goes = [...change.remove, ...current.retired.map(({ digest }) => digest)];
      return replaceFiles(current, { remove: change.remove, add, retireTime });
    });
    if (change.deleteNow === true) {
      await this.#deleteBlobs(goes);
    }
    return after.snapshot;
  }

  /** Notes that the rows of all files up to this snapshot were brought online. */
  async markMaterialized(history: History, snapshot: number): Promise<void> {
    await this.#parts.manifests.change(history, (current) => {
      checkLives(current);
      const materializedSnapshot = Math.max(current.materializedSnapshot, snapshot);
      return {
        ...current,
        materializedSnapshot,
        materializeTime: new Date(this.#options.clock.now()),
      };
    });
  }

  /** What the stores hold of the history; counts, without a flush. */
  async status(history: History): Promise<HistoryStatus> {
    let pendingRows = 0;
    // Before the files: rows that move meanwhile are counted twice rather than not at all.
    const heads = this.#parts.log.heads(history);
    const waiting: { readonly id: string; readonly rows: number }[] = [];
    for await (const { _id, rows } of heads) {
      waiting.push({ id: shortId(history, _id), rows });
    }
    const manifest = await this.#parts.manifests.get(history);
    const absorbed = new Set(manifest.absorbed);
    for (const { id, rows } of waiting) {
      pendingRows += absorbed.has(id) ? 0 : rows;
    }
    return statusOf(manifest, pendingRows);
  }

  /** Removes the history with all its rows. Appends that come after it are dropped. */
  async delete(history: History): Promise<void> {
    let goes: readonly Digest[] = [];
    await this.#parts.manifests.change(history, (current) => {
      goes = [...current.files, ...current.retired].map(({ digest }) => digest);
      const deleteTime = current.deleteTime ?? new Date(this.#options.clock.now());
      return { ...current, snapshot: current.snapshot + 1, files: [], retired: [], deleteTime };
    });
    await this.#deleteBlobs(goes);
    await this.flush(history);
  }

  /**
   * The right to materialise, compact or erase a history; kept until it is disposed. Undefined:
   * another owner has it. The same owner may take it again.
   */
  lease(history: History, owner: string): Promise<Lease | undefined> {
    return this.#parts.leases.acquire(viewLeaseId(history), owner);
  }

  /**
   * To be called by who commits a blob that may have been stored before (an upload): after a document
   * that refers to it was stored and before the commit, so that no sweeper takes it.
   * @throws Unavailable
   */
  claimBlob(digest: Digest): Promise<void> {
    return this.#parts.sweeper.claim(digest);
  }

  /** Removes what nothing refers to; `start` does it now and then. */
  sweep(referencedDigests: References, signal?: AbortSignal): Promise<void> {
    const never = new AbortController().signal;
    return this.#parts.sweeper.sweep(referencedDigests, signal ?? never);
  }

  /** The path of a folder that is not there yet; who makes it removes it. */
  newScratchDir(): string {
    return join(this.#options.scratchDir, SCRATCH_PREFIX + randomUUID());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // At the same time: a compaction may wait for a flush that only ends when it is told to.
    await Promise.all([this.#upkeep[Symbol.asyncDispose](), this.#flushes[Symbol.asyncDispose]()]);
  }

  async #receiptFor(history: History, batchId: string | undefined): Promise<Receipt | undefined> {
    const createdUs = this.#options.clock.now() * 1000;
    return batchId === undefined
      ? undefined
      : this.claim(history, { batchId, contentDigest: "", createdUs });
  }

  async #deleteBlobs(digests: readonly Digest[]): Promise<void> {
    for (const digest of digests) {
      await this.#options.blobs.delete(digest);
    }
  }
}

/** Files that no incremental materialisation has taken in. */
function isUnmaterialized(state: ManifestState): (file: OfflineFile) => boolean {
  return ({ addedSnapshot }) => addedSnapshot > state.materializedSnapshot;
}

function checkLives(manifest: ManifestState): void {
  if (manifest.deleteTime !== null) {
    throw new NotFound(`The history of "${manifest.view}" was deleted.`, {
      reason: ErrorReason.RESOURCE_NOT_FOUND,
    });
  }
}
