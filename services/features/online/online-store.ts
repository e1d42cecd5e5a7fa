// The newest row of each view and entity key, over the documents port. Writers of one key, in any
// number of processes, agree by compare-and-set on the document's version: the newest row by event
// and creation time stays, whoever comes last.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type Clock, systemClock } from "../../common/clock.ts";
import type { Collection, DocumentStore, Stored } from "../../common/documents/port.ts";
import { DomainError, InvalidArgument, Unavailable } from "../../common/errors/domain-error.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import type { Field, RowBatch } from "../value.ts";
import { entityIds, keyText } from "./entity-key.ts";
import { OnlineCache } from "./online-cache.ts";
import { eraseDocuments, removeView } from "./online-erasure.ts";
import { isNewer, type OnlineDocument, type OnlineRow, rowsOf } from "./online-row.ts";

/** Documents read by one query and written at once. */
const CHUNK_SIZE = 1_000;

/** Tries of a row whose document others keep writing. Each lost try means another's success. */
const TRIES_MAX = 100;

/** Pause before a try that follows a lost one, at most, times the tries so far up to 10. */
const RETRY_PAUSE_MS = 5;

const RETRY_AFTER_MS = 1_000;

/** How long writers of other processes may be between their read and their write. */
const SETTLE_MS = 1_000;

/** How the store is opened. */
export interface OnlineStoreOptions {
  /** 0: no cache. */
  readonly cacheEntriesMax?: number;
  readonly cacheStalenessMs?: number;
  readonly clock?: Clock;
  /** How long an erasure waits for writers of other processes. */
  readonly settleMs?: number;
}

/** Whose rows go. */
export interface EraseOptions {
  /** The join keys named, in any order. */
  readonly keyFields: readonly Field[];
  /** Columns of one length, by join key. */
  readonly keys: RowBatch["keys"];
  /** True: nothing is removed. */
  readonly countOnly: boolean;
}

/** A row on its way into its document. */
interface Pending {
  readonly id: string;
  readonly row: number;
}

/** Owns the collection of online documents and the cache over it. */
export class OnlineStore {
  readonly #documents: Collection<OnlineDocument>;
  readonly #cache: OnlineCache | undefined;
  readonly #settleMs: number;
  readonly #writes = new Set<Promise<unknown>>();

  private constructor(documents: Collection<OnlineDocument>, options: OnlineStoreOptions) {
    const clock = options.clock ?? systemClock;
    const entriesMax = options.cacheEntriesMax ?? 0;
    const stalenessMs = options.cacheStalenessMs ?? 1_000;
    const monotonicMs = () => clock.monotonicMs();
    this.#documents = documents;
    this.#settleMs = options.settleMs ?? SETTLE_MS;
    this.#cache =
      entriesMax > 0 ? new OnlineCache({ entriesMax, stalenessMs, monotonicMs }) : undefined;
  }

  static async open(
    documents: DocumentStore,
    options: OnlineStoreOptions = {},
  ): Promise<OnlineStore> {
    const collection = await documents.collection<OnlineDocument>({
      name: "online_features",
      indexes: [],
    });
    return new OnlineStore(collection, options);
  }

  /**
   * Stores rows of a view, durably: a row stays where none of its key is newer by (event, creation)
   * time; one equal in both is the same row, and the one stored first stays. Rows that changed
   * nothing are `unchanged`. May be repeated. When it throws, any of the rows may be stored.
   * @throws InvalidArgument for a key that is null or too long, or an entity whose rows of all views
   *   are more than a document holds; Unavailable when other writers of a key do not let it through.
   */
  async write(
    workspace: string,
    view: ViewVersion,
    batch: RowBatch,
  ): Promise<{ readonly written: number; readonly unchanged: number }> {
    const writing = this.#write(workspace, view, batch);
    this.#writes.add(writing);
    try {
      const written = await writing;
      return { written, unchanged: batch.rows - written };
    } finally {
      this.#writes.delete(writing);
    }
  }

