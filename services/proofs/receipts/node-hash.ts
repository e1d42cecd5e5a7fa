// The hashes of the log's tree on this machine; the offline checker has its own.

import { sha256, sha256Into } from "../../common/receipts/sha256.ts";
import { HASH_BYTES, type TreeHash, treeHash } from "./merkle-tree.ts";

/** A node as it is hashed: 0x01 and what is below. */
const pair = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** The hashes of RFC 6962. Many nodes at once cost nothing but their hashes. */
export const serverTree: TreeHash = {
  ...treeHash(sha256),
  parents(hashes) {
    const parents = Buffer.allocUnsafeSlow(hashes.length / 2);
    for (let at = 0; at < parents.length; at += HASH_BYTES) {
      pair.set(hashes.subarray(2 * at, 2 * at + 2 * HASH_BYTES), 1);
      sha256Into(pair, parents, at);
    }
    return parents;
  },
};
