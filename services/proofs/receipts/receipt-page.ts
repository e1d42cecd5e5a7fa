// The receipts of one batch as they are stored. Neighbours begin alike (one workspace, deployment,
// model and nearly one time), so each holds only what differs from the one before:
// how many bytes it shares with it (2), how many follow (2), and these. A third of the room.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss } from "../../common/errors/domain-error.ts";

/** Packs receipts in order. @param sharedBytes that all begin with, where that is known */
export function packReceipts(receipts: readonly Uint8Array[], sharedBytes = 0): Uint8Array {
  const packed = Buffer.allocUnsafe(receipts.reduce((sum, { length }) => sum + 4 + length, 0));
  let offset = 0;
  let previous = new Uint8Array(0);
  for (const receipt of receipts) {
    const shared = sharedPrefix(previous, receipt, previous.length === 0 ? 0 : sharedBytes);
    packed.writeUInt16BE(shared, offset);
    packed.writeUInt16BE(receipt.length - shared, offset + 2);
    packed.set(shared === 0 ? receipt : receipt.subarray(shared), offset + 4);
    offset += 4 + receipt.length - shared;
    previous = receipt as Uint8Array<ArrayBuffer>;
  }
  return packed.subarray(0, offset);
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
