// The changes of one collection, numbered without gaps because they are numbered inside the write
// transaction. Readers in this process are woken by the commit; other processes' writes are found
// by looking every POLL_MS.

import { resumeExpired } from "./document-errors.ts";
import type { Change, Document } from "./port.ts";
import { BATCH_SIZE } from "./query.ts";
import type { SqliteConnection } from "./sqlite-connection.ts";
import { decodeBody } from "./sqlite-encoding.ts";
import { identifier } from "./sqlite-query.ts";
import type { Signal } from "./wake-up.ts";

const POLL_MS = 200;

interface ChangeRow {
  readonly revision: number;
  readonly kind: "put" | "delete";
  readonly id: string;
  readonly version: number;
  readonly body: string | null;
}

export class SqliteFeed {
  readonly #connection: SqliteConnection;
  readonly #collection: string;
  readonly #retention: number;
  readonly #table: string;
  readonly #signal: Signal;

  private constructor(
    connection: SqliteConnection,
    collection: string,
    parts: { readonly retention: number; readonly signal: Signal },
  ) {
    this.#connection = connection;
    this.#collection = collection;
    this.#retention = parts.retention;
    this.#table = identifier(`feed_${collection}`);
    this.#signal = parts.signal;
    connection.onClose(() => this.#signal.notify());
  }

  static async open(
    connection: SqliteConnection,
    collection: string,
    parts: { readonly retention: number; readonly signal: Signal },
  ): Promise<SqliteFeed> {
    await connection.define([
      `CREATE TABLE IF NOT EXISTS ${identifier(`feed_${collection}`)} (
        revision INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,
        version INTEGER NOT NULL, body TEXT) STRICT`,
    ]);
    return new SqliteFeed(connection, collection, parts);
  }

  /** The number the next change gets. Only inside a write. */
  next(): number {
    return this.#newest() + 1;
  }

  /**
   * Adds the change that `next` numbered, and drops the oldest now and then. Only inside a write.
   */
  append(change: ChangeRow): void {
    const { revision } = change;
    this.#connection
      .prepare(`INSERT INTO ${this.#table} VALUES (?, ?, ?, ?, ?)`)
      .run(revision, change.kind, change.id, change.version, change.body);
    if (revision % Math.ceil(this.#retention / 10) === 0) {
      const sql = `DELETE FROM ${this.#table} WHERE revision <= ?`;
      this.#connection.prepare(sql).run(revision - this.#retention);
    }
  }

  /** Wakes the readers of this process. */
  notify(): void {
    this.#signal.notify();
  }

  async revision(): Promise<number> {
    return this.#connection.read(() => this.#newest());
  }

  async *changes<T extends Document>(
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<Change<T>> {
    const sql = `SELECT * FROM ${this.#table} WHERE revision > ? ORDER BY revision LIMIT ?`;
    for (let last = after; !signal.aborted; ) {
      const woken = this.#signal.wait(POLL_MS, signal);
      try {
        const rows = await this.#connection.read(() => {
          const found = this.#connection.prepare(sql).all(last, BATCH_SIZE);
          return this.#checked(last, found as unknown as readonly ChangeRow[]);
        });
        for (const row of rows) {
          if (signal.aborted) return;
          yield changeOf<T>(row);
          last = row.revision;
        }
        if (rows.length === 0) await woken.promise;
      } finally {
        woken.cancel();
      }
    }
  }

  /** The rows, which must continue right after `last`. @throws FailedPrecondition */
  #checked(last: number, rows: readonly ChangeRow[]): readonly ChangeRow[] {
    const first = rows[0]?.revision;
    const newest = this.#newest();
    const expired = first === undefined ? last > newest : first !== last + 1;
    if (expired || !(last >= 0)) {
      const sql = `SELECT coalesce(min(revision), 0) AS oldest FROM ${this.#table}`;
      const { oldest } = this.#connection.prepare(sql).get() as { oldest: number };
      throw resumeExpired(this.#collection, { after: last, oldest, newest });
    }
    return rows;
  }

  #newest(): number {
    const sql = `SELECT coalesce(max(revision), 0) AS newest FROM ${this.#table}`;
    return (this.#connection.prepare(sql).get() as { newest: number }).newest;
  }
}

function changeOf<T extends Document>(row: ChangeRow): Change<T> {
  const { id, version, revision, body } = row;
  if (body === null) return { kind: "delete", revision, id };
  return { kind: "put", revision, document: decodeBody<T>({ id, version, revision, body }) };
}
