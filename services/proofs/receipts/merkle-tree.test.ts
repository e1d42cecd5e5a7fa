import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  consistencyProof,
  EMPTY_FRONTIER,
  inclusionProof,
  nodesOf,
  rootOf,
  rootOfLeaves,
  type TreeHash,
  treeHash,
  verifyConsistency,
  verifyInclusion,
  withLeaves,
} from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";

const tree: TreeHash = treeHash((bytes) => createHash("sha256").update(bytes).digest());

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Buffer.from(text, "hex");

// The entries, roots, nodes and proofs of Certificate Transparency's own tests (kInputs,
// kSHA256Roots and the proofs beside them), which every implementation of RFC 6962 is held against.
const ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
  .concat("606162636465666768696a6b6c6d6e6f")
  .map(bytes);
const ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const LEAVES = ENTRIES.map((entry) => tree.leaf(entry));
const N01_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const N67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const N45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

describe("merkle-tree", () => {
  it("gives the roots of the reference, from the empty tree to eight leaves", () => {
    expect(ROOTS.map((_, size) => hex(rootOfLeaves(LEAVES.slice(0, size), tree)))).toEqual(ROOTS);
    expect(hex(rootOfLeaves(LEAVES, serverTree))).toBe(ROOTS[8]);
    expect(hex(serverTree.leaf(new Uint8Array(0)))).toBe(ROOTS[1]);
  });

  it.each([
    [0, 1, []],
    [0, 8, [N1, N01_3, N47]],
    [5, 8, [N4, N67, ROOTS[4]]],
    [2, 3, [ROOTS[2]]],
    [1, 5, [ROOTS[1], N01_3, N4]],
  ])("gives the reference's inclusion proof of leaf %i of %i", (index, size, path) => {
    const leaves = LEAVES.slice(0, size as number);
    expect(inclusionProof(leaves, index as number, tree).map(hex)).toEqual(path);
  });

  it.each([
    [1, 1, []],
    [1, 8, [N1, N01_3, N47]],
    [6, 8, [N45, N67, ROOTS[4]]],
    [2, 5, [N01_3, N4]],
  ])("gives the reference's consistency proof from %i to %i leaves", (oldSize, size, path) => {
    const leaves = LEAVES.slice(0, size as number);
    expect(consistencyProof(leaves, oldSize as number, tree).map(hex)).toEqual(path);
  });

  it("splits ranges into perfect subtrees", () => {
    expect(nodesOf({ start: 0, end: 7 })).toEqual([
      { level: 2, index: 0 },
      { level: 1, index: 2 },
      { level: 0, index: 6 },
    ]);
    expect(nodesOf({ start: 2 ** 40, end: 2 ** 40 + 1 })).toEqual([{ level: 0, index: 2 ** 40 }]);
  });
});

// The definitions of RFC 6962 2.1, word by word and recursive, over hashes of one's own.
const sha = (...pieces: (number | Uint8Array)[]) => {
  const running = createHash("sha256");
  for (const piece of pieces) running.update(typeof piece === "number" ? Buffer.of(piece) : piece);
  return running.digest();
};
const MANY = Array.from({ length: 300 }, (_, i) => sha(0, Buffer.from(`entry ${i}`)));
const known = new Map<string, Uint8Array>();
function mth(start: number, end: number): Uint8Array {
  if (end === start) return sha();
  if (end - start === 1) return MANY[start]!;
  const key = `${start}-${end}`;
  const found = known.get(key) ?? sha(1, ...parts(start, end).map((part) => mth(...part)));
  known.set(key, found);
  return found;
}
function parts(start: number, end: number): [[number, number], [number, number]] {
  let k = 1;
  while (k * 2 < end - start) k *= 2;
  return [
    [start, start + k],
    [start + k, end],
  ];
}
function path(m: number, start: number, end: number): Uint8Array[] {
  if (end - start === 1) return [];
  const [left, right] = parts(start, end);
  return m < left[1] ? [...path(m, ...left), mth(...right)] : [...path(m, ...right), mth(...left)];
}
function subproof(m: number, start: number, end: number, isWhole: boolean): Uint8Array[] {
  if (m === end) return isWhole ? [] : [mth(start, end)];
  const [left, right] = parts(start, end);
  return m <= left[1]
    ? [...subproof(m, ...left, isWhole), mth(...right)]
    : [...subproof(m, ...right, false), mth(...left)];
}
const isSame = (one: Uint8Array[], other: Uint8Array[]) =>
  Buffer.concat(one).equals(Buffer.concat(other));

