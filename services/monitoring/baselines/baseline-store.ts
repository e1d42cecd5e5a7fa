// Keeps the baselines of model versions: a document each, the profile in the blob store. What is
// asked for with every captured batch is answered from memory, which follows the collection's feed:
// a change by another process counts within about a second, one through this store at once.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower, idOf } from "../../common/documents/follow-feed.ts";
import type { Collection, DocumentStore, Stored } from "../../common/documents/port.ts";
import { collect, withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, AlreadyExists, DataLoss, NotFound } from "../../common/errors/domain-error.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import type { BaselineProfile } from "../sketch/column-profile.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import {
  type BaselineRecord,
  type BaselineSource,
  digestsOf,
  type FrozenSender,
  type StoredProfile,
  swept,
  type VersionIdentity,
  withProfile,
} from "./baseline-record.ts";
import { plainLayout } from "./draft-layout.ts";
import { ProfileBlobs } from "./profile-blobs.ts";
import { ProfileCache } from "./profile-cache.ts";

/** Versions whose documents are held in memory; the one that was read first goes first. */
const RECORDS_MAX = 4096;
/** Part of the memory for sketches that profiles may take. */
const MEMORY_SHARE = 0.25;
/** A profile that is replaced while it is read is read again. */
const READ_TRIES = 5;
/** With the pauses below enough for a hundred writers of one baseline at once. */
const CHANGE_TRIES = 50;
const BACKOFF_MS_MAX = 100;

/** A baseline as it is compared with. Not to be changed. */
export interface ReadyBaseline extends StoredProfile, VersionIdentity {
  readonly layout: WindowLayout;
  readonly baseline: WindowSketch;
}

export interface BaselineStoreDeps {
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly config: Pick<MonitoringConfig, "memoryBytesMax">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "baselineReady">;
}

/** What a baseline is made of. */
export interface NewBaseline extends VersionIdentity {
  readonly profile: BaselineProfile;
  readonly source: BaselineSource;
  readonly fileName: string;
  /** The batches of drafts that are in it. Absent: as before. */
  readonly frozen?: readonly FrozenSender[];
}

/** Owns the baselines in memory and the feed that keeps them new. */
export class BaselineStore implements AsyncDisposable {
  readonly #collection: Collection<BaselineRecord>;
  readonly #profiles: ProfileBlobs;
  readonly #decoded: ProfileCache;
  readonly #clock: Clock;
  readonly #events: BaselineStoreDeps["events"];
  readonly #records = new Map<string, Stored<BaselineRecord> | undefined>();
  #follower: AsyncDisposable | undefined;
  /** Counts what was forgotten: what was being read meanwhile is not kept. */
  #generation = 0;

  private constructor(
    { config, clock, events }: BaselineStoreDeps,
    collection: Collection<BaselineRecord>,
    profiles: ProfileBlobs,
  ) {
    this.#collection = collection;
    this.#profiles = profiles;
    this.#decoded = new ProfileCache(profiles, config.memoryBytesMax * MEMORY_SHARE);
    this.#clock = clock;
    this.#events = events;
  }

