// Appends to one log. The head's compare-and-set decides: of several replicas one wins, which fixes
// the order, and the others build on what it wrote. An append is (1) the bodies, (2) what the head
// before still carries, (3) the head; a process that dies in between leaves bodies that expire.
//
// It signs nothing that contradicts what it has seen: a head that was set back, that nobody of ours
// signed or that does not begin with the tree this process knows is DataLoss, never gone on with.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import {
  Aborted,
  AlreadyExists,
  InvalidArgument,
  NotFound,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import type { IdIndex } from "./id-index.ts";
import {
  batchId,
  type HeadDocument,
  type LogCollections,
  type RecentBatch,
  tileId,
} from "./log-documents.ts";
import { edgeRoot, settleEdge } from "./log-edge.ts";
import type { LogTree } from "./log-tree.ts";
import { damagedLog, EMPTY_VIEW, type LogView, viewOf } from "./log-view.ts";
import { equalBytes, verifyConsistency } from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";
import { idHashesOf, type PendingBatch } from "./pending-batch.ts";
import { unpackReceipts } from "./receipt-page.ts";
import type { SigningKeys } from "./signing-key.ts";

/** Losing so often in a row means that something is wrong, not that there are many replicas. */
const TRIES_MAX = 50;
/** The longest random pause after a lost race; a head takes some milliseconds to write. */
const BACKOFF_MS_MAX = 50;
/** Index runs that wait to be made; more are left to whoever makes the next larger one. */
const INDEXING_MAX = 64;

export interface LogWriterOptions {
  /** The workspace's name. */
  readonly log: string;
  readonly origin: string;
  readonly collections: LogCollections;
  readonly keys: SigningKeys;
  readonly clock: Clock;
  /** How long bodies are kept; undefined: for good. */
  readonly retentionMs: number | undefined;
  readonly tree: LogTree;
  readonly index: IdIndex;
}

/** Batches that go under one head; the same object again after a failure, so that none is doubled. */
export class AppendJob {
  /** Those that are in the log: the index of their first receipt. */
  readonly places = new Map<PendingBatch, number>();
  /** Those that can never be, and why. */
  readonly refusals = new Map<PendingBatch, InvalidArgument>();
  /** Those that are neither. */
  left: readonly PendingBatch[];
  /** True once the head may have been written without our hearing of it. */
  attempted = false;
  /** True once the bodies are stored. */
  stored = false;
  /** Those whose bodies were stored before: they may be in the log. */
  readonly known = new Set<PendingBatch>();

  constructor(batches: readonly PendingBatch[]) {
    this.left = batches;
  }
}

