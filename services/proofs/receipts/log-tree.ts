// Proofs of a log, made from tiles: an inclusion proof reads at most two tiles for each 256-fold of
// the log's size, whatever that is.

import type { Collection } from "../../common/documents/port.ts";
import { type TileDocument, tileId } from "./log-documents.ts";
import { splitHashes, TILE_HASHES, TILE_LEVELS } from "./log-edge.ts";
import { damagedLog, type LogView } from "./log-view.ts";
import {
  consistencyRanges,
  EMPTY_FRONTIER,
  HASH_BYTES,
  inclusionRanges,
  type LeafRange,
  nodesOf,
  rootOf,
  type TreeNode,
  withLeaves,
} from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";

/** Full tiles kept in memory, 8 KiB each; a proof reads some four, and many logs may be open. */
const TILES_CACHED_MAX = 64;

/** Reads a log's tiles and keeps those read last. */
export class LogTree {
  readonly #log: string;
  readonly #tiles: Collection<TileDocument>;
  readonly #cache = new Map<string, Uint8Array>();

  constructor(log: string, tiles: Collection<TileDocument>) {
    this.#log = log;
    this.#tiles = tiles;
  }

  /** The hash of a leaf below `view.size`. */
  leaf(view: LogView, index: number): Promise<Uint8Array> {
    return this.#node(view, { level: 0, index });
  }

  /** The inclusion proof of a leaf in the first `size` ones. */
  inclusionPath(view: LogView, index: number, size: number): Promise<Uint8Array[]> {
    return this.#roots(view, inclusionRanges(index, size));
  }

  /** The consistency proof between two sizes up to `view.size`. */
  consistencyPath(view: LogView, oldSize: number, size: number): Promise<Uint8Array[]> {
    return this.#roots(view, consistencyRanges(oldSize, size));
  }

  /** The root of the first `size` leaves. */
  async root(view: LogView, size: number): Promise<Uint8Array> {
    const [root] = await this.#roots(view, [{ start: 0, end: size }]);
    return root!;
  }

  #roots(view: LogView, ranges: readonly LeafRange[]): Promise<Uint8Array[]> {
    return Promise.all(
      ranges.map(async (range) => {
        const peaks = await Promise.all(nodesOf(range).map((node) => this.#node(view, node)));
        return rootOf({ peaks }, serverTree);
      }),
    );
  }

  async #node(view: LogView, { level, index }: TreeNode): Promise<Uint8Array> {
    const tileLevel = Math.floor(level / TILE_LEVELS);
    const span = 2 ** (level - tileLevel * TILE_LEVELS);
    const first = index * span;
    const hashes = await this.#tile(view, tileLevel, Math.floor(first / TILE_HASHES));
    const offset = (first % TILE_HASHES) * HASH_BYTES;
    const below = hashes.subarray(offset, offset + span * HASH_BYTES);
    if (below.length !== span * HASH_BYTES) {
      throw damagedLog(this.#log, `tile ${tileLevel}/${Math.floor(first / TILE_HASHES)} is short`);
    }
    return span === 1
      ? below
      : rootOf(withLeaves(EMPTY_FRONTIER, splitHashes(below), serverTree), serverTree);
  }

  async #tile(view: LogView, level: number, index: number): Promise<Uint8Array> {
    const hashesOfLevel = Math.floor(view.size / TILE_HASHES ** level);
    if ((index + 1) * TILE_HASHES > hashesOfLevel) {
      return (level === 0 ? view.edge.tail : view.edge.partials[level - 1]) ?? new Uint8Array(0);
    }
    const pending = view.tiles.find((tile) => tile.level === level && tile.index === index);
    if (pending !== undefined) {
      return pending.hashes;
    }
    const id = tileId(this.#log, level, index);
    const cached = this.#cache.get(id);
    const hashes = cached ?? (await this.#tiles.findOne({ _id: id }))?.hashes;
    if (hashes?.length !== TILE_HASHES * HASH_BYTES) {
      throw damagedLog(this.#log, `tile ${level}/${index} is missing`);
    }
    this.#cache.delete(id);
    this.#cache.set(id, hashes);
    const oldest = this.#cache.keys().next();
    if (this.#cache.size > TILES_CACHED_MAX && !oldest.done) {
      this.#cache.delete(oldest.value);
    }
    return hashes;
  }
}
