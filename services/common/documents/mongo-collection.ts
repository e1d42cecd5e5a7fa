// One collection in MongoDB: its indexes, its reads, and its writes handed to a writer.

import type { Collection as BsonCollection, Db } from "mongodb";
import { noFeed } from "./document-errors.ts";
import {
  decodeRow,
  encodeFields,
  fieldPath,
  type Row,
  uniqueField,
  uniqueKeys,
} from "./mongo-encoding.ts";
import { isRefused, mapped } from "./mongo-errors.ts";
import { type Entry, MongoFeed, TOMBSTONE_MS } from "./mongo-feed.ts";
import { FeedWriter } from "./mongo-feed-writer.ts";
import { allOf, conditions, order, visible } from "./mongo-query.ts";
import { PlainWriter, type Writer } from "./mongo-writer.ts";
import type {
  Change,
  Collection,
  CollectionSpec,
  Document,
  Filter,
  FindOptions,
  IfVersion,
  IndexSpec,
  Stored,
} from "./port.ts";
import { BATCH_SIZE, checkId, parseLimit } from "./query.ts";
import type { Signal } from "./wake-up.ts";

interface MongoCollectionParts {
  readonly now: () => number;
  readonly retention: number;
  readonly signal: Signal;
}

export class MongoCollection<T extends Document> implements Collection<T> {
  readonly #rows: BsonCollection<Row>;
  readonly #spec: CollectionSpec;
  readonly #now: () => number;
  readonly #feed: MongoFeed | undefined;
  readonly #writer: Writer;
  /** True: nobody but us deletes what has expired. */
  readonly sweeps: boolean;

  private constructor(
    rows: BsonCollection<Row>,
    spec: CollectionSpec,
    parts: {
      readonly now: () => number;
      readonly feed: MongoFeed | undefined;
      readonly writer: Writer;
      readonly sweeps: boolean;
    },
  ) {
    this.#rows = rows;
    this.#spec = spec;
    this.#now = parts.now;
    this.#feed = parts.feed;
    this.#writer = parts.writer;
    this.sweeps = parts.sweeps;
  }

  static async open<T extends Document>(
    database: Db,
    spec: CollectionSpec,
    { now, retention, signal }: MongoCollectionParts,
  ): Promise<MongoCollection<T>> {
    const rows = database.collection<Row>(spec.name);
    const sweeps = await createIndexes(rows, spec);
    if (spec.feed !== true) {
      const writer = new PlainWriter({ rows, spec, now });
      return new MongoCollection<T>(rows, spec, { now, feed: undefined, writer, sweeps });
    }
    const log = database.collection<Entry>(`${spec.name}_feed`);
    await log.createIndex({ doc: 1, prev: 1 }, { unique: true });
    await log.createIndex({ s: 1, _id: 1 });
    const feed = new MongoFeed({ rows, spec, now, log, retention, signal });
    const writer = new FeedWriter({ rows, spec, now }, feed);
    await feed.revision();
    return new MongoCollection<T>(rows, spec, { now, feed, writer, sweeps });
  }

