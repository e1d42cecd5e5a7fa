// The embedded driver of the documents port, on the SQLite inside Node: nothing to install, one
// file, any number of processes. Durable by WAL with synchronous FULL: each commit waits for the
// disk. Calls run on the event loop (node:sqlite is synchronous); what bounds them is said where it
// is done.

import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { unavailable } from "./document-errors.ts";
import { ExpirySweeper } from "./expiry-sweeper.ts";
import type { Collection, CollectionSpec, Document, DocumentStore } from "./port.ts";
import { checkSpec, FEED_RETENTION } from "./query.ts";
import { SqliteCollection } from "./sqlite-collection.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { SqliteFeed } from "./sqlite-feed.ts";
import { Signal, sharedSignal } from "./wake-up.ts";

export interface SqliteStoreOptions {
  /**
   * The database file; its folder is made where missing. ":memory:" for one that ends with the
   * store.
   */
  readonly path: string;
  /** What expiry is measured by. */
  readonly clock?: Clock;
  /** Changes a feed keeps at least; up to a tenth more may be there. */
  readonly feedRetention?: number;
  /** How long a call waits for a lock that another process holds before it is Unavailable. */
  readonly lockWaitMaxMs?: number;
  /** How often expired documents are deleted from the file; 0: never. Reads never show them. */
  readonly sweepIntervalMs?: number;
}

/** Under the port's promise of 5 seconds. */
const LOCK_WAIT_MAX_MS = 4_000;
const SWEEP_INTERVAL_MS = 60_000;

/** Opens a store. @throws Unavailable, ResourceExhausted, DataLoss */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<DocumentStore> {
  const path = options.path === ":memory:" ? options.path : resolve(options.path);
  if (path !== ":memory:") {
    makeFolder(dirname(path));
    makeFile(path);
  }
  const lockWaitMaxMs = options.lockWaitMaxMs ?? LOCK_WAIT_MAX_MS;
  const connection = await SqliteConnection.open({ path, lockWaitMaxMs });
  return new SqliteStore(connection, { ...options, path });
}

class SqliteStore implements DocumentStore {
  readonly #connection: SqliteConnection;
  readonly #options: SqliteStoreOptions;
  readonly #sweeper: ExpirySweeper;
  readonly #signals = new Map<string, Signal>();

  constructor(connection: SqliteConnection, options: SqliteStoreOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#sweeper = new ExpirySweeper(options.sweepIntervalMs ?? SWEEP_INTERVAL_MS);
  }

  async collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>> {
    checkSpec(spec);
    const clock = this.#options.clock ?? systemClock;
    const feed = spec.feed === true ? await this.#feed(spec.name) : undefined;
    const parts = { feed, now: () => clock.now() };
    const collection = await SqliteCollection.open<T>(this.#connection, spec, parts);
    if (spec.indexes.some((index) => index.expireAfterSeconds !== undefined)) {
      this.#sweeper.add(spec.name, () => collection.sweep());
    }
    return collection;
  }

  async ping(): Promise<void> {
    await this.#connection.read(() =>
      this.#connection.prepare("SELECT 1 FROM sqlite_schema").get(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const swept = this.#sweeper[Symbol.asyncDispose]();
    await this.#connection[Symbol.asyncDispose]();
    await swept;
  }

  #feed(collection: string): Promise<SqliteFeed> {
    const { path } = this.#options;
    const own = this.#signals.get(collection) ?? new Signal();
    this.#signals.set(collection, own);
    const signal = path === ":memory:" ? own : sharedSignal(`${path}\0${collection}`);
    const retention = this.#options.feedRetention ?? FEED_RETENTION;
    return SqliteFeed.open(this.#connection, collection, { retention, signal });
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw unavailable("its folder cannot be made", error);
  }
}

/**
 * What is in it may be private: made for this user alone, which SQLite goes by for the files that it
 * makes beside it. A file that is there is not touched: to close it would drop the locks on it that
 * other connections of this process hold.
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch {
    // It is there, or SQLite says why it cannot be made.
  }
}
