// Keeps the definitions: one document a workspace, read from memory. What other processes change
// comes by the collection's feed, within a second; what this one changes is there at once.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower } from "../../common/documents/follow-feed.ts";
import type { Change, Collection, DocumentStore, Stored } from "../../common/documents/port.ts";
import {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
} from "../../common/errors/domain-error.ts";
import type { Definitions } from "./definitions.ts";
import { emptyDefinitions } from "./lookup.ts";

/** Workspaces held in memory; the one that was not asked for longest goes first. */
const WORKSPACES_MAX = 256;
/** With the pauses below enough for a hundred writers of one workspace at once. */
const TRIES_MAX = 50;
const BACKOFF_MS_MAX = 100;

interface Entry {
  readonly definitions: Definitions;
  /** Of the document; 0: there is none. */
  readonly version: number;
}

/** Owns the definitions in memory and the feed that keeps them new. */
export class DefinitionStore implements AsyncDisposable {
  readonly #collection: Collection<Definitions>;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #loading = new Map<string, Promise<Definitions>>();
  #follower: AsyncDisposable | undefined;
  /** Counts how often the memory was dropped: what was read before is not kept after. */
  #generation = 0;

  private constructor(collection: Collection<Definitions>, clock: Clock) {
    this.#collection = collection;
    this.#clock = clock;
  }

  /** Opens the collection and begins to follow it. */
  static async open(documents: DocumentStore, clock: Clock): Promise<DefinitionStore> {
    const collection = await documents.collection<Definitions>({
      name: "feature_definitions",
      indexes: [],
      feed: true,
    });
    const store = new DefinitionStore(collection, clock);
    store.#follower = await FeedFollower.start(collection, {
      changed: (change) => store.#take(change),
      missed: () => store.#forgetAll(),
    });
    return store;
  }

  /**
   * The definitions of a workspace; none for one that nothing was defined in. The same object until
   * they change. At least as new as any change made through this store before the call.
   */
  async get(workspace: string): Promise<Definitions> {
    const entry = this.#entries.get(workspace);
    if (entry === undefined) {
      return this.#load(workspace);
    }
    if (this.#entries.size >= WORKSPACES_MAX / 2) {
      // To the end of the order; not worth it while there is room.
      this.#entries.delete(workspace);
      this.#entries.set(workspace, entry);
    }
    return entry.definitions;
  }

  /** As get, as new as any change that was stored before the call, whoever made it. */
  async fresh(workspace: string): Promise<Definitions> {
    const stored = await this.#collection.findOne({ _id: workspace });
    const definitions = stored ?? emptyDefinitions(workspace);
    return this.#keep(workspace, { definitions, version: stored?.version ?? 0 });
  }

  /**
   * What `look` makes of the definitions of a workspace. Where it refuses them, they are read anew
   * once: what it misses may have been defined through another server a moment ago.
   * @throws what `look` throws
   */
  async find<T>(workspace: string, look: (definitions: Definitions) => T): Promise<T> {
    const known = await this.get(workspace);
    try {
      return look(known);
    } catch (error) {
      if (!(error instanceof NotFound || error instanceof InvalidArgument)) {
        throw error;
      }
      const newest = await this.fresh(workspace);
      if (newest === known) {
        throw error;
      }
      return look(newest);
    }
  }

  /**
   * Reads, changes and writes the definitions of a workspace; begins again when another writer was
   * faster, so that `fn` may be called several times. It returns the object it was given when
   * nothing is to be written; `now` is the time of the change.
   * @throws what `fn` throws; FailedPrecondition (STORAGE_FULL) when the definitions have grown
   *   beyond a document; Aborted after many lost races.
   */
  async change(
    workspace: string,
    fn: (current: Definitions, now: Date) => Definitions,
  ): Promise<Definitions> {
    for (let tries = 1; ; tries++) {
      const stored = await this.#collection.findOne({ _id: workspace });
      const current = stored ?? emptyDefinitions(workspace);
      const next = fn(current, new Date(this.#clock.now()));
      if (next === current) {
        return this.#keep(workspace, { definitions: current, version: stored?.version ?? 0 });
      }
      try {
        const written = await this.#write(next, stored);
        return this.#keep(workspace, { definitions: written, version: written.version });
      } catch (error) {
        const isRace = error instanceof Aborted || error instanceof AlreadyExists;
        if (!isRace || tries === TRIES_MAX) {
          throw error;
        }
        await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
      }
    }
  }

  /** The workspaces that have a document, in order. */
  async *workspaces(): AsyncGenerator<string> {
    for await (const { _id } of this.#collection.find({})) {
      yield _id;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower?.[Symbol.asyncDispose]();
  }

  async #write(
    next: Definitions,
    stored: Stored<Definitions> | undefined,
  ): Promise<Stored<Definitions>> {
    try {
      return stored === undefined
        ? await this.#collection.insertOne(next)
        : await this.#collection.replaceOne(next, { ifVersion: stored.version });
    } catch (error) {
      const isTooLarge =
        error instanceof InvalidArgument && error.violations.some(({ field }) => field === "_id");
      throw isTooLarge ? tooLarge(next._id, error) : error;
    }
  }

  #load(workspace: string): Promise<Definitions> {
    const running = this.#loading.get(workspace);
    if (running !== undefined) {
      return running;
    }
    const generation = this.#generation;
    const load = (async () => {
      try {
        const stored = await this.#collection.findOne({ _id: workspace });
        const definitions = stored ?? emptyDefinitions(workspace);
        return generation === this.#generation
          ? this.#keep(workspace, { definitions, version: stored?.version ?? 0 })
          : definitions;
      } finally {
        this.#loading.delete(workspace);
      }
    })();
    this.#loading.set(workspace, load);
    return load;
  }

  /** Keeps the newer of what is given and what is there, and returns it. */
  #keep(workspace: string, entry: Entry): Definitions {
    const known = this.#entries.get(workspace);
    const newer = known !== undefined && known.version >= entry.version ? known : entry;
    this.#entries.delete(workspace);
    this.#entries.set(workspace, newer);
    if (this.#entries.size > WORKSPACES_MAX) {
      this.#entries.delete(this.#entries.keys().next().value ?? "");
    }
    return newer.definitions;
  }

  #forgetAll(): void {
    this.#generation += 1;
    this.#entries.clear();
  }

  #take(change: Change<Definitions>): void {
    if (change.kind === "delete") {
      this.#forgetAll();
      return;
    }
    const { document } = change;
    if (this.#entries.has(document._id) || this.#loading.has(document._id)) {
      this.#keep(document._id, { definitions: document, version: document.version });
    }
  }
}

/** Of the id of such a document the store refuses nothing but what stands under it: its size. */
function tooLarge(workspace: string, cause: InvalidArgument): FailedPrecondition {
  const description =
    "the definitions of a workspace, with all their versions, take at most 8 MiB. Delete feature " +
    "services and views that are no longer used, or define new ones in another workspace";
  return new FailedPrecondition(`Workspace "${workspace}" is full: ${description}.`, {
    reason: ErrorReason.STORAGE_FULL,
    violations: [{ type: "SIZE", subject: `workspaces/${workspace}`, description }],
    cause,
  });
}