  async insertOne(document: T): Promise<Stored<T>> {
    const fields = encodeFields(document);
    return decodeRow<T>(await mapped(() => this.#writer.insert(document._id, fields)));
  }

  async findOne(filter: Filter): Promise<Stored<T> | undefined> {
    const query = this.#query(filter);
    const row = await mapped(() => this.#rows.findOne(query, { sort: { _id: 1 } }));
    return row === null ? undefined : decodeRow<T>(row);
  }

  async *find(filter: Filter, options: FindOptions = {}): AsyncGenerator<Stored<T>> {
    const limit = parseLimit(options.limit);
    const sort = order(options.sort);
    await using cursor = this.#rows.find(this.#query(filter), {
      sort,
      batchSize: BATCH_SIZE,
      allowDiskUse: true,
      ...(Number.isFinite(limit) ? { limit } : {}),
    });
    for (;;) {
      const row = await mapped(() => cursor.next());
      if (row === null) return;
      options.signal?.throwIfAborted();
      yield decodeRow<T>(row);
    }
  }

  async countDocuments(filter: Filter): Promise<number> {
    const query = this.#query(filter);
    return mapped(() => this.#rows.countDocuments(query));
  }

  async replaceOne(document: T, condition: IfVersion): Promise<Stored<T>> {
    const fields = encodeFields(document);
    return decodeRow<T>(await mapped(() => this.#writer.replace(document._id, fields, condition)));
  }

  async putOne(document: T): Promise<Stored<T>> {
    const fields = encodeFields(document);
    return decodeRow<T>(await mapped(() => this.#writer.put(document._id, fields)));
  }

  async deleteOne(id: string, condition?: IfVersion): Promise<boolean> {
    checkId(id);
    return mapped(() => this.#writer.delete(id, condition));
  }

  async revision(): Promise<number> {
    return mapped(() => this.#needFeed().revision());
  }

  changes(after: number, signal: AbortSignal): AsyncIterable<Change<T>> {
    return this.#needFeed().changes<T>(after, signal);
  }

  /** Deletes what expired long enough ago that no write of it can still be on its way. */
  async sweep(): Promise<void> {
    for (const index of this.#spec.indexes) {
      if (index.expireAfterSeconds === undefined) continue;
      const cutoff = new Date(this.#now() - index.expireAfterSeconds * 1_000 - TOMBSTONE_MS);
      await this.#rows.deleteMany({ [fieldPath(Object.keys(index.keys)[0]!)]: { $lte: cutoff } });
    }
  }

  #query(filter: Filter) {
    return allOf([...conditions(filter), ...visible(this.#spec, this.#now())]);
  }

  #needFeed(): MongoFeed {
    if (this.#feed === undefined) throw noFeed(this.#spec.name);
    return this.#feed;
  }
}

/** Makes what is missing. True when the server does not delete expired documents itself. */
async function createIndexes(rows: BsonCollection<Row>, spec: CollectionSpec): Promise<boolean> {
  let sweeps = false;
  for (const index of spec.indexes) {
    if (index.unique === true) await createUniqueIndex(rows, spec, index);
    else if (index.expireAfterSeconds === undefined) await rows.createIndex(keysOf(index));
    else if (!(await createExpiringIndex(rows, index))) sweeps = true;
  }
  return sweeps;
}

/** Documents stored before the collection had this index get its key first. */
async function createUniqueIndex(
  rows: BsonCollection<Row>,
  spec: CollectionSpec,
  index: IndexSpec,
): Promise<void> {
  const field = uniqueField(index);
  const known = await rows.indexExists(`${field}_1`).catch(() => false);
  if (known) return;
  for await (const row of rows.find({ [field]: { $exists: false } })) {
    const fields = row.gone === true ? undefined : row.d;
    const key = uniqueKeys(spec, row._id, fields)[field]!;
    await rows.updateOne({ _id: row._id, v: row.v, r: row.r }, { $set: { [field]: key } });
  }
  await rows.createIndex({ [field]: 1 }, { unique: true, name: `${field}_1` });
}

/** The server's clock may be ahead of ours: it deletes later than reads stop showing. */
async function createExpiringIndex(rows: BsonCollection<Row>, index: IndexSpec): Promise<boolean> {
  const seconds = index.expireAfterSeconds! + TOMBSTONE_MS / 1_000;
  const keys = keysOf(index);
  try {
    await rows.createIndex(keys, { expireAfterSeconds: seconds });
    return true;
  } catch (error) {
    if (!isRefused(error)) throw error;
    await rows.createIndex(keys);
    return false;
  }
}

function keysOf(index: IndexSpec): Record<string, 1 | -1> {
  return Object.fromEntries(
    Object.entries(index.keys).map(([field, direction]) => [fieldPath(field), direction]),
  );
}
