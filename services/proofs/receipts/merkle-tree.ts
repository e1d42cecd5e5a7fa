// The Merkle tree of RFC 6962 (2.1) and RFC 9162 (2.1): hashes, roots and proofs, made and checked.
// Pure and without a dependency, so that the log, which has node:crypto, and the offline checker,
// which may run in a browser, use the same lines. Nothing here recurses, and sizes go to 2^53 - 1.

/** SHA-256 of some bytes: 32 bytes, the caller's to keep. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

export const HASH_BYTES = 32;

/** Domain separation of RFC 6962: without it a node could be passed off as a leaf. */
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** The three hashes of the tree. */
export interface TreeHash {
  /** The root of the tree without leaves: the hash of nothing. */
  readonly emptyRoot: Uint8Array;
  /** The hash of an entry. */
  leaf(entry: Uint8Array): Uint8Array;
  /** The hash of the node above two others. */
  node(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** The nodes above each pair of an even number of hashes, which lie one after the other. */
  parents(hashes: Uint8Array): Uint8Array;
}

/** The leaves from `start` up to, not with, `end`: a subtree as RFC 6962 splits a tree. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** A perfect subtree: the leaves from index * 2^level on, 2^level of them. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
}

/**
 * All that is needed of a tree to add to it: the roots of its perfect subtrees, one for each bit of
 * its size, from the largest to the smallest.
 */
export interface Frontier {
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
}

/** The tree without leaves. */
export const EMPTY_FRONTIER: Frontier = { size: 0, peaks: [] };

/** The tree's hashes over a SHA-256. */
export function treeHash(sha256: Sha256): TreeHash {
  const pair = new Uint8Array(1 + 2 * HASH_BYTES);
  pair[0] = NODE_PREFIX;
  return {
    emptyRoot: sha256(new Uint8Array(0)),
    leaf(entry) {
      const bytes = new Uint8Array(1 + entry.length);
      bytes[0] = LEAF_PREFIX;
      bytes.set(entry, 1);
      return sha256(bytes);
    },
    node(left, right) {
      pair.set(left, 1);
      pair.set(right, 1 + HASH_BYTES);
      return sha256(pair);
    },
    parents(hashes) {
      const parents = new Uint8Array(hashes.length / 2);
      for (let at = 0; at < parents.length; at += HASH_BYTES) {
        pair.set(hashes.subarray(2 * at, 2 * at + 2 * HASH_BYTES), 1);
        parents.set(sha256(pair), at);
      }
      return parents;
    },
  };
}

/** The frontier after more leaf hashes. */
export function withLeaves(
  frontier: Frontier,
  leaves: Iterable<Uint8Array>,
  tree: TreeHash,
): Frontier {
  const peaks = [...frontier.peaks];
  let size = frontier.size;
  for (const leaf of leaves) {
    let hash = leaf;
    for (let below = size; below % 2 === 1; below = Math.floor(below / 2)) {
      hash = tree.node(peaks.pop()!, hash);
    }
    peaks.push(hash);
    size++;
  }
  return { size, peaks };
}

/** The root of the tree. */
export function rootOf({ peaks }: Pick<Frontier, "peaks">, tree: TreeHash): Uint8Array {
  let root: Uint8Array | undefined;
  for (let i = peaks.length - 1; i >= 0; i--) {
    root = root === undefined ? peaks[i]! : tree.node(peaks[i]!, root);
  }
  return root ?? tree.emptyRoot;
}

/** The root of the tree with these leaf hashes. */
export function rootOfLeaves(leaves: readonly Uint8Array[], tree: TreeHash): Uint8Array {
  return rootOf(withLeaves(EMPTY_FRONTIER, leaves, tree), tree);
}

/**
 * The subtrees whose roots are the inclusion proof of a leaf, from the leaf's sibling upwards
 * (RFC 6962 2.1.1). Assumes 0 <= index < size.
 */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
}

/**
 * The subtrees whose roots are the consistency proof between two sizes of one tree (RFC 6962
 * 2.1.2). Assumes 0 <= oldSize <= size; none where the older tree is empty or the same.
 */
