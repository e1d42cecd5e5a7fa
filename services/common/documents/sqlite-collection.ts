// One collection in SQLite: a table of JSON documents and, with a feed, a table of changes that is
// written in the same transaction, so that neither is ever there without the other.

import { alreadyExists, noFeed, notFound, versionMismatch } from "./document-errors.ts";
import type {
  Change,
  Collection,
  CollectionSpec,
  Document,
  Filter,
  FindOptions,
  IfVersion,
  Stored,
} from "./port.ts";
import { BATCH_SIZE, checkId, indexLabel, parseLimit } from "./query.ts";
import { type SqliteConnection, violatedConstraint } from "./sqlite-connection.ts";
import { decodeBody, encodeBody } from "./sqlite-encoding.ts";
import type { SqliteFeed } from "./sqlite-feed.ts";
import {
  all,
  type Condition,
  conflictSql,
  createIndexSql,
  expiredSql,
  identifier,
  indexName,
  orderSql,
  whereSql,
} from "./sqlite-query.ts";

/** A row of the documents' table. */
interface Row {
  readonly seq: number;
  readonly id: string;
  readonly version: number;
  readonly revision: number;
  readonly body: string;
}

/** What a write needs to know of the row that it replaces: not the document in it. */
type Head = Pick<Row, "seq" | "id" | "version">;

/** Expired documents deleted in one transaction. */
const SWEEP_MAX = 1_000;

export class SqliteCollection<T extends Document> implements Collection<T> {
  readonly #connection: SqliteConnection;
  readonly #spec: CollectionSpec;
  readonly #feed: SqliteFeed | undefined;
  readonly #table: string;
  readonly #now: () => number;

  private constructor(
    connection: SqliteConnection,
    spec: CollectionSpec,
    parts: { readonly feed: SqliteFeed | undefined; readonly now: () => number },
  ) {
    this.#connection = connection;
    this.#spec = spec;
    this.#feed = parts.feed;
    this.#table = identifier(`doc_${spec.name}`);
    this.#now = parts.now;
  }

  static async open<T extends Document>(
    connection: SqliteConnection,
    spec: CollectionSpec,
    parts: { readonly feed: SqliteFeed | undefined; readonly now: () => number },
  ): Promise<SqliteCollection<T>> {
    await connection.define([
      `CREATE TABLE IF NOT EXISTS ${identifier(`doc_${spec.name}`)} (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
        revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT`,
      ...spec.indexes.map((index) => createIndexSql(spec.name, index)),
    ]);
    return new SqliteCollection<T>(connection, spec, parts);
  }

  async insertOne(document: T): Promise<Stored<T>> {
    const { _id: id } = document;
    const body = encodeBody(document);
    return this.#write(() => this.#insert(id, body));
  }

  async findOne(filter: Filter): Promise<Stored<T> | undefined> {
    const where = this.#visible(whereSql(filter));
    const sql = `SELECT * FROM ${this.#table} WHERE ${where.sql} ORDER BY id LIMIT 1`;
    const rows = await this.#connection.read(() => this.#rows(sql, where.values));
    return rows[0] === undefined ? undefined : decodeBody<T>(rows[0]);
  }

  async *find(filter: Filter, options: FindOptions = {}): AsyncGenerator<Stored<T>> {
    const limit = parseLimit(options.limit);
    const where = whereSql(filter);
    const batches =
      options.sort === undefined
        ? this.#batchesById(where, limit)
        : this.#batchesSorted(where, orderSql(options.sort), limit);
    for await (const rows of batches) {
      for (const row of rows) {
        options.signal?.throwIfAborted();
        yield decodeBody<T>(row);
      }
    }
  }

