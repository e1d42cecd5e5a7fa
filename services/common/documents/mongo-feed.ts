// The change feed of a collection in MongoDB, without transactions and without change streams.
//
// <name>_feed is the log: one entry a change, `_id` its revision. A write
//   1. inserts its entry, pending, with `_id` one above the newest. A taken `_id` is tried again
//      one higher, so revisions have no gaps and their order is the order of the log;
//   2. decides it: one atomic update of the document, on condition that no change of this revision
//      or a later one was decided on it before (field `a`). The update either sets the content or,
//      where a unique index forbids that, moves `a` alone: then the entry is void;
//   3. marks the entry applied or void.
// An entry names the revision it changes (`prev`), unique with the document's id: of two writes on
// the same state one is logged, the other starts over and sees the first. That is the
// compare-and-set.
//
// Whoever meets a pending entry (a reader, a writer of the same document, a reader of the revision)
// does steps 2 and 3 for its writer, who may have died: both are idempotent and step 2 has one
// outcome whoever runs it. Nobody delivers a change before it is marked. Deletes leave a tombstone
// that holds `a`, so that a slow helper cannot bring a document back; tombstones go once their
// entry was trimmed and TOMBSTONE_MS have passed. The log is trimmed in order, decided entries
// only.

import { setTimeout as sleep } from "node:timers/promises";
import type { Document as Bson, Collection as BsonCollection } from "mongodb";
import { resumeExpired } from "./document-errors.ts";
import { decodeRow, type Row, uniqueKeys } from "./mongo-encoding.ts";
import { isDuplicate, mapped } from "./mongo-errors.ts";
import { isHidden } from "./mongo-query.ts";
import { findHolder, oneByOne, TRIES_MAX, type WriterParts } from "./mongo-writer.ts";
import type { Change, Document } from "./port.ts";
import { BATCH_SIZE } from "./query.ts";
import type { Signal } from "./wake-up.ts";

/** How long a tombstone outlives any call that could still be on its way. */
export const TOMBSTONE_MS = 3_600_000;

const POLL_MS = 200;

/**
 * How long the newest revision is remembered. It must not be trimmed meanwhile, or its successor's
 * number would be free again: that is far less than the time in which `retention` changes are made.
 */
const NEWEST_KNOWN_MS = 500;

/** How long a reader lets a writer finish its own entry. */
const GRACE_MS = 15;

export interface Entry {
  /** The revision. */
  readonly _id: number;
  readonly doc: string;
  /** The revision of the state it changes; 0: none. Negative when void, to free the pair. */
  readonly prev: number;
  readonly op: "put" | "delete";
  readonly v: number;
  readonly d: Bson;
  readonly s: "pending" | "applied" | "void";
}

export interface FeedParts extends WriterParts {
  readonly log: BsonCollection<Entry>;
  readonly retention: number;
  readonly signal: Signal;
}