describe("merkle-tree against the recursive definition", () => {
  it("agrees on every root up to 300 leaves, one leaf at a time and all at once", () => {
    let grown = EMPTY_FRONTIER;
    for (let size = 0; size <= 300; size++) {
      const expected = hex(mth(0, size));
      expect(hex(rootOfLeaves(MANY.slice(0, size), tree))).toBe(expected);
      expect(hex(rootOf(grown, tree))).toBe(expected);
      grown = withLeaves(grown, MANY.slice(size, size + 1), tree);
    }
  });

  it("makes and verifies the inclusion proof of every leaf of every size", () => {
    for (let size = 1; size <= 300; size++) {
      const root = mth(0, size);
      // Making each proof from all leaves is O(n); every size up to 64 is enough of that.
      const isSmall = size <= 64 || size >= 298;
      const leaves = MANY.slice(0, size);
      for (let index = 0; index < size; index++) {
        const expected = path(index, 0, size);
        if (isSmall && !isSame(inclusionProof(leaves, index, tree), expected)) {
          expect.fail(`the proof of leaf ${index} of ${size} is another`);
        }
        const claim = { leaf: MANY[index]!, index, size, path: expected, root };
        if (!verifyInclusion(claim, tree)) expect.fail(`leaf ${index} of ${size} was refused`);
      }
    }
  });

  it("makes and verifies the consistency proof of every pair of sizes", () => {
    for (let size = 1; size <= 300; size++) {
      const leaves = MANY.slice(0, size);
      for (let oldSize = 1; oldSize <= size; oldSize++) {
        const expected = subproof(oldSize, 0, size, true);
        const isSmall = size <= 64 || size >= 299;
        if (isSmall && !isSame(consistencyProof(leaves, oldSize, tree), expected)) {
          expect.fail(`the proof from ${oldSize} to ${size} is another`);
        }
        const roots = { oldRoot: mth(0, oldSize), root: mth(0, size) };
        const claim = { oldSize, size, path: expected, ...roots };
        if (!verifyConsistency(claim, tree)) expect.fail(`${oldSize} to ${size} was refused`);
      }
    }
  });
});

