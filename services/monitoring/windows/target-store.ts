// Keeps the targets: who they are and how far their time has come. What a batch says of its target
// is kept in memory and written at most once a second; what a crash loses of it is a second of the
// event clock, and windows that had closed have a record that says so.

import type { Clock } from "../../common/clock.ts";
import type { Collection, DocumentStore, Stored } from "../../common/documents/port.ts";
import { collect, withoutStamps } from "../../common/documents/resource.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorSettings } from "../monitors/monitor-settings.ts";
import { type Target, targetId } from "../target.ts";
import { clockAt, firstLength, type WindowLength, withLength } from "./event-clock.ts";
import { busy, isLostRace, TRIES_MAX } from "./part-collection.ts";

/** How long what a batch says may wait to be written. */
const WRITE_MS = 1000;
/** Targets held in memory; those that were seen least recently go first. */
const LIVE_MAX = 10_000;

/** As stored. */
export interface TargetDocument extends Target {
  /** Ascending; the first counts from ever. */
  readonly lengths: readonly WindowLength[];
  /** When nothing of it is kept any more. */
  readonly expireTime: Date;
}

/** A target in memory. */
export interface LiveTarget {
  document: TargetDocument;
  /** Of what is stored. */
  version: number;
  isDirty: boolean;
  writtenMs: number;
  /** Windows that end here or before have closed; rows for them are late. */
  closedUntilUs: number;
}

export interface TargetStoreDeps {
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "backgroundFailed">;
  /** End of the newest window of a target that has closed, as it is stored. */
  readonly closedUntil: (id: string) => Promise<number>;
}

/** Owns the targets in memory and their collection. */
export class TargetStore implements AsyncDisposable {
  readonly #deps: TargetStoreDeps;
  readonly #collection: Collection<TargetDocument>;
  /** In the order of use. */
  readonly #live = new Map<string, LiveTarget>();
  readonly #loading = new Map<string, Promise<LiveTarget>>();
  readonly #writing = new Map<string, Promise<void>>();

  private constructor(deps: TargetStoreDeps, collection: Collection<TargetDocument>) {
    this.#deps = deps;
    this.#collection = collection;
  }

