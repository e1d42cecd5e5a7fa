// The right edge of a log's tree: the hashes that are in no full tile. Pure; a tile holds 256
// hashes of a level 0, 8, 16 ... of the tree, which are called tile levels 0, 1, 2 ... here.

import {
  EMPTY_FRONTIER,
  type Frontier,
  HASH_BYTES,
  rootOf,
  type TreeHash,
  withLeaves,
} from "./merkle-tree.ts";

export const TILE_HASHES = 256;
/** Levels of the tree between two tile levels. */
export const TILE_LEVELS = 8;

const TILE_BYTES = TILE_HASHES * HASH_BYTES;

/** The edge of a tree of `size` leaves. */
export interface LogEdge {
  readonly size: number;
  /** Leaf hashes up to the end; the first is at a multiple of 256. */
  readonly tail: Uint8Array;
  /** By tile level 1, 2 ...: the hashes of its unfinished tile, without what comes of `tail`. */
  readonly partials: readonly Uint8Array[];
}

export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Uint8Array;
}

/** An edge with a tail of less than a tile, and the full tiles that were taken out of it. */
export interface SettledEdge {
  readonly edge: LogEdge;
  readonly tiles: readonly Tile[];
}

export const EMPTY_EDGE: LogEdge = { size: 0, tail: new Uint8Array(0), partials: [] };

/** Takes the full tiles out of an edge. */
export function settleEdge({ size, tail, partials }: LogEdge, tree: TreeHash): SettledEdge {
  const tiles: Tile[] = [];
  const left = [...partials];
  let index = (size - tail.length / HASH_BYTES) / TILE_HASHES;
  let offset = 0;
  for (; tail.length - offset >= TILE_BYTES; offset += TILE_BYTES, index++) {
    let hashes = tail.slice(offset, offset + TILE_BYTES);
    tiles.push({ level: 0, index, hashes });
    for (let level = 1; hashes.length === TILE_BYTES; level++) {
      const before = left[level - 1] ?? new Uint8Array(0);
      hashes = Uint8Array.from(Buffer.concat([before, tileRoot(hashes, tree)]));
      const isFull = hashes.length === TILE_BYTES;
      left[level - 1] = isFull ? new Uint8Array(0) : hashes;
      if (isFull) {
        const tileIndex = Math.floor((index + 1) / TILE_HASHES ** level) - 1;
        tiles.push({ level, index: tileIndex, hashes });
      }
    }
  }
  return { edge: { size, tail: tail.slice(offset), partials: left }, tiles };
}

/** The root of the tree whose settled edge this is. */
export function edgeRoot({ tail, partials }: LogEdge, tree: TreeHash): Uint8Array {
  const levels = [...partials.toReversed(), tail];
  return rootOf({ peaks: levels.flatMap((hashes) => tileFrontier(hashes, tree).peaks) }, tree);
}

/** The hashes that lie one after the other in some bytes. */
export function* splitHashes(bytes: Uint8Array): Generator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += HASH_BYTES) {
    yield bytes.subarray(offset, offset + HASH_BYTES);
  }
}

/** The root of a full tile. */
function tileRoot(hashes: Uint8Array, tree: TreeHash): Uint8Array {
  let level = hashes;
  while (level.length > HASH_BYTES) {
    level = tree.parents(level);
  }
  return level;
}

function tileFrontier(hashes: Uint8Array, tree: TreeHash): Frontier {
  return withLeaves(EMPTY_FRONTIER, splitHashes(hashes), tree);
}
