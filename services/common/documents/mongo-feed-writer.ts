// Writes of a collection with a feed: each goes through the log of mongo-feed.ts.

import { setTimeout as sleep } from "node:timers/promises";
import type { Document as Bson } from "mongodb";
import { alreadyExists, notFound, unavailable, versionMismatch } from "./document-errors.ts";
import { type Row, uniqueKeys } from "./mongo-encoding.ts";
import type { Entry, MongoFeed } from "./mongo-feed.ts";
import { isHidden } from "./mongo-query.ts";
import { findHolder, TRIES_MAX, type Writer, type WriterParts } from "./mongo-writer.ts";
import type { IfVersion } from "./port.ts";
import { indexLabel } from "./query.ts";

/** Pause before a write that lost to another is tried again. */
const RETRY_MAX_MS = 10;

/** What a write wants to happen, given what is there. It may throw instead. */
type Intent = (stored: Row | undefined) => Pick<Entry, "op" | "v" | "d"> | undefined;

export class FeedWriter implements Writer {
  readonly #parts: WriterParts;
  readonly #feed: MongoFeed;

  constructor(parts: WriterParts, feed: MongoFeed) {
    this.#parts = parts;
    this.#feed = feed;
  }

  insert(id: string, d: Bson): Promise<Row> {
    return this.#put(id, (stored) => {
      if (stored !== undefined) throw alreadyExists(this.#parts.spec.name, "_id");
      return { op: "put", v: 1, d };
    });
  }

  replace(id: string, d: Bson, condition: IfVersion): Promise<Row> {
    return this.#put(id, (stored) => {
      if (stored === undefined) throw notFound(this.#parts.spec.name, id);
      this.#checkVersion(stored, condition);
      return { op: "put", v: stored.v + 1, d };
    });
  }

  put(id: string, d: Bson): Promise<Row> {
    return this.#put(id, (stored) => ({ op: "put", v: (stored?.v ?? 0) + 1, d }));
  }

  async delete(id: string, condition: IfVersion | undefined): Promise<boolean> {
    const entry = await this.#write(id, (stored) => {
      if (stored === undefined) return undefined;
      if (condition !== undefined) this.#checkVersion(stored, condition);
      return { op: "delete", v: stored.v, d: {} };
    });
    return entry !== undefined;
  }

  async #put(id: string, intent: Intent): Promise<Row> {
    const entry = await this.#write(id, intent);
    return { _id: id, v: entry!.v, r: entry!._id, d: entry!.d };
  }

  async #write(id: string, intent: Intent): Promise<Entry | undefined> {
    const { rows, spec, now } = this.#parts;
    let floor = 0;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      const stored = await rows.findOne({ _id: id }, { readConcern: "local" });
      if (stored === null || stored.r >= floor) {
        const shown = stored === null || isHidden(spec, stored, now()) ? undefined : stored;
        const change = intent(shown);
        if (change === undefined) return undefined;
        if (change.op === "put") await this.#checkUnique(id, change.d);
        const prev = Math.max(stored?.r ?? 0, floor);
        const entry = await this.#feed.append({ doc: id, prev, ...change });
        if (entry !== undefined) return this.#finish(entry);
      }
      floor = await this.#feed.settle(id);
      if (tries > 1) await sleep(Math.random() * RETRY_MAX_MS);
    }
    throw unavailable(`too many others write "${id}"`);
  }

  async #finish(entry: Entry): Promise<Entry> {
    if ((await this.#feed.resolve(entry)) === "applied") return entry;
    await this.#checkUnique(entry.doc, entry.d);
    const first = this.#parts.spec.indexes.find((index) => index.unique === true);
    if (first === undefined) throw unavailable(`a change of "${entry.doc}" was superseded`);
    throw alreadyExists(this.#parts.spec.name, indexLabel(first));
  }

  /** Spares the log an entry that would be void; what races past it is decided there. */
  async #checkUnique(id: string, fields: Bson): Promise<void> {
    const { spec, now } = this.#parts;
    const holder = await findHolder(this.#parts, id, uniqueKeys(spec, id, fields));
    if (holder === undefined || isHidden(spec, holder.row, now())) return;
    throw alreadyExists(spec.name, holder.label);
  }

  #checkVersion(stored: Row, { ifVersion }: IfVersion): void {
    if (stored.v === ifVersion) return;
    const versions = { expected: ifVersion, stored: stored.v };
    throw versionMismatch(this.#parts.spec.name, stored._id, versions);
  }
}
