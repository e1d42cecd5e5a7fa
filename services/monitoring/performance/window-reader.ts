// Reads windows of kept predictions. A window that has not changed since it was read is not read
// again, as far as memory allows.

import type { Stored } from "../../common/documents/port.ts";
import type {
  ChunkRecord,
  PredictionCollections,
  PredictionWindow,
} from "./prediction-collections.ts";
import { idsOfWindow } from "./window-key.ts";
import { type DecodedChunk, decodeChunk, type WindowRows, windowRows } from "./window-rows.ts";

/** Chunks read at once: up to a megabyte each. */
const CHUNKS_READ = 16;

interface Cached {
  readonly stamp: string;
  /** Undefined: nothing of the window is left. */
  readonly rows: WindowRows | undefined;
}

/** Owns what is kept in memory of windows. */
export class WindowReader {
  readonly #chunks: PredictionCollections["chunks"];
  readonly #bytesMax: number;
  readonly #cached = new Map<string, Cached>();
  #bytes = 0;

  constructor(options: {
    readonly collections: Pick<PredictionCollections, "chunks">;
    readonly bytesMax: number;
  }) {
    this.#chunks = options.collections.chunks;
    this.#bytesMax = options.bytesMax;
  }

  /**
   * The rows of a window as listed; at least as new as its stamp. Undefined: nothing is left of it.
   * Whoever gets it must not change it.
   * @throws DataLoss
   */
  async read(window: PredictionWindow, signal?: AbortSignal): Promise<WindowRows | undefined> {
    const known = this.#cached.get(window._id);
    if (known?.stamp === window.stamp) {
      this.#cached.delete(window._id);
      this.#cached.set(window._id, known);
      return known.rows;
    }
    const chunks: DecodedChunk[] = [];
    for await (const record of this.#chunksOf(window)) {
      signal?.throwIfAborted();
      chunks.push(decodeChunk(record));
    }
    const rows = chunks.length === 0 ? undefined : windowRows(chunks);
    this.#keep(window._id, { stamp: window.stamp, rows });
    return rows;
  }

  /** In order of their ids, a few at a time. */
  async *#chunksOf(window: PredictionWindow): AsyncGenerator<ChunkRecord> {
    const { $gte, $lt } = idsOfWindow(window.owner, window);
    let after: string | undefined;
    for (;;) {
      const from = after === undefined ? { $gte } : { $gt: after };
      const found: Stored<ChunkRecord>[] = [];
      for await (const chunk of this.#chunks.find({ _id: { ...from, $lt } }, PAGE)) {
        found.push(chunk);
      }
      yield* found;
      if (found.length < CHUNKS_READ) {
        return;
      }
      after = found.at(-1)!._id;
    }
  }

  #keep(id: string, entry: Cached): void {
    this.#drop(id);
    const bytes = entry.rows?.bytes ?? 0;
    if (bytes > this.#bytesMax) {
      return;
    }
    this.#cached.set(id, entry);
    this.#bytes += bytes + ENTRY_BYTES;
    for (const oldest of this.#cached.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === id) {
        return;
      }
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    const known = this.#cached.get(id);
    if (known !== undefined) {
      this.#cached.delete(id);
      this.#bytes -= (known.rows?.bytes ?? 0) + ENTRY_BYTES;
    }
  }
}

const PAGE = { limit: CHUNKS_READ } as const;
/** What an entry without rows takes, about. */
const ENTRY_BYTES = 1024;
