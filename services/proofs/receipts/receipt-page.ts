// The receipts of one batch as they are stored. Neighbours begin alike (one workspace, deployment,
// model and nearly one time), so each holds only what differs from the one before:
// how many bytes it shares with it (2), how many follow (2), and these. A third of the room.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss } from "../../common/errors/domain-error.ts";

/** Before what a receipt does not share. */
const HEAD_BYTES = 4;

/** A page that is written receipt by receipt. */
export class ReceiptPage {
  #bytes: Buffer;
  #length = 0;
  #previous: Uint8Array = new Uint8Array(0);

  /** @param bytesMax what it will take at most, where that is known */
  constructor(bytesMax = 0) {
    // Not from Node's pool: it lives as long as its batch waits.
    this.#bytes = Buffer.allocUnsafeSlow(bytesMax);
  }

  /** What was written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Adds a receipt, whose bytes do not change before the next one is added.
   * @param sharedBytes that it and the one before begin with, at least
   */
  add(receipt: Uint8Array, sharedBytes = 0): void {
    const shared = sharedPrefix(this.#previous, receipt, sharedBytes);
    const rest = receipt.length - shared;
    let at = this.#length;
    this.#reserve(at + HEAD_BYTES + rest);
    const page = this.#bytes;
    page[at] = shared >>> 8;
    page[at + 1] = shared;
    page[at + 2] = rest >>> 8;
    page[at + 3] = rest;
    at += HEAD_BYTES;
    for (let from = shared; from < receipt.length; from++, at++) {
      page[at] = receipt[from]!;
    }
    this.#length = at;
    this.#previous = receipt;
  }

  #reserve(length: number): void {
    if (length > this.#bytes.length) {
      const bytes = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
      bytes.set(this.bytes);
      this.#bytes = bytes;
    }
  }
}

/** The receipts as they were. @throws DataLoss when the bytes are no page. */
export function unpackReceipts(page: Uint8Array): Uint8Array[] {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const receipts: Uint8Array[] = [];
  let previous = new Uint8Array(0);
  for (let offset = 0; offset < page.length; ) {
    if (offset + 4 > page.length) throw damaged();
    const shared = view.getUint16(offset);
    const rest = view.getUint16(offset + 2);
    if (shared > previous.length || offset + 4 + rest > page.length) throw damaged();
    const receipt = new Uint8Array(shared + rest);
    receipt.set(previous.subarray(0, shared));
    receipt.set(page.subarray(offset + 4, offset + 4 + rest), shared);
    receipts.push(receipt);
    previous = receipt;
    offset += 4 + rest;
  }
  return receipts;
}

function sharedPrefix(one: Uint8Array, other: Uint8Array, known: number): number {
  const most = Math.min(one.length, other.length);
  let shared = known;
  while (shared < most && one[shared] === other[shared]) shared++;
  return shared;
}

function damaged(): DataLoss {
  return new DataLoss("Stored receipts are damaged. Restore the store from a backup.", {
    reason: ErrorReason.DIGEST_MISMATCH,
  });
}
