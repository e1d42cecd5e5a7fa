// Keeps what people set of how deployments are monitored: one document a deployment, read from
// memory. What another process changes comes by the collection's feed, within about a second.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower, idOf } from "../../common/documents/follow-feed.ts";
import type { Collection, Document, DocumentStore, Stored } from "../../common/documents/port.ts";
import { withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, AlreadyExists } from "../../common/errors/domain-error.ts";
import { etagOf, requireEtag } from "../../common/etag.ts";
import { DEFAULT_SETTINGS, type MonitorSettings } from "./monitor-settings.ts";

/** Deployments held in memory; the one that was read first goes first. */
const ENTRIES_MAX = 4096;
/** With the pauses below enough for a hundred writers of one monitor at once. */
const TRIES_MAX = 50;
const BACKOFF_MS_MAX = 100;

/** A monitor that somebody has set. `_id` is the deployment's name. */
export interface MonitorRecord extends Document {
  readonly uid: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly settings: MonitorSettings;
}

/** Owns the settings in memory and the feed that keeps them new. */
export class MonitorStore implements AsyncDisposable {
  readonly #collection: Collection<MonitorRecord>;
  readonly #clock: Clock;
  readonly #settings = new Map<string, MonitorSettings>();
  #follower: AsyncDisposable | undefined;
  /** Counts what was forgotten: what was being read meanwhile is not kept. */
  #generation = 0;

  private constructor(collection: Collection<MonitorRecord>, clock: Clock) {
    this.#collection = collection;
    this.#clock = clock;
  }

  /** Opens the collection and begins to follow it. */
  static async open(documents: DocumentStore, clock: Clock): Promise<MonitorStore> {
    const collection = await documents.collection<MonitorRecord>({
      name: "monitors",
      indexes: [],
      feed: true,
    });
    const store = new MonitorStore(collection, clock);
    store.#follower = await FeedFollower.start(collection, {
      changed: (change) => store.#forget(idOf(change)),
      missed: () => store.#forget(),
    });
    return store;
  }

  /**
   * The settings of a deployment (by name); the defaults where nobody has set any. The same object
   * until they change; a change by another process counts within about a second, one through this
   * store at once.
   */
  async get(deployment: string): Promise<MonitorSettings> {
    const known = this.#settings.get(deployment);
    if (known !== undefined) {
      return known;
    }
    const generation = this.#generation;
    const settings = (await this.record(deployment))?.settings ?? DEFAULT_SETTINGS;
    if (generation === this.#generation) {
      this.#keep(deployment, settings);
    }
    return settings;
  }

  /** What is stored of a deployment, as new as any change before the call. */
  record(deployment: string): Promise<Stored<MonitorRecord> | undefined> {
    return this.#collection.findOne({ _id: deployment });
  }

  /**
   * Changes the settings of a deployment; begins again when another writer was faster, unless the
   * etag says which state was meant.
   * @throws Aborted (ETAG_MISMATCH); what `change` throws
   */
  async update(
    target: { readonly deployment: string; readonly name: string; readonly etag: string },
    change: (current: MonitorSettings) => MonitorSettings,
  ): Promise<Stored<MonitorRecord>> {
    const { deployment, name, etag } = target;
    for (let tries = 1; ; tries++) {
      const current = await this.record(deployment);
      const currentEtag = current === undefined ? "" : etagOf(current.uid, current.version);
      requireEtag(etag, currentEtag, name);
      const settings = change(current?.settings ?? DEFAULT_SETTINGS);
      try {
        const stored = await this.#write(deployment, current, settings);
        this.#forget(deployment);
        return stored;
      } catch (error) {
        const isRace = error instanceof Aborted || error instanceof AlreadyExists;
        if (!isRace || tries === TRIES_MAX) {
          throw error;
        }
        await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower?.[Symbol.asyncDispose]();
  }

  #write(
    deployment: string,
    current: Stored<MonitorRecord> | undefined,
    settings: MonitorSettings,
  ): Promise<Stored<MonitorRecord>> {
    const updateTime = new Date(this.#clock.now());
    return current === undefined
      ? this.#collection.insertOne({
          _id: deployment,
          uid: randomUUID(),
          createTime: updateTime,
          updateTime,
          settings,
        })
      : this.#collection.replaceOne(
          { ...withoutStamps(current), updateTime, settings },
          { ifVersion: current.version },
        );
  }

  #keep(deployment: string, settings: MonitorSettings): void {
    this.#settings.set(deployment, settings);
    if (this.#settings.size > ENTRIES_MAX) {
      this.#settings.delete(this.#settings.keys().next().value ?? "");
    }
  }

  #forget(deployment?: string): void {
    this.#generation += 1;
    if (deployment === undefined) {
      this.#settings.clear();
    } else {
      this.#settings.delete(deployment);
    }
  }
}
