// A batch of receipts on its way into a log: checked and hashed as they come, so that the work is
// spread over the calls and not done at once when the batch is written.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { sha256Into } from "../../common/receipts/sha256.ts";
import { ID_HASH_BYTES, type IdPlace, writeIdHash } from "./id-hash.ts";
import { BATCH_RECEIPTS_MAX } from "./log-documents.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { fieldOffsets, MalformedReceipt, RECEIPT_BYTES_MAX } from "./receipt.ts";
import { ReceiptPage } from "./receipt-page.ts";

/** Fields of a receipt, by place: see receipt.ts. */
const WORKSPACE_FIELD = 1;
const INFERENCE_ID_FIELD = 7;

/** Where 0x00 and a receipt are put together for the leaf hash. */
const leafInput = new Uint8Array(1 + RECEIPT_BYTES_MAX);

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
  /** By which its documents know each other, whoever writes first. */
  readonly uid: string;
  /**
   * Whether a sender named it: then it takes no others, and may be stored or logged already, by
   * whomever.
   */
  readonly isNamed: boolean;
  #count = 0;
  #page: ReceiptPage;
  readonly #leaves: Buffer;
  readonly #ids: Buffer;

  /** @param named name, size and bytes of one that will be full at once */
  constructor(named?: {
    readonly uid: string;
    readonly count: number;
    readonly pageBytesMax: number;
  }) {
    this.uid = named?.uid ?? randomUUID();
    this.isNamed = named !== undefined;
    const countMax = named?.count ?? BATCH_RECEIPTS_MAX;
    this.#page = new ReceiptPage(named?.pageBytesMax);
    this.#leaves = Buffer.allocUnsafeSlow(countMax * HASH_BYTES);
    this.#ids = Buffer.allocUnsafeSlow(countMax * ID_HASH_BYTES);
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

  hasRoomFor(count: number): boolean {
    return !this.isNamed && this.#count + count <= BATCH_RECEIPTS_MAX;
  }

  /** Adds receipts that were checked; there is room. Their bytes are kept. */
  add(receipts: readonly CheckedReceipt[]): void {
    for (const receipt of receipts) {
      const { bytes } = receipt;
      leafInput.set(bytes, 1);
      const input = leafInput.subarray(0, 1 + bytes.length);
      sha256Into(input, this.#leaves, this.#count * HASH_BYTES);
      writeIdHash(bytes, receipt, this.#ids, this.#count * ID_HASH_BYTES);
      this.#page.add(bytes);
      this.#count++;
    }
  }

  /** Adds a receipt that was made here; there is room. */
  addMade(made: MadeReceipt): void {
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
    this.#count = 0;
    this.#page = new ReceiptPage();
    this.add(stored.map((bytes) => ({ bytes, ...idPlace(bytes) })));
    return true;
  }
}

/** A receipt that may be logged, and where its inference id stands in it. */
export interface CheckedReceipt extends IdPlace {
  readonly bytes: Uint8Array;
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
    writeIdHash(bytes, idPlace(bytes), ids, i * ID_HASH_BYTES);
  }
  return ids;
}

function idPlace(bytes: Uint8Array): IdPlace {
  const offsets = fieldOffsets(bytes);
  return { idStart: offsets[INFERENCE_ID_FIELD]! + 2, idEnd: offsets[INFERENCE_ID_FIELD + 1]! };
}
