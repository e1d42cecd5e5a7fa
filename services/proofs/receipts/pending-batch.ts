// A batch of receipts on its way into a log: checked and hashed as they come, so that the work is
// spread over the calls and not done at once when the batch is written.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { sha256Into } from "../../common/receipts/sha256.ts";
import { ID_HASH_BYTES, writeIdHash } from "./id-hash.ts";
import { BATCH_RECEIPTS_MAX } from "./log-documents.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { fieldOffsets, MalformedReceipt, RECEIPT_BYTES_MAX } from "./receipt.ts";

/** Fields of a receipt, by place: see receipt.ts. */
const WORKSPACE_FIELD = 1;
const INFERENCE_ID_FIELD = 7;

/** Where 0x00 and a receipt are put together for the leaf hash. */
const leafInput = new Uint8Array(1 + RECEIPT_BYTES_MAX);

/** A receipt as it is hashed: after a byte 0x00. */
export interface LeafInput {
  readonly bytes: Uint8Array;
  /** Where the inference id stands in it. */
  readonly idStart: number;
  readonly idEnd: number;
}

/** Receipts that go into the log together, in the order they came. */
export class PendingBatch {
  /** By which its documents know each other, whoever writes first. */
  readonly uid: string;
  /**
   * Whether a sender named it: then it takes no others, and may be stored or logged already, by
   * whomever.
   */
  readonly isNamed: boolean;
  readonly receipts: Uint8Array[] = [];
  /** Bytes that all of its receipts begin with, at least. */
  sharedBytes = 0;
  readonly #leaves: Buffer;
  readonly #ids: Buffer;

  /** @param named name and size of one that will be full at once */
  constructor(named?: { readonly uid: string; readonly count: number }) {
    this.uid = named?.uid ?? randomUUID();
    this.isNamed = named !== undefined;
    const countMax = named?.count ?? BATCH_RECEIPTS_MAX;
    this.#leaves = Buffer.allocUnsafeSlow(countMax * HASH_BYTES);
    this.#ids = Buffer.allocUnsafeSlow(countMax * ID_HASH_BYTES);
  }

  get count(): number {
    return this.receipts.length;
  }

  /** Leaf hashes, one after the other. */
  get leaves(): Buffer {
    return this.#leaves.subarray(0, this.count * HASH_BYTES);
  }

  /** Hashes of the inference ids, one after the other. */
  get ids(): Buffer {
    return this.#ids.subarray(0, this.count * ID_HASH_BYTES);
  }

  hasRoomFor(count: number): boolean {
    return !this.isNamed && this.count + count <= BATCH_RECEIPTS_MAX;
  }

  /** Adds receipts that were checked; there is room. */
  add(receipts: readonly CheckedReceipt[]): void {
    for (const { bytes, idStart, idEnd } of receipts) {
      leafInput.set(bytes, 1);
      const input = leafInput.subarray(0, 1 + bytes.length);
      sha256Into(input, this.#leaves, this.count * HASH_BYTES);
      writeIdHash(bytes.subarray(idStart, idEnd), this.#ids, this.count * ID_HASH_BYTES);
      this.receipts.push(bytes);
    }
  }

  /** Adds a receipt that was made here; there is room. Its bytes are kept. */
  addLeaf({ bytes, idStart, idEnd }: LeafInput): void {
    sha256Into(bytes, this.#leaves, this.count * HASH_BYTES);
    writeIdHash(bytes.subarray(idStart, idEnd), this.#ids, this.count * ID_HASH_BYTES);
    this.receipts.push(bytes.subarray(1));
  }

  /**
   * Takes what is stored under its name in the place of what it has, which may have been made under
   * another key. False, and nothing is changed, where that is of other inferences.
   */
  adopt(stored: readonly Uint8Array[]): boolean {
    if (stored.length !== this.count || !this.ids.equals(idHashesOf(stored))) {
      return false;
    }
    this.receipts.length = 0;
    this.sharedBytes = 0;
    this.add(stored.map((bytes) => ({ bytes, ...idPlace(bytes) })));
    return true;
  }
}

/** A receipt that may be logged, and where its inference id stands in it. */
export interface CheckedReceipt {
  readonly bytes: Uint8Array;
  readonly idStart: number;
  readonly idEnd: number;
}

/** Checks that the bytes are a receipt of the workspace. @throws InvalidArgument */
export function checkLoggable(
  bytes: Uint8Array,
  place: { readonly index: number; readonly workspace: Uint8Array },
): CheckedReceipt {
  const { index, workspace } = place;
  try {
    const offsets = fieldOffsets(bytes);
    const start = offsets[WORKSPACE_FIELD]! + 2;
    const isOurs = offsets[WORKSPACE_FIELD + 1]! - start === workspace.length;
    if (!isOurs || !workspace.every((byte, i) => bytes[start + i] === byte)) {
      throw new MalformedReceipt("workspace: the log is of another");
    }
    return {
      bytes,
      idStart: offsets[INFERENCE_ID_FIELD]! + 2,
      idEnd: offsets[INFERENCE_ID_FIELD + 1]!,
    };
  } catch (error) {
    if (!(error instanceof MalformedReceipt)) throw error;
    const field = `receipts[${index}]`;
    throw new InvalidArgument(`${field} cannot be logged: ${error.message}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field, description: error.message }],
      cause: error,
    });
  }
}

/** The inference ids' hashes of receipts that were stored. */
export function idHashesOf(receipts: readonly Uint8Array[]): Buffer {
  const ids = Buffer.alloc(receipts.length * ID_HASH_BYTES);
  for (const [i, bytes] of receipts.entries()) {
    const { idStart, idEnd } = idPlace(bytes);
    writeIdHash(bytes.subarray(idStart, idEnd), ids, i * ID_HASH_BYTES);
  }
  return ids;
}

function idPlace(bytes: Uint8Array): { readonly idStart: number; readonly idEnd: number } {
  const offsets = fieldOffsets(bytes);
  return { idStart: offsets[INFERENCE_ID_FIELD]! + 2, idEnd: offsets[INFERENCE_ID_FIELD + 1]! };
}
