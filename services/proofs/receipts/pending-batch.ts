// A batch of receipts on its way into a log: checked and hashed as they come, so that the work is
// spread over the calls and not done at once when the batch is written.

import { sha256Into } from "../../common/receipts/sha256.ts";
import { ID_HASH_BYTES, type IdPlace, writeIdHash } from "./id-hash.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";
import { fieldOffsets } from "./receipt.ts";
import { ReceiptPage } from "./receipt-page.ts";

/** Field of a receipt, by place: see receipt.ts. */
const INFERENCE_ID_FIELD = 7;

/** A receipt that was made here. Its bytes are read while it is added and may change after the next. */
export interface MadeReceipt extends IdPlace {
  readonly receipt: Uint8Array;
  /** The same after a byte 0x00, as it is hashed; the id's place is one in it. */
  readonly leafInput: Uint8Array;
  /** Bytes that it and the one before begin with, at least. */
  readonly sharedBytes: number;
}

/** Receipts that go into the log together, in the order they came. */
export class PendingBatch {
  /** Names its documents: what is stored or logged under it already, by whomever, is this batch. */
  readonly uid: string;
  #count = 0;
  #page: ReceiptPage;
  readonly #leaves: Buffer;
  readonly #ids: Buffer;

  /** @param size of the batch once all its receipts were added */
  constructor(uid: string, size: { readonly count: number; readonly pageBytesMax: number }) {
    this.uid = uid;
    this.#page = new ReceiptPage(size.pageBytesMax);
    this.#leaves = Buffer.allocUnsafeSlow(size.count * HASH_BYTES);
    this.#ids = Buffer.allocUnsafeSlow(size.count * ID_HASH_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  /** The receipts as they are stored: see receipt-page.ts. */
  get page(): Uint8Array {
    return this.#page.bytes;
  }

  /** Leaf hashes, one after the other. */
  get leaves(): Buffer {
    return this.#leaves.subarray(0, this.#count * HASH_BYTES);
  }

  /** Hashes of the inference ids, one after the other. */
  get ids(): Buffer {
    return this.#ids.subarray(0, this.#count * ID_HASH_BYTES);
  }

  /** Adds a receipt that was made here; there is room. */
  add(made: MadeReceipt): void {
    sha256Into(made.leafInput, this.#leaves, this.#count * HASH_BYTES);
    writeIdHash(made.leafInput, made, this.#ids, this.#count * ID_HASH_BYTES);
    this.#page.add(made.receipt, this.#count === 0 ? 0 : made.sharedBytes);
    this.#count++;
  }

  /**
   * Takes what is stored under its name in the place of what it has, which may have been made under
   * another key. False, and nothing is changed, where that is of other inferences.
   */
  adopt(stored: readonly Uint8Array[]): boolean {
    if (stored.length !== this.#count || !this.ids.equals(idHashesOf(stored))) {
      return false;
    }
    this.#page = new ReceiptPage();
    for (const [i, bytes] of stored.entries()) {
      this.#leaves.set(serverTree.leaf(bytes), i * HASH_BYTES);
      this.#page.add(bytes);
    }
    return true;
  }
}

/** The inference ids' hashes of receipts that were stored. */
export function idHashesOf(receipts: readonly Uint8Array[]): Buffer {
  const ids = Buffer.alloc(receipts.length * ID_HASH_BYTES);
  for (const [i, bytes] of receipts.entries()) {
    writeIdHash(bytes, idPlace(bytes), ids, i * ID_HASH_BYTES);
  }
  return ids;
}

function idPlace(bytes: Uint8Array): IdPlace {
  const offsets = fieldOffsets(bytes);
  return { idStart: offsets[INFERENCE_ID_FIELD]! + 2, idEnd: offsets[INFERENCE_ID_FIELD + 1]! };
}