export function consistencyRanges(oldSize: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = size;
  while (oldSize > 0 && oldSize !== end) {
    const middle = start + splitOf(end - start);
    if (oldSize <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // The verifier knows the old root; where that is no node of the new tree it needs its last piece.
  if (start > 0) {
    ranges.push({ start, end });
  }
  return ranges.reverse();
}

/** The perfect subtrees that make up a range of RFC 6962, from left to right. */
export function nodesOf({ start, end }: LeafRange): TreeNode[] {
  const nodes: TreeNode[] = [];
  for (let from = start; from < end; ) {
    const level = Math.floor(Math.log2(end - from));
    const leaves = 2 ** level;
    nodes.push({ level, index: from / leaves });
    from += leaves;
  }
  return nodes;
}

/** The inclusion proof of a leaf among all leaf hashes of its tree. */
export function inclusionProof(
  leaves: readonly Uint8Array[],
  index: number,
  tree: TreeHash,
): Uint8Array[] {
  return inclusionRanges(index, leaves.length).map((range) => rangeRoot(leaves, range, tree));
}

/** The consistency proof from an older size to the tree of all these leaf hashes. */
export function consistencyProof(
  leaves: readonly Uint8Array[],
  oldSize: number,
  tree: TreeHash,
): Uint8Array[] {
  return consistencyRanges(oldSize, leaves.length).map((range) => rangeRoot(leaves, range, tree));
}

/** Whether a proof leads from a leaf hash to the root (RFC 9162 2.1.3.2). Never throws. */
export function verifyInclusion(
  claim: {
    readonly leaf: Uint8Array;
    readonly index: number;
    readonly size: number;
    readonly path: readonly Uint8Array[];
    readonly root: Uint8Array;
  },
  tree: TreeHash,
): boolean {
  const { leaf, index, size, path, root } = claim;
  if (!isCount(index) || !isCount(size) || index >= size || ![leaf, root, ...path].every(isHash)) {
    return false;
  }
  let place = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      hash = tree.node(sibling, hash);
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)];
    } else {
      hash = tree.node(hash, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && equalBytes(hash, root);
}

/**
 * Whether the tree of one root begins with all leaves of the tree of another (RFC 9162 2.1.4.2).
 * Every tree begins with the empty one; that takes an empty path. Never throws.
 */
export function verifyConsistency(
  claim: {
    readonly oldSize: number;
    readonly oldRoot: Uint8Array;
    readonly size: number;
    readonly root: Uint8Array;
    readonly path: readonly Uint8Array[];
  },
  tree: TreeHash,
): boolean {
  const { oldSize, oldRoot, size, root, path } = claim;
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) return false;
  if (![oldRoot, root, ...path].every(isHash)) return false;
  if (size === 0 && !equalBytes(root, tree.emptyRoot)) return false;
  if (oldSize === size) return path.length === 0 && equalBytes(oldRoot, root);
  if (oldSize === 0) return path.length === 0 && equalBytes(oldRoot, tree.emptyRoot);
  const isPerfect = splitOf(oldSize) * 2 === oldSize || oldSize === 1;
  const [first, ...rest] = isPerfect ? [oldRoot, ...path] : path;
  // A larger tree is never without a proof of its own.
  if (first === undefined || path.length === 0) return false;
  let place = oldSize - 1;
  let last = size - 1;
  while (place % 2 === 1) [place, last] = [half(place), half(last)];
  let oldHash = first;
  let hash = first;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      oldHash = tree.node(sibling, oldHash);
      hash = tree.node(sibling, hash);
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)];
    } else {
      hash = tree.node(hash, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && equalBytes(oldHash, oldRoot) && equalBytes(hash, root);
}

/** Whether two byte strings are the same. Nothing compared here is secret. */
export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

function rangeRoot(
  leaves: readonly Uint8Array[],
  { start, end }: LeafRange,
  tree: TreeHash,
): Uint8Array {
  return rootOfLeaves(leaves.slice(start, end), tree);
}

/** The largest power of two below a size of at least 2: where RFC 6962 splits a tree. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

function half(count: number): number {
  return Math.floor(count / 2);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES;
}