export class MongoFeed {
  readonly #parts: FeedParts;
  #newest = 0;
  #newestReadMs = Number.NEGATIVE_INFINITY;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(parts: FeedParts) {
    this.#parts = parts;
  }

  /** Logs a change, pending. Undefined when the state it changes has been changed by another. */
  append(change: Omit<Entry, "_id" | "s">): Promise<Entry | undefined> {
    // One at a time: writers of one process would only take each other's revision.
    const turn = this.#tail.then(() => this.#append(change));
    this.#tail = turn.catch(() => {});
    return turn;
  }

  /**
   * Decides a pending entry and marks it. Any number may do so at once; all get the same answer.
   */
  async resolve(entry: Entry): Promise<"applied" | "void"> {
    const outcome = await oneByOne(this.#parts, entry.doc, () => this.#decide(entry));
    const changes = outcome === "void" ? { s: outcome, prev: -entry._id } : { s: outcome };
    const pending = { _id: entry._id, s: "pending" as const };
    await this.#parts.log.updateOne(pending, { $set: changes });
    this.#parts.signal.notify();
    const every = Math.ceil(this.#parts.retention / 10);
    if (entry._id % every === 0) await this.#trim(entry._id - this.#parts.retention);
    return outcome;
  }

  /** Decides what is pending on a document. The revision of its last logged change; 0: none. */
  async settle(id: string): Promise<number> {
    const { log } = this.#parts;
    const filter = { doc: id, s: { $ne: "void" as const } };
    for (;;) {
      const entry = await log.findOne(filter, { sort: { _id: -1 }, readConcern: "local" });
      if (entry === null) return 0;
      if (entry.s === "applied" || (await this.resolve(entry)) === "applied") return entry._id;
    }
  }

  /** The newest applied revision, with everything up to it decided. */
  async revision(): Promise<number> {
    const { log } = this.#parts;
    const newest = await this.#last();
    const upTo = { $lte: newest };
    const pending = log.find({ s: "pending", _id: upTo }, { readConcern: "local" });
    for (const entry of await pending.sort({ _id: 1 }).toArray()) await this.resolve(entry);
    const applied = await log.findOne({ s: "applied", _id: upTo }, { sort: { _id: -1 } });
    return applied?._id ?? newest;
  }

  async *changes<T extends Document>(
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<Change<T>> {
    for (let last = after; !signal.aborted; ) {
      const woken = this.#parts.signal.wait(POLL_MS, signal);
      try {
        const entries = await mapped(() => this.#entries(last));
        for (const entry of entries) {
          if (signal.aborted) return;
          // A scan can pass a place before an entry is there and see its successor: read again.
          if (entry._id !== last + 1) break;
          const outcome = entry.s === "pending" ? await mapped(() => this.#await(entry)) : entry.s;
          if (outcome === "applied") yield changeOf<T>(entry);
          last = entry._id;
        }
        if (entries.length === 0) await woken.promise;
      } finally {
        woken.cancel();
      }
    }
  }

  async #append(change: Omit<Entry, "_id" | "s">): Promise<Entry | undefined> {
    const { log } = this.#parts;
    if (performance.now() - this.#newestReadMs > NEWEST_KNOWN_MS) await this.#readNewest();
    for (let tries = 1; ; tries += 1) {
      const entry: Entry = { _id: this.#newest + 1, ...change, s: "pending" };
      try {
        await log.insertOne(entry);
        this.#newest = entry._id;
        this.#newestReadMs = performance.now();
        return entry;
      } catch (error) {
        if (!isDuplicate(error) || tries === TRIES_MAX) throw error;
      }
      const { doc, prev } = change;
      if ((await log.findOne({ doc, prev }, { readConcern: "local" })) !== null) return undefined;
      await this.#readNewest();
    }
  }

  async #readNewest(): Promise<void> {
    this.#newestReadMs = performance.now();
    this.#newest = await this.#last();
  }

  async #decide(entry: Entry): Promise<"applied" | "void"> {
    const { rows, spec } = this.#parts;
    const { _id: revision, doc } = entry;
    const keys = uniqueKeys(spec, doc, entry.op === "put" ? entry.d : undefined);
    const undecided = { _id: doc, a: { $not: { $gte: revision } } };
    for (let tries = 1; ; tries += 1) {
      try {
        await rows.updateOne(undecided, { $set: this.#content(entry, keys) }, { upsert: true });
        return "applied";
      } catch (error) {
        if (!isDuplicate(error) || tries === TRIES_MAX) throw error;
      }
      const stored = await rows.findOne({ _id: doc }, { readConcern: "local" });
      if (stored !== null && (stored.a ?? 0) >= revision) return this.#decided(entry, stored);
      if (await this.#freeExpired(doc, keys)) continue;
      try {
        const lacking = uniqueKeys(spec, doc, undefined);
        const tombstone = { v: 0, r: 0, d: {}, gone: true, at: this.#now(), ...lacking };
        const fence = { $set: { a: revision }, $setOnInsert: tombstone };
        await rows.updateOne(undecided, fence, { upsert: true });
        return "void";
      } catch (error) {
        if (!isDuplicate(error)) throw error;
      }
    }
  }

  /**
   * What was decided by another: the content bears the revision, or a void moved `a` alone. Where a
   * later change was decided since, this one is marked, or the later one was made on its content.
   */
  async #decided(entry: Entry, stored: Row): Promise<"applied" | "void"> {
    const { log } = this.#parts;
    const { _id: revision, doc } = entry;
    if (stored.r === revision) return "applied";
    if (stored.a === revision) return "void";
    const heir = await log.findOne({ doc, prev: revision }, { readConcern: "local" });
    if (heir !== null) return "applied";
    const marked = await log.findOne({ _id: revision }, { readConcern: "local" });
    return marked?.s === "applied" ? "applied" : "void";
  }

  #content(entry: Entry, keys: Readonly<Record<string, string>>): Bson {
    const { _id: revision, op, v, d } = entry;
    const gone = op === "delete";
    return { v, r: revision, a: revision, d, gone, at: this.#now(), ...keys };
  }

  /** Takes the unique keys from an expired document that has them. False when none has. */
  async #freeExpired(id: string, keys: Readonly<Record<string, string>>): Promise<boolean> {
    const { rows, spec, now } = this.#parts;
    const holder = await findHolder(this.#parts, id, keys);
    if (holder === undefined) return true;
    const { _id, a = 0 } = holder.row;
    if (!isHidden(spec, holder.row, now())) return false;
    const lacking = uniqueKeys(spec, _id, undefined);
    await rows.updateOne({ _id, a }, { $set: { gone: true, at: this.#now(), ...lacking } });
    return true;
  }

  async #entries(last: number): Promise<readonly Entry[]> {
    const { log, spec } = this.#parts;
    const found = log.find({ _id: { $gt: last } }, { readConcern: "majority" });
    const entries = await found.sort({ _id: 1 }).limit(BATCH_SIZE).toArray();
    if (entries[0]?._id === last + 1) return entries;
    const newest = await this.#last();
    const first = await log.findOne({}, { sort: { _id: 1 }, readConcern: "local" });
    const kept = last >= 0 && last <= newest && (first === null || first._id <= last + 1);
    if (kept) return [];
    throw resumeExpired(spec.name, { after: last, oldest: first?._id ?? 0, newest });
  }

  /** Gives the writer of a pending entry a moment, then does its work for it. */
  async #await(entry: Entry): Promise<"applied" | "void"> {
    await sleep(GRACE_MS);
    const again = await this.#parts.log.findOne({ _id: entry._id }, { readConcern: "local" });
    return again === null || again.s === "pending" ? this.resolve(entry) : again.s;
  }

  async #trim(upTo: number): Promise<void> {
    const { log, rows } = this.#parts;
    if (upTo <= 0) return;
    for (const entry of await log.find({ _id: { $lte: upTo }, s: "pending" }).toArray()) {
      await this.resolve(entry);
    }
    await log.deleteMany({ _id: { $lte: upTo } });
    const before = new Date(this.#now().getTime() - TOMBSTONE_MS);
    await rows.deleteMany({ gone: true, a: { $lte: upTo }, at: { $lt: before } });
  }

  async #last(): Promise<number> {
    const options = { sort: { _id: -1 }, projection: { _id: 1 }, readConcern: "local" } as const;
    return (await this.#parts.log.findOne({}, options))?._id ?? 0;
  }

  #now(): Date {
    return new Date(this.#parts.now());
  }
}

function changeOf<T extends Document>(entry: Entry): Change<T> {
  const { _id: revision, doc: id, v, d } = entry;
  if (entry.op === "delete") return { kind: "delete", revision, id };
  return { kind: "put", revision, document: decodeRow<T>({ _id: id, v, r: revision, d }) };
}
