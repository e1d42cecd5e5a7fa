// Online documents in memory, for operators who trade freshness for speed: bounded in number and in
// age, and never behind the writes of its own process.

import { counter } from "../../common/telemetry/instruments.ts";
import type { OnlineDocument } from "./online-row.ts";

const lookups = counter({
  name: "plinth.features.online_cache.lookups",
  unit: "{lookup}",
  description: "Entities looked up in the online cache, by result.",
});

/** The bounds of the cache. */
export interface OnlineCacheOptions {
  /** Entities kept; the one that was used least recently goes first. */
  readonly entriesMax: number;
  /** Longest that an entry may lag behind the store. */
  readonly stalenessMs: number;
  readonly monotonicMs: () => number;
}

/** A read of the store that is under way; what it finds may be kept unless a write comes between. */
export interface Load {
  readonly id: string;
  /** When the read began: nothing written later need be in it. */
  readonly atMs: number;
}

interface Entry {
  /** Undefined: the store has none. */
  readonly document: OnlineDocument | undefined;
  readonly atMs: number;
}

/** Owns the documents in memory. */
export class OnlineCache {
  readonly #options: OnlineCacheOptions;
  /** In the order of use. */
  readonly #entries = new Map<string, Entry>();
  /** The newest load of each id; a write removes it. */
  readonly #loads = new Map<string, Load>();
  readonly #hits = lookups.bind({ "plinth.result": "hit" });
  readonly #misses = lookups.bind({ "plinth.result": "miss" });

  constructor(options: OnlineCacheOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What is kept of an id: an entry, or undefined. Counts. */
  find(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#misses.add(1);
      return undefined;
    }
    this.#entries.delete(id);
    if (this.#options.monotonicMs() - entry.atMs > this.#options.stalenessMs) {
      this.#misses.add(1);
      return undefined;
    }
    this.#entries.set(id, entry);
    this.#hits.add(1);
    return entry;
  }

  /** Call before the store is read. */
  begin(id: string): Load {
    const load = { id, atMs: this.#options.monotonicMs() };
    this.#loads.set(id, load);
    return load;
  }

  /** Keeps what the read found, unless a write of this process came between. */
  end(load: Load, document: OnlineDocument | undefined): void {
    if (!this.cancel(load)) return;
    this.#entries.delete(load.id);
    this.#entries.set(load.id, { document, atMs: load.atMs });
    if (this.#entries.size > this.#options.entriesMax) {
      this.#entries.delete(this.#entries.keys().next().value!);
    }
  }

  /** Ends a read that failed. False when it was no longer the newest of its id, or written over. */
  cancel(load: Load): boolean {
    return this.#loads.get(load.id) === load && this.#loads.delete(load.id);
  }

  /** Call after a write, before it is acknowledged. */
  forget(id: string): void {
    this.#entries.delete(id);
    this.#loads.delete(id);
  }
}
