// Acknowledged rows on their way into files. A batch is a small head document and one or more parts
// with its rows, written together; it is there once all of them are, so that a crash in between
// leaves no half batch. Heads alone tell what waits, at little cost. Ids sort in the order of arrival.

import { randomBytes } from "node:crypto";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import type { RowBatch } from "../value.ts";
import { decodePart, encodeBatch, type LoggedRows } from "./batch-codec.ts";
import type { Shape } from "./engine-tasks.ts";
import type { History } from "./history.ts";

/** Documents removed at once. */
const REMOVALS_AT_ONCE = 200;

/** Between a history's uid and the rest of an id; no uid holds it. */
const SEPARATOR = "|";
const AFTER_SEPARATOR = "}";

/** `_id` is `<history uid>|<id that sorts>`. */
export interface Head extends Document {
  readonly workspace: string;
  readonly view: string;
  readonly rows: number;
  readonly bytes: number;
  readonly parts: number;
  /** Id of the receipt of its batch; null: it came without a batch id. */
  readonly receipt: string | null;
  readonly time: Date;
}

/** `_id` is `<id of the head>|<number>`. */
interface Part extends Document {
  readonly bytes: Uint8Array;
  readonly time: Date;
}

/** How a batch is known again. */
export interface AppendOptions {
  /** Of a batch with a batch id: its place in the log and its receipt. */
  readonly receipt?: { readonly id: string; readonly logId: string } | undefined;
}

/** Owns the log of rows that are in no file yet. */
export class PendingLog {
  readonly #heads: Collection<Head>;
  readonly #parts: Collection<Part>;
  readonly #clock: Clock;

  private constructor(heads: Collection<Head>, parts: Collection<Part>, clock: Clock) {
    this.#heads = heads;
    this.#parts = parts;
    this.#clock = clock;
  }

  static async open(documents: DocumentStore, clock: Clock): Promise<PendingLog> {
    return new PendingLog(
      await documents.collection<Head>({ name: "feature_log", indexes: [] }),
      await documents.collection<Part>({ name: "feature_log_rows", indexes: [] }),
      clock,
    );
  }

  /**
   * Durable when it resolves. False: the batch was in the log already. With a receipt, appending
   * again after a crash completes what is missing.
   */
  async append(
    history: History,
    rows: { readonly shape: Shape; readonly batch: RowBatch },
    { receipt }: AppendOptions = {},
  ): Promise<boolean> {
    const time = new Date(this.#clock.now());
    const id = receipt?.logId ?? newLogId(history, this.#clock);
    const parts = encodeBatch(rows.shape, rows.batch);
    const head: Head = {
      _id: id,
      workspace: history.workspace,
      view: history.view,
      rows: rows.batch.rows,
      bytes: parts.reduce((sum, part) => sum + part.length, 0),
      parts: parts.length,
      receipt: receipt?.id ?? null,
      time,
    };
    const [isNew] = await Promise.all([
      insertIfNew(this.#heads, head),
      ...parts.map((bytes, n) => insertIfNew(this.#parts, { _id: partId(id, n), bytes, time })),
    ]);
    return isNew;
  }

  /** The heads of a history, or of all, in order of arrival; some may lack parts. */
  heads(history?: Pick<History, "uid">): AsyncIterable<Head> {
    return this.#heads.find(history === undefined ? {} : range(history));
  }

  /** The id of the batch that came first of those in the log. */
  oldestId(history: Pick<History, "uid">): Promise<string | undefined> {
    return this.#endId(history, 1);
  }

  /** The id of the batch that came last. */
  newestId(history: Pick<History, "uid">): Promise<string | undefined> {
    return this.#endId(history, -1);
  }

  /** The rows of a batch, or undefined while parts are missing or when it is gone. */
  async load(head: Head): Promise<readonly LoggedRows[] | undefined> {
    const parts = await Promise.all(
      Array.from({ length: head.parts }, (_, n) =>
        this.#parts.findOne({ _id: partId(head._id, n) }),
      ),
    );
    return parts.includes(undefined) ? undefined : parts.map((part) => decodePart(part!.bytes));
  }

  /** Removes batches: rows first, so that a head without rows is all that a crash can leave. */
  async remove(heads: readonly Pick<Head, "_id" | "parts">[]): Promise<void> {
    const parts = heads.flatMap(({ _id, parts: count }) =>
      Array.from({ length: count }, (_, n) => partId(_id, n)),
    );
    await removeAll(this.#parts, parts);
    await removeAll(
      this.#heads,
      heads.map(({ _id }) => _id),
    );
  }

  /** The heads with these ids that are still there. */
  async find(ids: readonly string[]): Promise<readonly Head[]> {
    const found: Head[] = [];
    for (let start = 0; start < ids.length; start += REMOVALS_AT_ONCE) {
      const $in = ids.slice(start, start + REMOVALS_AT_ONCE);
      for await (const head of this.#heads.find({ _id: { $in } })) {
        found.push(head);
      }
    }
    return found;
  }

  /** Removes what appends that never ended left behind before a time. */
  async removeTorn(before: Date): Promise<void> {
    const torn: Head[] = [];
    for await (const head of this.#heads.find({ time: { $lt: before } })) {
      if ((await this.load(head)) === undefined) {
        torn.push(head);
      }
    }
    await this.remove(torn);
    const orphans: string[] = [];
    for await (const part of this.#parts.find({ time: { $lt: before } })) {
      const headId = part._id.slice(0, part._id.lastIndexOf(SEPARATOR));
      if ((await this.#heads.findOne({ _id: headId })) === undefined) {
        orphans.push(part._id);
      }
    }
    await removeAll(this.#parts, orphans);
  }

  async #endId(history: Pick<History, "uid">, order: 1 | -1): Promise<string | undefined> {
    for await (const head of this.#heads.find(range(history), { sort: { _id: order }, limit: 1 })) {
      return head._id;
    }
    return undefined;
  }
}

/** The history that a head is of. */
export function historyOfHead(head: Head): History {
  const uid = head._id.slice(0, head._id.lastIndexOf(SEPARATOR));
  return { uid, workspace: head.workspace, view: head.view };
}

/** An id for a new batch: sorts after those made before. */
export function newLogId(history: Pick<History, "uid">, clock: Clock): string {
  const time = String(clock.now()).padStart(15, "0");
  const count = String(counter++).padStart(10, "0");
  return `${history.uid}${SEPARATOR}${time}-${count}-${randomBytes(6).toString("hex")}`;
}

/** An id within its history. */
export function shortId(history: Pick<History, "uid">, id: string): string {
  return id.slice(history.uid.length + SEPARATOR.length);
}

/** The way back. */
export function fullId(history: Pick<History, "uid">, id: string): string {
  return history.uid + SEPARATOR + id;
}

/** Orders ids of one process within a millisecond. */
let counter = 0;

function partId(headId: string, part: number): string {
  return `${headId}${SEPARATOR}${part}`;
}

function range({ uid }: Pick<History, "uid">): { readonly _id: { $gt: string; $lt: string } } {
  return { _id: { $gt: uid + SEPARATOR, $lt: uid + AFTER_SEPARATOR } };
}

async function removeAll<T extends Document>(
  collection: Collection<T>,
  ids: readonly string[],
): Promise<void> {
  for (let start = 0; start < ids.length; start += REMOVALS_AT_ONCE) {
    const some = ids.slice(start, start + REMOVALS_AT_ONCE);
    await Promise.all(some.map((id) => collection.deleteOne(id)));
  }
}