  static async open(deps: TargetStoreDeps): Promise<TargetStore> {
    const collection = await deps.documents.collection<TargetDocument>({
      name: "targets",
      indexes: [
        { keys: { workspace: 1, deployment: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
      ],
    });
    return new TargetStore(deps, collection);
  }

  /** The target of a batch, stored if it is new; with windows as long as the monitor says. */
  async of(batch: DecodedBatch, settings: MonitorSettings): Promise<LiveTarget> {
    const id = targetId(batch.target);
    let live = this.#live.get(id);
    if (live === undefined) {
      const loading = this.#loading.get(id) ?? this.#load(id, batch, settings);
      this.#loading.set(id, loading);
      live = await loading;
    }
    this.#live.delete(id);
    this.#live.set(id, live);
    if (live.document.lengths.at(-1)?.lengthUs !== settings.windowUs) {
      await this.#changeLength(live, settings.windowUs);
    }
    return live;
  }

  /** Notes what a batch says, once it is counted. `newestUs`: of its event times that count. */
  async note(
    live: LiveTarget,
    batch: DecodedBatch,
    seen: { readonly newestUs: number | undefined; readonly settings: MonitorSettings },
  ): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const { document } = live;
    const { windowsMs, daysMs } = seen.settings.retention;
    const isNewer = seen.newestUs !== undefined && seen.newestUs > document.newestEventUs;
    live.document = {
      ...document,
      ...batch.target,
      shadow: batch.shadow,
      classLabels: batch.classLabels,
      featureService: batch.featureService,
      lastSeen: new Date(nowMs),
      expireTime: new Date(nowMs + Math.max(windowsMs, daysMs)),
      ...(isNewer ? { newestEventUs: seen.newestUs, newestSeenMs: nowMs } : {}),
    };
    live.isDirty = true;
    if (nowMs - live.writtenMs >= WRITE_MS) {
      await this.#write(live);
    }
  }

  /** As this process knows it, which may be newer than what is stored. */
  async get(id: string): Promise<TargetDocument | undefined> {
    const stored = await this.#collection.findOne({ _id: id });
    return stored === undefined ? undefined : this.#merged(stored);
  }

  /** Those of a workspace, or of one deployment (by name) of it. */
  async list(workspace: string, deployment?: string): Promise<readonly TargetDocument[]> {
    const filter = deployment === undefined ? { workspace } : { workspace, deployment };
    const stored = await collect(this.#collection.find(filter));
    return stored.map((document) => this.#merged(document));
  }

  /** All that are kept. */
  async *all(): AsyncIterable<TargetDocument> {
    for await (const stored of this.#collection.find({})) {
      yield this.#merged(stored);
    }
  }

  /** How far the target's time has come; where nothing is known of it yet, before all times. */
  clockUs(target: Target): number {
    const newest = this.#live.get(target._id)?.document ?? target;
    const known = newest.newestEventUs >= target.newestEventUs ? newest : target;
    return clockAt(known, this.#deps.clock.now());
  }

  /** From now on rows for windows that end here or before are late. */
  noteClosed(id: string, untilUs: number): void {
    const live = this.#live.get(id);
    if (live !== undefined) {
      live.closedUntilUs = Math.max(live.closedUntilUs, untilUs);
    }
  }

  /** Writes what waits. */
  async flush(): Promise<void> {
    for (const live of this.#live.values()) {
      if (live.isDirty) {
        try {
          await this.#write(live);
        } catch (error) {
          this.#deps.events.backgroundFailed("clock", live.document._id, error);
        }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    this.#live.clear();
  }

  async #load(id: string, batch: DecodedBatch, settings: MonitorSettings): Promise<LiveTarget> {
    try {
      const stored =
        (await this.#collection.findOne({ _id: id })) ?? (await this.#insert(id, batch, settings));
      const closedUntilUs = await this.#deps.closedUntil(id);
      const live: LiveTarget = {
        document: withoutStamps(stored),
        version: stored.version,
        isDirty: false,
        writtenMs: 0,
        closedUntilUs,
      };
      this.#live.set(id, live);
      this.#evict();
      return live;
    } finally {
      this.#loading.delete(id);
    }
  }

  async #insert(
    id: string,
    batch: DecodedBatch,
    settings: MonitorSettings,
  ): Promise<Stored<TargetDocument>> {
    const now = new Date(this.#deps.clock.now());
    const document: TargetDocument = {
      _id: id,
      ...batch.target,
      shadow: batch.shadow,
      classLabels: batch.classLabels,
      featureService: batch.featureService,
      firstSeen: now,
      lastSeen: now,
      newestEventUs: Number.MIN_SAFE_INTEGER,
      newestSeenMs: now.getTime(),
      lengths: firstLength(settings.windowUs),
      expireTime: new Date(now.getTime() + settings.retention.daysMs),
    };
    try {
      return await this.#collection.insertOne(document);
    } catch (error) {
      const found = isLostRace(error) ? await this.#collection.findOne({ _id: id }) : undefined;
      if (found === undefined) {
        throw error;
      }
      return found;
    }
  }

  async #changeLength(live: LiveTarget, lengthUs: number): Promise<void> {
    await this.#replace(live, (document) => {
      const newestUs = Math.max(document.newestEventUs, this.clockUs(document));
      const lengths = withLength(document.lengths, lengthUs, newestUs);
      return { ...document, lengths };
    });
  }

  async #write(live: LiveTarget): Promise<void> {
    const id = live.document._id;
    const writing =
      this.#writing.get(id) ??
      this.#replace(live, (document) => document).finally(() => this.#writing.delete(id));
    this.#writing.set(id, writing);
    await writing;
  }

  /** Writes what is in memory, with what others have stored meanwhile, changed. */
  async #replace(
    live: LiveTarget,
    change: (document: TargetDocument) => TargetDocument,
  ): Promise<void> {
    live.writtenMs = this.#deps.clock.now();
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      live.isDirty = false;
      try {
        const written = change(live.document);
        const stored = await this.#collection.replaceOne(written, { ifVersion: live.version });
        live.version = stored.version;
        live.document = newer(live.document, written);
        return;
      } catch (error) {
        live.isDirty = true;
        if (!isLostRace(error)) {
          throw error;
        }
        await this.#refresh(live);
      }
    }
    throw busy(live.document._id);
  }

  async #refresh(live: LiveTarget): Promise<void> {
    const { document } = live;
    const stored =
      (await this.#collection.findOne({ _id: document._id })) ??
      (await this.#collection.putOne(document));
    live.document = newer(live.document, withoutStamps(stored));
    live.version = stored.version;
  }

  #merged(stored: Stored<TargetDocument>): TargetDocument {
    const live = this.#live.get(stored._id);
    const document = withoutStamps(stored);
    return live === undefined ? document : newer(live.document, document);
  }

  #evict(): void {
    for (const [id, live] of this.#live) {
      if (this.#live.size <= LIVE_MAX) {
        return;
      }
      if (!live.isDirty && !this.#writing.has(id)) {
        this.#live.delete(id);
      }
    }
  }
}

/** What both know: the newer of each; the lengths are those of `stored`. */
function newer(mine: TargetDocument, stored: TargetDocument): TargetDocument {
  const last = stored.lastSeen > mine.lastSeen ? stored : mine;
  const newest = stored.newestEventUs > mine.newestEventUs ? stored : mine;
  return {
    ...last,
    firstSeen: new Date(Math.min(stored.firstSeen.getTime(), mine.firstSeen.getTime())),
    expireTime: new Date(Math.max(stored.expireTime.getTime(), mine.expireTime.getTime())),
    newestEventUs: newest.newestEventUs,
    newestSeenMs: newest.newestSeenMs,
    lengths: stored.lengths,
  };
}
