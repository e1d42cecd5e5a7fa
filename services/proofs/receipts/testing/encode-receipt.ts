// For tests: the bytes of one receipt, field by field as receipt.ts describes them. What the service
// makes of a whole batch is held to it.

import type { InferenceFacts, ReceiptPrefix } from "../receipt.ts";

/** The receipt. Nothing of the facts is checked. */
export function encodeReceipt(prefix: ReceiptPrefix, facts: InferenceFacts): Uint8Array {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(facts.timeUs));
  const rows = Buffer.alloc(4);
  rows.writeUInt32BE(facts.rows);
  const { inferenceId, context, inputDigest, outputDigest } = facts;
  const fields = [time, rows, Buffer.from(inferenceId), context, inputDigest, outputDigest];
  return Uint8Array.from(Buffer.concat([prefix, ...fields.map(withLength)]));
}

function withLength(field: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(field.length);
  return Buffer.concat([length, field]);
}
