// The receipts of one workspace: an append-only Merkle log over the document store. Appended
// receipts are collected for a moment, go under one signed head, and are in the log for good when
// the append resolves. Bodies expire after the retention; the leaf hashes never do, so that every
// proof that was given stays checkable against every later head.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { InvalidArgument, NotFound } from "../../common/errors/domain-error.ts";
import { AppendLine } from "./append-line.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { ID_HASH_BYTES, writeIdHash } from "./id-hash.ts";
import { IdIndex } from "./id-index.ts";
import type { LogCollections, RecentBatch } from "./log-documents.ts";
import { LogTree } from "./log-tree.ts";
import type { LogView } from "./log-view.ts";
import { LogWriter } from "./log-writer.ts";
import type { PendingBatch } from "./pending-batch.ts";
import type { ReceiptEvidence } from "./proof-text.ts";
import { decodeReceipt } from "./receipt.ts";
import { unpackReceipts } from "./receipt-page.ts";
import type { SigningKeys } from "./signing-key.ts";
import { StoredBatches } from "./stored-batches.ts";

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
  /** Receipts that count against `waitingMax` and wait elsewhere. Absent: none. */
  readonly othersWaiting?: () => number;
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

/** The origin of a workspace's log: the first line of its checkpoints. */
function originOf(logName: string, workspace: string): string {
  return `${logName}/${workspace}`;
}

/** Owns one line of appends, and reads what is logged. */
export class ReceiptLog implements AsyncDisposable {
  readonly origin: string;
  readonly #collections: LogCollections;
  readonly #tree: LogTree;
  readonly #batches: StoredBatches;
  readonly #index: IdIndex;
  readonly #writer: LogWriter;
  readonly #line: AppendLine;

  constructor(options: ReceiptLogOptions) {
    const { workspace, collections, keys, clock, retentionMs } = options;
    this.#collections = collections;
    this.origin = originOf(options.logName, workspace);
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
    this.#line = new AppendLine({
      writer: this.#writer,
      flushIntervalMs: options.flushIntervalMs,
      waitingMax: options.waitingMax,
      othersWaiting: options.othersWaiting ?? (() => 0),
    });
  }

  /** Receipts that wait to be logged. */
  get waitingCount(): number {
    return this.#line.waitingCount;
  }

  /**
   * Appends a batch, and resolves with the index of its first receipt once all are in the log for
   * good. One whose name was logged before is not logged again, by whichever replica and however
   * long ago, as long as bodies are kept: then it resolves with the index that it has. A store that
   * is away is waited for; a call that is rejected because the log was closed may still have
   * succeeded.
   * @throws InvalidArgument when the name was used for other inferences; ResourceExhausted when too
   *   many wait; Unavailable (DRAINING) after closing; DataLoss.
   */
  append(batch: PendingBatch): Promise<number> {
    return this.#line.add(batch);
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
    writeIdHash(id, { idStart: 0, idEnd: id.length }, hash, 0);
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
    await this.#line[Symbol.asyncDispose]();
    await this.#writer[Symbol.asyncDispose]();
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
    const stored = await this.#collections.bodies.findOne({ _id: bodies });
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