/** Owns what this process knows of a log's head. One append at a time. */
export class LogWriter implements AsyncDisposable {
  readonly #options: LogWriterOptions;
  #latest: LogView = EMPTY_VIEW;
  #settling: { readonly version: number; readonly done: Promise<void> } | undefined;
  #indexing: Promise<void> = Promise.resolve();
  #indexingCount = 0;
  /** Of batches of ours that are not in receipt_batches yet, by their bodies' id. */
  readonly #ours = new Map<string, { readonly ids: Uint8Array; readonly expireTime?: Date }>();

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** The log as it is stored now. @throws DataLoss */
  async view(): Promise<LogView> {
    const { log, origin, collections, keys } = this.#options;
    const known = this.#latest;
    const stored = await collections.heads.findOne({ _id: log });
    if (stored !== undefined && stored.version === known.version) {
      return known;
    }
    const newest = this.#latest;
    const view = stored === undefined ? EMPTY_VIEW : viewOf(stored, origin);
    if (view.version === newest.version) return newest;
    if (view.head !== undefined && !(await keys.hasSigned(view.head.checkpoint))) {
      throw damagedLog(log, "its head is not signed by a key of ours");
    }
    await this.#checkGrown(known, view);
    if (view.version > this.#latest.version) this.#latest = view;
    return view;
  }

  /**
   * Appends the batches that are left and resolves once none is.
   * @throws Unavailable where that is not known; call again with the same job. DataLoss.
   */
  async append(job: AppendJob): Promise<void> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const isFirst = tries === 1 && !job.attempted;
      const known = this.#latest;
      const view = isFirst && known.version > 0 ? known : await this.view();
      await Promise.all([this.#storeBodies(job), this.settle(view)]);
      // A head on top of an older view than this one is never written, so that what was logged
      // meanwhile by another replica is seen before anything is logged again.
      await this.#takeOutLogged(job, view);
      if (job.left.length === 0) return;
      job.attempted = true;
      if (await this.#writeHead(job, view)) return;
      await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
    }
    throw new Unavailable(
      `Too many servers write to the receipt log of ${this.#options.log} at once. Try again.`,
      { reason: ErrorReason.OVERLOADED, retryAfterMs: 1_000 },
    );
  }

  /** Gives a job up. What it stored expires, unless its head was written unheard. */
  forget(job: AppendJob): void {
    for (const batch of job.left) this.#ours.delete(this.#bodiesId(batch));
  }

  /** Finishes what is written in the background. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settling?.done.catch(() => {});
    await this.#indexing;
  }

  /** False when another writer was faster. */
  async #writeHead(job: AppendJob, view: LogView): Promise<boolean> {
    const { collections, origin, keys, clock, log } = this.#options;
    const { left } = job;
    const size = left.reduce((sum, { count }) => sum + count, view.size);
    const tail = Buffer.concat([view.edge.tail, ...left.map(({ leaves }) => leaves)]);
    const { partials } = view.edge;
    const settled = settleEdge({ size, tail, partials }, serverTree);
    const root = edgeRoot(settled.edge, serverTree);
    const timeUs = Math.max(clock.now() * 1_000, view.head?.checkpoint.timeUs ?? 0);
    const recent = this.#recentOf(left, view);
    const head: HeadDocument = {
      _id: log,
      size,
      batches: view.batches + left.length,
      checkpoint: keys.current.signTreeHead({ origin, size, root, timeUs }),
      tail,
      partials,
      recent,
    };
    try {
      const stored =
        view.version === 0
          ? await collections.heads.insertOne(head)
          : await collections.heads.replaceOne(head, { ifVersion: view.version });
      const next = viewOf(stored, origin, { ...settled, root });
      if (next.version > this.#latest.version) this.#latest = next;
      for (const [i, batch] of left.entries()) job.places.set(batch, recent[i]!.start);
      job.left = [];
      // Not waited for: the next append does.
      this.settle(next).catch(() => {});
      return true;
    } catch (error) {
      if (!isLostRace(error)) throw error;
      return false;
    }
  }

  #recentOf(batches: readonly PendingBatch[], view: LogView): RecentBatch[] {
    let start = view.size;
    return batches.map((batch, i) => {
      const bodies = this.#bodiesId(batch);
      const place = { ordinal: view.batches + i, start, count: batch.count, bodies };
      start += batch.count;
      return place;
    });
  }

  async #storeBodies(job: AppendJob): Promise<void> {
    if (job.stored) return;
    await Promise.all(job.left.map((batch) => this.#storeBatch(job, batch)));
    job.left = job.left.filter((batch) => !job.refusals.has(batch));
    job.stored = true;
  }

  async #storeBatch(job: AppendJob, batch: PendingBatch): Promise<void> {
    const { collections, clock, retentionMs } = this.#options;
    const _id = this.#bodiesId(batch);
    const expiry =
      retentionMs === undefined ? {} : { expireTime: new Date(clock.now() + retentionMs) };
    this.#ours.set(_id, { ids: batch.ids, ...expiry });
    const receipts = batch.page;
    // Twice at most: what is there and cannot be read has just expired.
    while (!(await insertIfNew(collections.bodies, { _id, receipts, ...expiry }))) {
      const stored = await collections.bodies.findOne({ _id });
      if (stored === undefined) continue;
      job.known.add(batch);
      const { expireTime } = stored;
      if (batch.adopt(unpackReceipts(stored.receipts))) {
        this.#ours.set(_id, {
          ids: batch.ids,
          ...(expireTime === undefined ? {} : { expireTime }),
        });
      } else {
        this.#ours.delete(_id);
        job.refusals.set(batch, contradiction(batch));
      }
      return;
    }
  }

  /** Takes out of the job what is in the log already, here or by another replica. */
  async #takeOutLogged(job: AppendJob, view: LogView): Promise<void> {
    const doubtful = job.left.filter((batch) => job.attempted || job.known.has(batch));
    await Promise.all(
      doubtful.map(async (batch) => {
        const place = await this.#placeOf(batch, view);
        if (place !== undefined) {
          job.places.set(batch, place);
          this.#ours.delete(this.#bodiesId(batch));
        }
      }),
    );
    job.left = job.left.filter((batch) => !job.places.has(batch));
  }

  /** Where a batch lies, if it is in the log. */
  async #placeOf(batch: PendingBatch, view: LogView): Promise<number | undefined> {
    const bodies = this.#bodiesId(batch);
    const recent = view.recent.find((one) => one.bodies === bodies);
    return recent?.start ?? (await this.#options.collections.batches.findOne({ bodies }))?.start;
  }

  /** Writes all that follows from a head, once. @throws Unavailable */
  settle(view: LogView): Promise<void> {
    if (this.#settling?.version !== view.version) {
      const done = this.#writeDerived(view);
      const settling = { version: view.version, done };
      this.#settling = settling;
      done.catch(() => {
        if (this.#settling === settling) this.#settling = undefined;
      });
    }
    return this.#settling.done;
  }

  async #writeDerived(view: LogView): Promise<void> {
    const { log, collections } = this.#options;
    const ordinals = view.recent.flatMap(({ bodies, ordinal }) => {
      return this.#ours.has(bodies) ? [ordinal] : [];
    });
    await Promise.all([
      ...view.tiles.map(({ level, index, hashes }) => {
        return insertIfNew(collections.tiles, { _id: tileId(log, level, index), hashes });
      }),
      ...view.recent.map((batch) => this.#writeBatch(batch)),
    ]);
    for (const { bodies } of view.recent) {
      this.#ours.delete(bodies);
    }
    for (const ordinal of ordinals) {
      this.#makeRuns(ordinal);
    }
  }

  async #writeBatch({ ordinal, start, count, bodies }: RecentBatch): Promise<void> {
    const { log, collections } = this.#options;
    const _id = batchId(log, ordinal);
    const known = this.#ours.get(bodies) ?? (await this.#readIds(_id, bodies));
    if (known !== undefined) {
      await insertIfNew(collections.batches, { _id, ordinal, start, count, bodies, ...known });
    }
  }

  /** What another replica's batch needs; undefined where it is stored or has expired already. */
  async #readIds(
    batch: string,
    bodies: string,
  ): Promise<{ readonly ids: Uint8Array; readonly expireTime?: Date } | undefined> {
    const { collections } = this.#options;
    if ((await collections.batches.findOne({ _id: batch })) !== undefined) return undefined;
    const stored = await collections.bodies.findOne({ _id: bodies });
    if (stored === undefined) return undefined;
    const ids = idHashesOf(unpackReceipts(stored.receipts));
    return stored.expireTime === undefined ? { ids } : { ids, expireTime: stored.expireTime };
  }

  #makeRuns(ordinal: number): void {
    if (!this.#options.index.endsRun(ordinal)) return;
    if (this.#indexingCount >= INDEXING_MAX) return;
    this.#indexingCount++;
    this.#indexing = this.#indexing
      .then(() => this.#options.index.batchStored(ordinal))
      // A search reads the parts of a run that is missing.
      .catch(() => {})
      .finally(() => {
        this.#indexingCount--;
      });
  }

  async #checkGrown(known: LogView, view: LogView): Promise<void> {
    if (known.head === undefined) return;
    const { log, tree } = this.#options;
    if (view.head === undefined || view.size < known.size || view.version < known.version) {
      throw damagedLog(log, `it had ${known.size} receipts and has ${view.size} now`);
    }
    const { size: oldSize, root: oldRoot } = known.head.checkpoint;
    const { size, root } = view.head.checkpoint;
    const path = await tree.consistencyPath(view, oldSize, size);
    const isSame = oldSize === size && equalBytes(oldRoot, root);
    if (!isSame && !verifyConsistency({ oldSize, oldRoot, size, root, path }, serverTree)) {
      throw damagedLog(log, "it does not begin with what it was before: it forked");
    }
  }

  #bodiesId(batch: PendingBatch): string {
    return `${this.#options.log}/bodies/${batch.uid}`;
  }
}

function contradiction({ uid }: PendingBatch): InvalidArgument {
  const what = "was sent before with other inferences; a number is used for one batch only";
  return new InvalidArgument(`The batch ${uid} ${what}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "sequence", description: what }],
  });
}

function isLostRace(error: unknown): boolean {
  return error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
}