  /** The document of each id, which are all different; undefined where there is none. */
  async read(ids: readonly string[]): Promise<readonly (OnlineDocument | undefined)[]> {
    if (this.#cache === undefined) {
      if (ids.length === 1) return [await this.#documents.findOne({ _id: ids[0]! })];
      const found = await this.#fetch(ids);
      return ids.map((id) => found.get(id));
    }
    return this.#readCached(this.#cache, ids);
  }

  /**
   * Removes every document of the workspace whose key has these join key values, with whatever
   * further join keys, and returns how many there were; looks again until none is left, also while
   * others write.
   * @throws Unavailable when others keep writing the keys.
   */
  async eraseKeys(workspace: string, options: EraseOptions): Promise<number> {
    return eraseDocuments(this.#erasable(), workspace, options);
  }

  /** Removes a view's rows from every document of the workspace. */
  async deleteView(workspace: string, uid: string): Promise<void> {
    await removeView(this.#erasable(), workspace, uid);
  }

  async #write(workspace: string, view: ViewVersion, batch: RowBatch): Promise<number> {
    const rowOf = rowsOf(view.version, batch);
    const joinKeys = view.version.joinKeys.map((field) => field.name);
    const texts = view.version.joinKeys.map(({ name, type }) => {
      const cells = batch.keys[name] ?? [];
      return (row: number) => keyText(type, cells[row] ?? null, name);
    });
    const newest = newestByKey(batch, keysOf(workspace, joinKeys, texts));
    const make = ({ row, id }: Pending, stored: Stored<OnlineDocument> | undefined) => {
      const before = stored?.views[view.uid];
      const time = { e: batch.eventUs[row]!, c: batch.createdUs[row]! };
      if (before !== undefined && !isNewer(time, before)) return undefined;
      const views: Record<string, OnlineRow> = { ...stored?.views, [view.uid]: rowOf(row) };
      if (stored !== undefined) return { _id: id, views, keys: stored.keys };
      const keys = Object.fromEntries(joinKeys.map((name, index) => [name, texts[index]!(row)]));
      return { _id: id, views, keys };
    };
    let written = 0;
    for (let start = 0; start < newest.length; start += CHUNK_SIZE) {
      written += await this.#writeChunk(newest.slice(start, start + CHUNK_SIZE), make);
    }
    return written;
  }

  /** Writes one row a document; `make` gives undefined where there is nothing to change. */
  async #writeChunk(
    chunk: readonly Pending[],
    make: (row: Pending, stored: Stored<OnlineDocument> | undefined) => OnlineDocument | undefined,
  ): Promise<number> {
    let written = 0;
    let pending = chunk;
    for (let tries = 1; pending.length > 0; tries += 1) {
      const stored = await this.#fetch(pending.map((row) => row.id));
      const lost: Pending[] = [];
      const attempts: Promise<void>[] = [];
      for (const row of pending) {
        const found = stored.get(row.id);
        const document = make(row, found);
        if (document === undefined) continue;
        const attempt = found
          ? this.#documents.replaceOne(document, { ifVersion: found.version })
          : this.#documents.insertOne(document);
        attempts.push(
          attempt.then(
            () => {
              written += 1;
            },
            (error: unknown) => {
              if (!isLost(error)) throw isTooLarge(error) ? tooLarge(row.id, error) : error;
              lost.push(row);
            },
          ),
        );
      }
      await this.#settled(attempts, pending);
      if (lost.length > 0) await pauseAfter(tries);
      pending = lost;
    }
    return written;
  }

  /** Waits for all, also where one fails, so that nothing is under way that was not waited for. */
  async #settled(attempts: readonly Promise<void>[], rows: readonly Pending[]): Promise<void> {
    const outcomes = await Promise.allSettled(attempts);
    if (this.#cache !== undefined) for (const { id } of rows) this.#cache.forget(id);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #fetch(ids: readonly string[]): Promise<Map<string, Stored<OnlineDocument>>> {
    const found = new Map<string, Stored<OnlineDocument>>();
    for (let start = 0; start < ids.length; start += CHUNK_SIZE) {
      const chunk = ids.length <= CHUNK_SIZE ? ids : ids.slice(start, start + CHUNK_SIZE);
      for await (const document of this.#documents.find({ _id: { $in: chunk } })) {
        found.set(document._id, document);
      }
    }
    return found;
  }

  async #readCached(
    cache: OnlineCache,
    ids: readonly string[],
  ): Promise<readonly (OnlineDocument | undefined)[]> {
    const entries = ids.map((id) => cache.find(id));
    const missing = ids.filter((_, index) => entries[index] === undefined);
    if (missing.length === 0) return entries.map((entry) => entry?.document);
    const loads = missing.map((id) => cache.begin(id));
    let found: Map<string, OnlineDocument>;
    try {
      found = await this.#fetch(missing);
    } catch (error) {
      for (const load of loads) cache.cancel(load);
      throw error;
    }
    for (const load of loads) cache.end(load, found.get(load.id));
    return ids.map((id, index) => entries[index]?.document ?? found.get(id));
  }

  #erasable() {
    return {
      documents: this.#documents,
      forget: (id: string) => this.#cache?.forget(id),
      settle: async () => {
        await Promise.all([Promise.allSettled(this.#writes), sleep(this.#settleMs)]);
      },
    };
  }
}

/** The id of each row's document. */
function keysOf(
  workspace: string,
  joinKeys: readonly string[],
  texts: readonly ((row: number) => string)[],
): (row: number) => string {
  const idOf = entityIds(workspace, joinKeys);
  return (row) => idOf(texts.map((text) => text(row)));
}

/** The newest row of each key; of equal ones the first. */
function newestByKey(batch: RowBatch, idOf: (row: number) => string): Pending[] {
  const newest = new Map<string, number>();
  const { eventUs, createdUs } = batch;
  for (let row = 0; row < batch.rows; row++) {
    const id = idOf(row);
    const other = newest.get(id);
    const isFirst =
      other === undefined ||
      isNewer(
        { e: eventUs[row]!, c: createdUs[row]! },
        { e: eventUs[other]!, c: createdUs[other]! },
      );
    if (isFirst) newest.set(id, row);
  }
  return Array.from(newest, ([id, row]) => ({ id, row }));
}

/** Whether another writer came first: what it wrote is to be read. */
function isLost(error: unknown): boolean {
  if (!(error instanceof DomainError)) return false;
  return error.kind === "Aborted" || error.kind === "AlreadyExists" || error.kind === "NotFound";
}

/** The store takes everything else that a row holds. */
function isTooLarge(error: unknown): error is InvalidArgument {
  return error instanceof InvalidArgument;
}

function tooLarge(id: string, cause: InvalidArgument): InvalidArgument {
  const description =
    `of one entity (${id.slice(0, 200)}), of all its views together, take more than 8 MiB online. ` +
    "Shorten their texts and bytes, or keep a view offline only";
  return new InvalidArgument(`The rows ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "rows", description }],
    cause,
  });
}

async function pauseAfter(tries: number): Promise<void> {
  if (tries === TRIES_MAX) {
    throw new Unavailable("Others write the same entities all the time; try again later.", {
      reason: ErrorReason.OVERLOADED,
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
  await sleep(Math.random() * RETRY_PAUSE_MS * Math.min(tries, 10));
}
