// A batch of receipts on its way into a log: checked and hashed as they come, so that the work is
// spread over the calls and not done at once when the batch is written.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { ID_HASH_BYTES, writeIdHash } from "./id-hash.ts";
import { BATCH_RECEIPTS_MAX } from "./log-documents.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { sha256Into } from "./node-hash.ts";
import { fieldOffsets, MalformedReceipt, RECEIPT_BYTES_MAX } from "./receipt.ts";

/** Fields of a receipt, by place: see receipt.ts. */
const WORKSPACE_FIELD = 1;
const INFERENCE_ID_FIELD = 7;

/** Where 0x00 and a receipt are put together for the leaf hash. */
const leafInput = new Uint8Array(1 + RECEIPT_BYTES_MAX);

/** Receipts that go into the log together, in the order they came. */
export class PendingBatch {
  /** By which its documents know each other, whoever writes first. */
  readonly uid = randomUUID();
  readonly receipts: Uint8Array[] = [];
  readonly #leaves = Buffer.allocUnsafe(BATCH_RECEIPTS_MAX * HASH_BYTES);
  readonly #ids = Buffer.allocUnsafe(BATCH_RECEIPTS_MAX * ID_HASH_BYTES);

  get count(): number {
    return this.receipts.length;
  }

  /** Leaf hashes, one after the other. */
  get leaves(): Uint8Array {
    return this.#leaves.subarray(0, this.count * HASH_BYTES);
  }

  /** Hashes of the inference ids, one after the other. */
  get ids(): Uint8Array {
    return this.#ids.subarray(0, this.count * ID_HASH_BYTES);
  }

  hasRoomFor(count: number): boolean {
    return this.count + count <= BATCH_RECEIPTS_MAX;
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
    const idStart = offsets[INFERENCE_ID_FIELD]! + 2;
    return { bytes, idStart, idEnd: offsets[INFERENCE_ID_FIELD + 1]! };
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
export function idHashesOf(receipts: readonly Uint8Array[]): Uint8Array {
  const ids = Buffer.alloc(receipts.length * ID_HASH_BYTES);
  for (const [i, bytes] of receipts.entries()) {
    const offsets = fieldOffsets(bytes);
    const start = offsets[INFERENCE_ID_FIELD]! + 2;
    const id = bytes.subarray(start, offsets[INFERENCE_ID_FIELD + 1]!);
    writeIdHash(id, ids, i * ID_HASH_BYTES);
  }
  return ids;
}
