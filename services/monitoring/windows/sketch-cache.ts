// Sketches of closed windows, as many as memory allows: decoded, or as their bytes where a decoded
// one (which takes some twenty times as much) would leave no room for others. What is kept of an id
// never changes: blocks are written once.

import type { WindowLayout } from "../sketch/column-layout.ts";
import { decodeWindow, type WindowSketch } from "../sketch/window-sketch.ts";
import { sketchMemory } from "./sketch-memory.ts";

/** How much larger a sketch is than its bytes, about. */
const DECODED_RATIO = 20;
/** Of all memory that one decoded sketch may take. */
const SHARE_MAX = 1 / 8;

/** Decoded, or to be decoded. */
export type CachedSketch = WindowSketch | Uint8Array;

interface Entry {
  readonly content: CachedSketch;
  readonly bytes: number;
}

/** Owns the sketches in memory. */
export class SketchCache {
  readonly #bytesMax: number;
  /** In the order of use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What is kept under the id; not to be changed. */
  find(id: string): CachedSketch | undefined {
    const entry = this.#entries.get(id);
    if (entry !== undefined) {
      this.#entries.delete(id);
      this.#entries.set(id, entry);
    }
    return entry?.content;
  }

  /** Keeps it under the id. @throws DataLoss, FailedPrecondition where it is not of the layout. */
  keep(id: string, encoded: Uint8Array, layout: WindowLayout): CachedSketch {
    const isSmall = encoded.length * DECODED_RATIO <= this.#bytesMax * SHARE_MAX;
    const content = isSmall ? decodeWindow(encoded, layout) : encoded;
    const bytes = content === encoded ? encoded.length : sketchMemory(content as WindowSketch);
    this.#bytes += bytes - (this.#entries.get(id)?.bytes ?? 0);
    this.#entries.set(id, { content, bytes });
    this.#evict();
    return content;
  }

  #evict(): void {
    for (const [id, { bytes }] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) {
        return;
      }
      this.#entries.delete(id);
      this.#bytes -= bytes;
    }
  }
}