  /** Opens the collections and begins to follow them. */
  static async open(deps: BaselineStoreDeps): Promise<BaselineStore> {
    const collection = await deps.documents.collection<BaselineRecord>({
      name: "baselines",
      indexes: [{ keys: { modelVersion: 1 } }, { keys: { sweepTime: 1 } }],
      feed: true,
    });
    const profiles = await ProfileBlobs.open(deps.documents, deps.blobs);
    const store = new BaselineStore(deps, collection, profiles);
    store.#follower = await FeedFollower.start(collection, {
      changed: (change) => store.#forget(idOf(change)),
      missed: () => store.#forget(),
    });
    return store;
  }

  /**
   * The baseline of a version, decoded; undefined while it has none.
   * @throws DataLoss where its profile is damaged.
   */
  async ready(modelVersionUid: string): Promise<ReadyBaseline | undefined> {
    const record = await this.current(modelVersionUid);
    return record?.state === "ready" ? this.#read(modelVersionUid, record) : undefined;
  }

  /**
   * The layout that rows of a version are counted on now: its baseline's, or the plain one where
   * learning is disabled. Undefined before the first row and while a baseline is learned.
   */
  async currentLayout(modelVersionUid: string): Promise<WindowLayout | undefined> {
    const record = await this.current(modelVersionUid);
    return record?.state === "layout"
      ? plainLayout(record.columns)
      : (await this.ready(modelVersionUid))?.layout;
  }

  /**
   * A layout by its id: the current one of the version, or one that was replaced and that windows
   * may still be open on. Undefined: nobody knows it any more.
   */
  async layout(modelVersionUid: string, layoutId: string): Promise<WindowLayout | undefined> {
    for (const record of [await this.current(modelVersionUid), await this.fresh(modelVersionUid)]) {
      if (record?.state === "layout" && record.layoutId === layoutId) {
        return plainLayout(record.columns);
      }
      if (record?.state === "ready" && record.profile.layoutId === layoutId) {
        return (await this.#read(modelVersionUid, record))?.layout;
      }
      const before = record?.replaced.find((replaced) => replaced.layoutId === layoutId);
      if (before !== undefined) {
        return before.digest === undefined
          ? plainLayout(before.columns ?? [])
          : (await this.#decoded.get(before.digest)).layout;
      }
    }
    return undefined;
  }

  /** What is stored of a version, as far as this process has heard. */
  async current(modelVersionUid: string): Promise<Stored<BaselineRecord> | undefined> {
    const known = this.#records.get(modelVersionUid);
    if (known !== undefined || this.#records.has(modelVersionUid)) {
      return known;
    }
    return this.fresh(modelVersionUid);
  }

  /** What is stored of a version, as new as any change before the call. */
  async fresh(modelVersionUid: string): Promise<Stored<BaselineRecord> | undefined> {
    const generation = this.#generation;
    const record = await this.#collection.findOne({ _id: modelVersionUid });
    if (generation === this.#generation) {
      this.#keep(modelVersionUid, record);
    }
    return record;
  }

  /** What is stored of the version of that name; of several, one after the other, any. */
  async named(modelVersion: string): Promise<Stored<BaselineRecord> | undefined> {
    const [record] = await collect(this.#collection.find({ modelVersion }, { limit: 1 }));
    return record;
  }

  /**
   * Reads, changes and writes what is stored of a version; begins again when another writer was
   * faster. `next` returns what it was given where nothing is to be written.
   */
  async change(
    modelVersionUid: string,
    next: (current: BaselineRecord | undefined) => BaselineRecord | undefined,
  ): Promise<BaselineRecord | undefined> {
    for (let tries = 1; ; tries++) {
      const stored = await this.#collection.findOne({ _id: modelVersionUid });
      const current = stored && withoutStamps(stored);
      const wanted = next(current);
      if (wanted === undefined || wanted === current) {
        return stored;
      }
      try {
        return await this.#store(wanted, stored);
      } catch (error) {
        const isRace =
          error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
        if (!isRace || tries === CHANGE_TRIES) {
          throw error;
        }
        await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
      }
    }
  }

  /** Makes this the baseline of the version, in one step, whatever is stored. */
  async put(baseline: NewBaseline): Promise<StoredProfile> {
    const written = await this.#write(baseline);
    const { before, after } = await this.#follow(baseline, written, () => true);
    await this.#removeBlobs(digestsOf(before), after);
    this.#told(baseline, written);
    return written;
  }

  /**
   * As put, where it may follow what is stored. False: that has stayed, and nothing is left of this
   * one.
   */
  async putIf(
    baseline: NewBaseline,
    follows: (current: BaselineRecord | undefined) => boolean,
  ): Promise<boolean> {
    const written = await this.#write(baseline);
    const { before, after } = await this.#follow(baseline, written, follows);
    await this.#removeBlobs([written.digest, ...digestsOf(before)], after);
    const isThere = digestsOf(after).includes(written.digest);
    if (isThere) {
      this.#told(baseline, written);
    }
    return isThere;
  }

  /** What of it is due to be removed; oldest first. */
  due(): AsyncIterable<Stored<BaselineRecord>> {
    const now = new Date(this.#clock.now());
    return this.#collection.find({ sweepTime: { $lte: now } }, { sort: { sweepTime: 1 } });
  }

  /** Those whose learning was being ended, perhaps by a process that died. */
  freezing(): AsyncIterable<Stored<BaselineRecord>> {
    return this.#collection.find({ state: "freezing" });
  }

  /** Removes what is no longer needed of a version: replaced profiles, resent batches. */
  async sweepRecord(modelVersionUid: string): Promise<void> {
    let before: BaselineRecord | undefined;
    const after = await this.change(modelVersionUid, (current) => {
      before = current;
      return current && swept(current, new Date(this.#clock.now()));
    });
    await this.#removeBlobs(digestsOf(before), after);
  }

  /** Removes profiles whose writer died before they became a baseline. */
  async sweepOrphans(): Promise<void> {
    await this.#profiles.sweep(new Date(this.#clock.now()), async (uid) => {
      return digestsOf(await this.fresh(uid));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower?.[Symbol.asyncDispose]();
  }

  async #read(modelVersionUid: string, first: BaselineRecord): Promise<ReadyBaseline | undefined> {
    let record: BaselineRecord | undefined = first;
    for (let tries = 1; record?.state === "ready"; tries++) {
      const { profile, modelVersion } = record;
      try {
        const decoded = await this.#decoded.get(profile.digest);
        return { ...profile, ...decoded, modelVersion, modelVersionUid };
      } catch (error) {
        if (!(error instanceof NotFound) || tries === READ_TRIES) {
          throw error instanceof NotFound ? lost(modelVersion, error) : error;
        }
        this.#forget(modelVersionUid);
        record = await this.fresh(modelVersionUid);
      }
    }
    return undefined;
  }

  async #write(baseline: NewBaseline): Promise<StoredProfile> {
    const { profile, modelVersionUid, source, fileName } = baseline;
    const now = new Date(this.#clock.now());
    const written = await this.#profiles.write({ modelVersionUid, now }, profile);
    const { id: layoutId } = profile.layout;
    const { rows } = profile.baseline;
    return { ...written, layoutId, rows, source, fileName, createTime: now };
  }

  async #follow(
    baseline: NewBaseline,
    profile: StoredProfile,
    follows: (current: BaselineRecord | undefined) => boolean,
  ): Promise<{
    readonly before: BaselineRecord | undefined;
    readonly after: BaselineRecord | undefined;
  }> {
    const next = {
      profile,
      now: profile.createTime,
      ...(baseline.frozen === undefined ? {} : { frozen: baseline.frozen }),
    };
    let before: BaselineRecord | undefined;
    const after = await this.change(baseline.modelVersionUid, (current) => {
      before = current;
      return follows(current) ? withProfile(current, baseline, next) : current;
    });
    return { before, after };
  }

  #told({ modelVersion, source }: NewBaseline, { rows }: StoredProfile): void {
    this.#events.baselineReady(modelVersion, { source, rows });
  }

  async #store(
    wanted: BaselineRecord,
    stored: Stored<BaselineRecord> | undefined,
  ): Promise<BaselineRecord> {
    try {
      return stored === undefined
        ? await this.#collection.insertOne(wanted)
        : await this.#collection.replaceOne(wanted, { ifVersion: stored.version });
    } finally {
      this.#forget(wanted._id);
    }
  }

  /** Those of the digests that the record does not have. */
  async #removeBlobs(digests: readonly string[], after: BaselineRecord | undefined): Promise<void> {
    const kept = digestsOf(after);
    for (const digest of digests.filter((one) => !kept.includes(one))) {
      this.#decoded.forget(digest);
      await this.#profiles.remove(digest);
    }
  }

  #keep(modelVersionUid: string, record: Stored<BaselineRecord> | undefined): void {
    this.#records.set(modelVersionUid, record);
    if (this.#records.size > RECORDS_MAX) {
      this.#records.delete(this.#records.keys().next().value ?? "");
    }
  }

  #forget(modelVersionUid?: string): void {
    this.#generation += 1;
    if (modelVersionUid === undefined) {
      this.#records.clear();
    } else {
      this.#records.delete(modelVersionUid);
    }
  }
}

function lost(modelVersion: string, cause: unknown): DataLoss {
  return new DataLoss(
    `The profile of ${modelVersion}'s baseline is gone from the blob store. Upload a baseline ` +
      "again; windows counted meanwhile are lost.",
    { reason: ErrorReason.DIGEST_MISMATCH, cause },
  );
}