  async countDocuments(filter: Filter): Promise<number> {
    const where = this.#visible(whereSql(filter));
    const sql = `SELECT count(*) AS n FROM ${this.#table} WHERE ${where.sql}`;
    return this.#connection.read(() => {
      return (this.#connection.prepare(sql).get(...where.values) as { n: number }).n;
    });
  }

  async replaceOne(document: T, condition: IfVersion): Promise<Stored<T>> {
    const { _id: id } = document;
    const body = encodeBody(document);
    return this.#write(() => {
      const stored = this.#stored(id);
      if (stored === undefined) throw notFound(this.#spec.name, id);
      this.#checkVersion(stored, condition);
      return this.#update(stored, body);
    });
  }

  async putOne(document: T): Promise<Stored<T>> {
    const { _id: id } = document;
    const body = encodeBody(document);
    return this.#write(() => {
      const stored = this.#stored(id);
      return stored === undefined ? this.#insert(id, body) : this.#update(stored, body);
    });
  }

  async deleteOne(id: string, condition?: IfVersion): Promise<boolean> {
    checkId(id);
    return this.#connection.write(
      () => {
        const stored = this.#stored(id);
        if (stored === undefined) return false;
        if (condition !== undefined) this.#checkVersion(stored, condition);
        this.#connection.prepare(`DELETE FROM ${this.#table} WHERE seq = ?`).run(stored.seq);
        const revision = this.#feed?.next() ?? 0;
        this.#feed?.append({ revision, kind: "delete", id, version: stored.version, body: null });
        return true;
      },
      () => this.#feed?.notify(),
    );
  }

  async revision(): Promise<number> {
    return this.#needFeed().revision();
  }

  changes(after: number, signal: AbortSignal): AsyncIterable<Change<T>> {
    return this.#needFeed().changes<T>(after, signal);
  }

  /** Deletes what has expired from the file. */
  async sweep(): Promise<void> {
    for (;;) {
      const expired = expiredSql(this.#spec, this.#now());
      if (expired === undefined) return;
      const chosen = `SELECT seq FROM ${this.#table} WHERE ${expired.sql} LIMIT ${SWEEP_MAX}`;
      const sql = `DELETE FROM ${this.#table} WHERE seq IN (${chosen})`;
      const { changes } = await this.#connection.write(() => {
        return this.#connection.prepare(sql).run(...expired.values);
      });
      if (Number(changes) < SWEEP_MAX) return;
    }
  }

  /** By `_id`, each batch starting after the last document of the one before. */
  async *#batchesById(filter: Condition, limit: number): AsyncGenerator<readonly Row[]> {
    let after: string | undefined;
    for (let left = limit; left > 0; ) {
      const from = after === undefined ? [] : [{ sql: "id > ?", values: [after] }];
      const where = this.#visible(all([filter, ...from]));
      const size = Math.min(BATCH_SIZE, left);
      const sql = `SELECT * FROM ${this.#table} WHERE ${where.sql} ORDER BY id LIMIT ?`;
      const rows = await this.#connection.read(() => this.#rows(sql, [...where.values, size]));
      yield rows;
      if (rows.length < size) return;
      after = rows.at(-1)!.id;
      left -= rows.length;
    }
  }

  /** The order first, as row numbers only, then the documents in batches. */
  async *#batchesSorted(
    filter: Condition,
    order: string,
    limit: number,
  ): AsyncGenerator<readonly Row[]> {
    const where = this.#visible(filter);
    const ordered = `SELECT seq FROM ${this.#table} WHERE ${where.sql} ORDER BY ${order} LIMIT ?`;
    const bound = Number.isFinite(limit) ? limit : -1;
    const numbers = await this.#connection.read(() => {
      const rows = this.#connection.prepare(ordered).all(...where.values, bound);
      return rows.map((row) => Number(row.seq));
    });
    for (let start = 0; start < numbers.length; start += BATCH_SIZE) {
      const batch = JSON.stringify(numbers.slice(start, start + BATCH_SIZE));
      const still = this.#visible(filter);
      const sql =
        // Only the two columns: json_each has an `id` too, which a filter on ours would not tell
        // apart.
        "SELECT doc.* FROM (SELECT key AS place, value AS number FROM json_each(?)) AS wanted " +
        `JOIN ${this.#table} AS doc ON doc.seq = wanted.number WHERE ${still.sql} ORDER BY place`;
      yield await this.#connection.read(() => this.#rows(sql, [batch, ...still.values]));
    }
  }

  #write(run: () => Row): Promise<Stored<T>> {
    return this.#connection
      .write(run, () => this.#feed?.notify())
      .then((row) => decodeBody<T>(row));
  }

  #insert(id: string, body: string): Row {
    const revision = this.#feed?.next() ?? 0;
    const sql = `INSERT INTO ${this.#table} (id, version, revision, body) VALUES (?, 1, ?, ?)`;
    const row: Row = { seq: 0, id, version: 1, revision, body };
    this.#keepingUnique(row, () => this.#connection.prepare(sql).run(id, revision, body));
    this.#feed?.append({ revision, kind: "put", id, version: 1, body });
    return row;
  }

  #update(stored: Head, body: string): Row {
    const { seq, id } = stored;
    const version = stored.version + 1;
    const revision = this.#feed?.next() ?? 0;
    const sql = `UPDATE ${this.#table} SET version = ?, revision = ?, body = ? WHERE seq = ?`;
    const row: Row = { seq, id, version, revision, body };
    this.#keepingUnique(row, () => this.#connection.prepare(sql).run(version, revision, body, seq));
    this.#feed?.append({ revision, kind: "put", id, version, body });
    return row;
  }

  /**
   * Runs a statement; where only expired documents are in its way, removes them and runs it again.
   */
  #keepingUnique(row: Row, run: () => void): void {
    try {
      run();
    } catch (error) {
      const message = violatedConstraint(error);
      if (message === undefined) throw error;
      if (!this.#reclaim(row)) throw this.#taken(message);
      this.#keepingUnique(row, run);
    }
  }

  /** Removes other, expired documents that hold a key of this one. False when there were none. */
  #reclaim({ seq, id, body }: Row): boolean {
    const expired = expiredSql(this.#spec, this.#now());
    if (expired === undefined) return false;
    const other = { sql: "seq <> ?", values: [seq] };
    const where = all([expired, other, conflictSql(this.#spec, id, body)]);
    const sql = `DELETE FROM ${this.#table} WHERE ${where.sql}`;
    return Number(this.#connection.prepare(sql).run(...where.values).changes) > 0;
  }

  #taken(message: string): Error {
    const index = this.#spec.indexes.find((candidate) => {
      return message.includes(indexName(this.#spec.name, candidate));
    });
    return alreadyExists(this.#spec.name, index === undefined ? "_id" : indexLabel(index));
  }

  #stored(id: string): Head | undefined {
    const where = this.#visible({ sql: "id = ?", values: [id] });
    const sql = `SELECT seq, id, version FROM ${this.#table} WHERE ${where.sql}`;
    return this.#connection.prepare(sql).get(...where.values) as Head | undefined;
  }

  #checkVersion(stored: Head, { ifVersion }: IfVersion): void {
    if (stored.version === ifVersion) return;
    const versions = { expected: ifVersion, stored: stored.version };
    throw versionMismatch(this.#spec.name, stored.id, versions);
  }

  /** The condition, and not expired. */
  #visible(condition: Condition): Condition {
    const expired = expiredSql(this.#spec, this.#now());
    if (expired === undefined) return condition;
    return all([condition, { sql: `NOT coalesce(${expired.sql}, 0)`, values: expired.values }]);
  }

  #rows(sql: string, values: readonly (string | number)[]): readonly Row[] {
    return this.#connection.prepare(sql).all(...values) as unknown as readonly Row[];
  }

  #needFeed(): SqliteFeed {
    if (this.#feed === undefined) throw noFeed(this.#spec.name);
    return this.#feed;
  }
}