describe("merkle-tree refuses", () => {
  it("an inclusion proof for another leaf, place, size or root, cut, longer or changed", () => {
    for (let size = 1; size <= 33; size++) {
      const root = mth(0, size);
      for (let index = 0; index < size; index++) {
        const good = { leaf: MANY[index]!, index, size, path: path(index, 0, size), root };
        const bad = [
          { ...good, leaf: MANY[299]! },
          { ...good, leaf: root.subarray(1) },
          { ...good, root: mth(0, size + 1) },
          { ...good, path: good.path.slice(1).concat(MANY[299]!) },
          { ...good, path: [...good.path, MANY[299]!] },
          { ...good, path: [MANY[299]!, ...good.path] },
          { ...good, index: -1 },
          { ...good, index: index + 0.5 },
          { ...good, index: size },
          { ...good, size: Number.NaN },
          ...Array.from({ length: size }, (_, i) => ({ ...good, index: i })).filter(
            (claim) => claim.index !== index,
          ),
          ...good.path.map((_, i) => ({ ...good, path: good.path.toSpliced(i, 1) })),
          ...good.path.map((_, i) => ({ ...good, path: good.path.with(i, MANY[299]!) })),
        ];
        for (const [at, claim] of bad.entries()) {
          if (verifyInclusion(claim, tree))
            expect.fail(`${index} of ${size}: forgery ${at} passed`);
        }
      }
    }
  });

  it("a consistency proof for other roots or sizes, cut, longer or changed", () => {
    for (let size = 2; size <= 33; size++) {
      for (let oldSize = 1; oldSize < size; oldSize++) {
        const good = {
          oldSize,
          size,
          oldRoot: mth(0, oldSize),
          root: mth(0, size),
          path: subproof(oldSize, 0, size, true),
        };
        const bad = [
          { ...good, oldRoot: mth(0, oldSize + 1) },
          { ...good, oldRoot: mth(1, oldSize + 1) },
          { ...good, root: mth(0, size + 1) },
          { ...good, root: mth(1, size + 1) },
          { ...good, path: [...good.path, MANY[299]!] },
          { ...good, path: [] },
          { ...good, oldSize: size, size: oldSize },
          { ...good, oldSize: -1 },
          ...good.path.map((_, i) => ({ ...good, path: good.path.toSpliced(i, 1) })),
          ...good.path.map((_, i) => ({ ...good, path: good.path.with(i, MANY[299]!) })),
        ];
        for (const [at, claim] of bad.entries()) {
          if (verifyConsistency(claim, tree)) {
            expect.fail(`${oldSize} to ${size}: forgery ${at} passed`);
          }
        }
      }
    }
  });

  it("a fork: a tree of the same size or larger with one older leaf changed", () => {
    const forked = MANY.slice(0, 40).with(7, MANY[200]!);
    for (let size = 20; size <= 40; size++) {
      const claim = {
        oldSize: 20,
        oldRoot: mth(0, 20),
        size,
        root: rootOfLeaves(forked.slice(0, size), tree),
        path: consistencyProof(forked.slice(0, size), 20, tree),
      };
      expect(verifyConsistency(claim, tree)).toBe(false);
      expect(verifyConsistency({ ...claim, path: subproof(20, 0, size, true) }, tree)).toBe(false);
    }
  });

  it("a path that goes on above the root", () => {
    const [leaf, above] = [MANY[0]!, MANY[1]!];
    const root = tree.node(above, leaf);
    expect(verifyInclusion({ leaf, index: 0, size: 1, path: [above], root }, tree)).toBe(false);
    // Three leaves that grew to four, both under one more hash.
    const three = { oldSize: 3, oldRoot: mth(0, 3), size: 4, root: mth(0, 4) };
    const good = { ...three, path: subproof(3, 0, 4, true) };
    expect(verifyConsistency(good, tree)).toBe(true);
    const higher = { oldRoot: tree.node(above, good.oldRoot), root: tree.node(above, good.root) };
    const path = [...good.path, above];
    expect(verifyConsistency({ ...good, ...higher, path }, tree)).toBe(false);
  });

  it("what is said of the empty tree, unless it is true", () => {
    const empty = tree.emptyRoot;
    const none = { oldSize: 0, oldRoot: empty, path: [] };
    expect(verifyConsistency({ ...none, size: 0, root: empty }, tree)).toBe(true);
    expect(verifyConsistency({ ...none, size: 3, root: mth(0, 3) }, tree)).toBe(true);
    expect(verifyConsistency({ ...none, size: 0, root: mth(0, 3) }, tree)).toBe(false);
    expect(verifyConsistency({ ...none, oldRoot: mth(0, 1), size: 0, root: mth(0, 1) }, tree)).toBe(
      false,
    );
    expect(verifyConsistency({ ...none, oldRoot: mth(0, 1), size: 3, root: mth(0, 3) }, tree)).toBe(
      false,
    );
    expect(verifyConsistency({ ...none, size: 3, root: mth(0, 3), path: [mth(0, 3)] }, tree)).toBe(
      false,
    );
    const leaf = { leaf: MANY[0]!, index: 0, size: 0, path: [], root: empty };
    expect(verifyInclusion(leaf, tree)).toBe(false);
    expect(verifyInclusion({ ...leaf, size: 1, root: MANY[0]! }, tree)).toBe(true);
  });
});
