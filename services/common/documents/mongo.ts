// The MongoDB driver of the documents port, for any number of replicas of a service: majority
// writes with journal, majority reads from the primary. It uses single-document commands only, so
// that it also works on servers that speak the protocol without transactions, change streams or
// TTL.

import { MongoClient } from "mongodb";
import { type Clock, systemClock } from "../clock.ts";
import { ExpirySweeper } from "./expiry-sweeper.ts";
import { MongoCollection } from "./mongo-collection.ts";
import { mapped } from "./mongo-errors.ts";
import type { Collection, CollectionSpec, Document, DocumentStore } from "./port.ts";
import { checkSpec, FEED_RETENTION } from "./query.ts";
import { sharedSignal } from "./wake-up.ts";

export interface MongoStoreOptions {
  /** A MongoDB connection string; its path names the database, "plinth" when there is none. */
  readonly uri: string;
  /** What expiry is measured by. */
  readonly clock?: Clock;
  /** Changes a feed keeps at least; up to a tenth more may be there. */
  readonly feedRetention?: number;
}

/** A server that is gone and one that hangs: each under the port's promise of 5 seconds. */
const CALL_MAX_MS = 4_500;
const SERVER_SELECTION_MAX_MS = 3_000;

/** How often an absent server is looked for. */
const HEARTBEAT_MS = 1_000;
const POOL_MAX = 64;
const SWEEP_INTERVAL_MS = 60_000;
const DEFAULT_DATABASE = "plinth";

/** Connects. @throws Unavailable */
export async function openMongoStore(options: MongoStoreOptions): Promise<DocumentStore> {
  const client = new MongoClient(options.uri, {
    appName: "plinth",
    retryWrites: false,
    readPreference: "primary",
    readConcern: { level: "majority" },
    writeConcern: { w: "majority", journal: true },
    ignoreUndefined: true,
    promoteBuffers: false,
    socketTimeoutMS: CALL_MAX_MS,
    waitQueueTimeoutMS: CALL_MAX_MS,
    serverSelectionTimeoutMS: SERVER_SELECTION_MAX_MS,
    connectTimeoutMS: SERVER_SELECTION_MAX_MS,
    heartbeatFrequencyMS: HEARTBEAT_MS,
    maxPoolSize: POOL_MAX,
  });
  const store = new MongoStore(client, options);
  try {
    await store.ping();
    return store;
  } catch (error) {
    await client.close();
    throw error;
  }
}

class MongoStore implements DocumentStore {
  readonly #client: MongoClient;
  readonly #options: MongoStoreOptions;
  readonly #database: string;
  readonly #sweeper = new ExpirySweeper(SWEEP_INTERVAL_MS);

  constructor(client: MongoClient, options: MongoStoreOptions) {
    this.#client = client;
    this.#options = options;
    this.#database = databaseOf(options.uri);
  }

  async collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>> {
    checkSpec(spec);
    const clock = this.#options.clock ?? systemClock;
    const signal = sharedSignal(`${this.#options.uri}\0${spec.name}`);
    const retention = this.#options.feedRetention ?? FEED_RETENTION;
    const parts = { now: () => clock.now(), retention, signal };
    const database = this.#client.db(this.#database);
    const collection = await mapped(() => MongoCollection.open<T>(database, spec, parts));
    if (collection.sweeps) {
      this.#sweeper.add(spec.name, () => collection.sweep());
    }
    return collection;
  }

  async ping(): Promise<void> {
    await mapped(() => this.#client.db(this.#database).command({ ping: 1 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const swept = this.#sweeper[Symbol.asyncDispose]();
    await this.#client.close();
    await swept;
  }
}

/** The path of a connection string, which may list several hosts and so is no URL. */
function databaseOf(uri: string): string {
  const path = /^mongodb(?:\+srv)?:\/\/[^/]*\/([^?]+)/.exec(uri)?.[1];
  return path === undefined ? DEFAULT_DATABASE : decodeURIComponent(path);
}
