// The receipts of one workspace: an append-only Merkle log over the document store. Appended
// receipts are collected for a moment, go under one signed head, and are in the log for good when
// the append resolves. Bodies expire after the retention; the leaf hashes never do, so that every
// proof that was given stays checkable against every later head.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import {
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { ID_HASH_BYTES, writeIdHash } from "./id-hash.ts";
import { IdIndex } from "./id-index.ts";
import {
  BATCH_RECEIPTS_MAX,
  HEAD_BATCHES_MAX,
  type LogCollections,
  type RecentBatch,
} from "./log-documents.ts";
import { LogTree } from "./log-tree.ts";
import type { LogView } from "./log-view.ts";
import { AppendJob, LogWriter } from "./log-writer.ts";
import { checkLoggable, PendingBatch } from "./pending-batch.ts";
import type { ReceiptEvidence } from "./proof-text.ts";
import { decodeReceipt } from "./receipt.ts";
import { unpackReceipts } from "./receipt-page.ts";
import type { SigningKeys } from "./signing-key.ts";
import { StoredBatches } from "./stored-batches.ts";

/** The pause after which a store that was away is asked again. */
const RETRY_MS = 250;
/** Receipts of one inference id that a search gives; callers may choose ids that are not unique. */
const FOUND_MAX = 100;
const LIST_MAX = 1_000;

export interface ReceiptLogOptions {
  readonly collections: LogCollections;
  readonly keys: SigningKeys;
  readonly clock: Clock;
  /** `workspaces/acme`; a name that was parsed. */
  readonly workspace: string;
  /** Names this installation in checkpoints: `plinth.example.com`. Without spaces and plus. */
  readonly logName: string;
  /** How long bodies are kept; absent: for good. */
  readonly retentionMs?: number;
  /** How long a receipt waits for others to share its head with. */
  readonly flushIntervalMs: number;
  /** Receipts that wait; more are refused. */
  readonly waitingMax: number;
}

/** A receipt and its place. */
export interface LoggedReceipt {
  readonly index: number;
  readonly receipt: Uint8Array;
}

/** A log's current head. */
export interface SignedHead {
  readonly text: string;
  readonly checkpoint: Checkpoint;
}

/** A call of append that waits. */
interface Waiter {
  readonly batch: PendingBatch;
  readonly offset: number;
  readonly count: number;
  readonly resolve: (index: number) => void;
  readonly reject: (error: unknown) => void;
}

/** The origin of a workspace's log: the first line of its checkpoints. */
export function originOf(logName: string, workspace: string): string {
  return `${logName}/${workspace}`;
}

/** Owns the receipts that wait and one line of appends. */
export class ReceiptLog implements AsyncDisposable {
  readonly origin: string;
  readonly #options: ReceiptLogOptions;
  readonly #workspace: Uint8Array;
  readonly #tree: LogTree;
  readonly #batches: StoredBatches;
  readonly #index: IdIndex;
  readonly #writer: LogWriter;
  #waiters: Waiter[] = [];
  #waitingCount = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(options: ReceiptLogOptions) {
    const { workspace, collections, keys, clock, retentionMs } = options;
    this.#options = options;
    this.origin = originOf(options.logName, workspace);
    this.#workspace = new TextEncoder().encode(workspace);
    this.#tree = new LogTree(workspace, collections.tiles);
    this.#batches = new StoredBatches(workspace, collections.batches);
    this.#index = new IdIndex(workspace, collections.ids, this.#batches);
    this.#writer = new LogWriter({
      log: workspace,
      origin: this.origin,
      collections,
      keys,
      clock,
      retentionMs,
      tree: this.#tree,
      index: this.#index,
    });
  }

  /**
   * Appends up to 1,024 receipts, one after the other, and resolves with the index of the first
   * once they are in the log for good. The bytes are kept and must not be changed. A store that is
   * away is waited for; a call that is rejected because the log was closed may still have succeeded.
   * @throws InvalidArgument, and nothing is appended; ResourceExhausted when too many wait;
   *   Unavailable (DRAINING) after closing; DataLoss.
   */
  append(receipts: readonly Uint8Array[]): Promise<number> {
    const { waitingMax } = this.#options;
    if (this.#closing.signal.aborted) {
      throw closed();
    }
    if (receipts.length < 1 || receipts.length > BATCH_RECEIPTS_MAX) {
      const what = `1 to ${BATCH_RECEIPTS_MAX} receipts are appended at once`;
      throw new InvalidArgument(`${what}; got ${receipts.length}.`, {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "receipts", description: what }],
      });
    }
    const workspace = this.#workspace;
    const checked = receipts.map((bytes, index) => checkLoggable(bytes, { index, workspace }));
    if (this.#waitingCount + checked.length > waitingMax) {
      throw new ResourceExhausted(
        `${this.#waitingCount} receipts wait to be logged, ${waitingMax} at most. The store is too ` +
          "slow; try again.",
        { reason: ErrorReason.OVERLOADED, retryAfterMs: 1_000 },
      );
    }
    const last = this.#waiters.at(-1)?.batch;
    const batch = last?.hasRoomFor(checked.length) === true ? last : new PendingBatch();
    const offset = batch.count;
    batch.add(checked);
    this.#waitingCount += checked.length;
    return new Promise((resolve, reject) => {
      this.#waiters.push({ batch, offset, count: checked.length, resolve, reject });
      this.#schedule();
    });
  }

  /** The current head; undefined where nothing was ever appended. */
  async head(): Promise<SignedHead | undefined> {
    return (await this.#writer.view()).head;
  }

  /** A receipt by its place. @throws NotFound */
  async get(index: number): Promise<LoggedReceipt> {
    return this.#get(await this.#writer.view(), index);
  }

  /** The receipts of an inference, the newest first; callers may have used an id twice. */
  async find(inferenceId: string): Promise<readonly LoggedReceipt[]> {
    const view = await this.#writer.view();
    const id = new TextEncoder().encode(inferenceId);
    const hash = Buffer.alloc(ID_HASH_BYTES);
    writeIdHash(id, hash, 0);
    // What the index does not hold yet is written first; any replica may.
    await this.#writer.settle(view);
    const candidates = await this.#index.find(hash, view.batches);
    candidates.sort((one, other) => other - one);
    const found: LoggedReceipt[] = [];
    for (const index of candidates) {
      if (found.length >= FOUND_MAX) break;
      const entry = await this.#get(view, index).catch(ignoringNotFound);
      if (entry !== undefined && decodeReceipt(entry.receipt).inferenceId === inferenceId) {
        found.push(entry);
      }
    }
    return found;
  }

  /** Receipts before an index, the newest first, until the retention ends them. */
  async list(page: {
    readonly before?: number;
    readonly limit: number;
  }): Promise<readonly LoggedReceipt[]> {
    const view = await this.#writer.view();
    const limit = Math.min(page.limit, LIST_MAX);
    const entries: LoggedReceipt[] = [];
    let before = Math.min(page.before ?? view.size, view.size);
    let batch = await this.#batchOf(view, before - 1);
    while (batch !== undefined && entries.length < limit) {
      const receipts = await this.#read(batch);
      if (receipts === undefined) break;
      for (; before > batch.start && entries.length < limit; before--) {
        entries.push({ index: before - 1, receipt: receipts[before - 1 - batch.start]! });
      }
      const ordinal = batch.ordinal - 1;
      const recent = view.recent.find((one) => one.ordinal === ordinal);
      batch = recent ?? (await this.#batches.get(ordinal));
    }
    return entries;
  }

  /** A receipt with all that it takes to check it, against the current head. @throws NotFound */
  async prove(index: number): Promise<ReceiptEvidence> {
    const view = await this.#writer.view();
    const [{ receipt }, path] = await Promise.all([
      this.#get(view, index),
      this.#inclusionPath(view, index),
    ]);
    return { receipt, index, path, checkpoint: view.head!.text };
  }

  /** The proof of a place alone, which outlives the receipt's body. @throws NotFound */
  async proveLeaf(
    index: number,
  ): Promise<Omit<ReceiptEvidence, "receipt"> & { readonly leaf: Uint8Array }> {
    const view = await this.#writer.view();
    const path = await this.#inclusionPath(view, index);
    return { leaf: await this.#tree.leaf(view, index), index, path, checkpoint: view.head!.text };
  }

  /**
   * That the log only grew since it had `oldSize` receipts, up to the current head.
   * @throws InvalidArgument for a size that it never had.
   */
  async proveConsistency(
    oldSize: number,
  ): Promise<{ readonly path: readonly Uint8Array[]; readonly checkpoint: string }> {
    const view = await this.#writer.view();
    if (!Number.isInteger(oldSize) || oldSize < 0 || oldSize > view.size || view.size === 0) {
      const what = `must be 0 to ${view.size}, the size of a log that is not empty`;
      throw new InvalidArgument(`old_size ${what}; got ${oldSize}.`, {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "old_size", description: what }],
      });
    }
    const path = await this.#tree.consistencyPath(view, oldSize, view.size);
    return { path, checkpoint: view.head!.text };
  }

  /** Logs what waits, tries no longer than the store answers, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    do {
      await this.#run();
    } while (this.#waiters.length > 0);
    clearTimeout(this.#timer);
    await this.#writer[Symbol.asyncDispose]();
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    if (this.#waitingCount >= BATCH_RECEIPTS_MAX) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      void this.#run();
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.#run();
      }, this.#options.flushIntervalMs);
    }
  }

  /** Appends what waits; never rejects. */
  #run(): Promise<void> {
    this.#running ??= this.#appendAll().finally(() => {
      this.#running = undefined;
      if (this.#waiters.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #appendAll(): Promise<void> {
    do {
      const taken = this.#take();
      if (taken.length === 0) return;
      const job = new AppendJob([...new Set(taken.map(({ batch }) => batch))]);
      try {
        let start = await this.#appendJob(job);
        const starts = new Map<PendingBatch, number>();
        for (const batch of job.batches) {
          starts.set(batch, start);
          start += batch.count;
        }
        for (const { batch, offset, resolve } of taken) resolve(starts.get(batch)! + offset);
      } catch (error) {
        this.#writer.forget(job);
        for (const { reject } of taken) reject(error);
      }
      for (const { count } of taken) this.#waitingCount -= count;
    } while (this.#waitingCount >= BATCH_RECEIPTS_MAX || this.#closing.signal.aborted);
  }

  /** The waiters of up to so many batches as a head takes. */
  #take(): readonly Waiter[] {
    const batches = new Set<PendingBatch>();
    let end = 0;
    for (; end < this.#waiters.length; end++) {
      batches.add(this.#waiters[end]!.batch);
      if (batches.size > HEAD_BATCHES_MAX) break;
    }
    return this.#waiters.splice(0, end);
  }

  /** Waits for a store that is away, unless the log is closed. */
  async #appendJob(job: AppendJob): Promise<number> {
    for (;;) {
      try {
        return await this.#writer.append(job);
      } catch (error) {
        if (!(error instanceof Unavailable) || this.#closing.signal.aborted) throw error;
        await sleep(RETRY_MS, undefined, { signal: this.#closing.signal }).catch(() => {});
      }
    }
  }

  async #inclusionPath(view: LogView, index: number): Promise<Uint8Array[]> {
    if (!Number.isInteger(index) || index < 0 || index >= view.size) {
      throw noReceipt(this.origin, `It has ${view.size}, from 0`, index);
    }
    return this.#tree.inclusionPath(view, index, view.size);
  }

  async #get(view: LogView, index: number): Promise<LoggedReceipt> {
    const batch = await this.#batchOf(view, index);
    const receipt =
      batch === undefined ? undefined : (await this.#read(batch))?.[index - batch.start];
    if (receipt === undefined) {
      const isThere = Number.isInteger(index) && index >= 0 && index < view.size;
      const why = isThere ? "It has expired; its hash is still in the log" : `It has ${view.size}`;
      throw noReceipt(this.origin, why, index);
    }
    return { index, receipt };
  }

  /** The batch with a receipt, until it expires. */
  async #batchOf(view: LogView, index: number): Promise<RecentBatch | undefined> {
    const has = ({ start, count }: RecentBatch) => index >= start && index < start + count;
    const recent = view.recent.find(has);
    if (recent !== undefined || index < 0 || index >= view.size) return recent;
    return this.#batches.withReceipt(index, view.batches - view.recent.length);
  }

  async #read({ bodies }: RecentBatch): Promise<readonly Uint8Array[] | undefined> {
    const stored = await this.#options.collections.bodies.findOne({ _id: bodies });
    return stored === undefined ? undefined : unpackReceipts(stored.receipts);
  }
}

function noReceipt(origin: string, why: string, index: number): NotFound {
  return new NotFound(`There is no receipt ${index} in ${origin}. ${why}.`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { resource: `${origin}#${index}` },
  });
}

function ignoringNotFound(error: unknown): undefined {
  if (!(error instanceof NotFound)) throw error;
  return undefined;
}

function closed(): Unavailable {
  return new Unavailable("The server is stopping and logs no more receipts. Try another one.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: 1_000,
  });
}
