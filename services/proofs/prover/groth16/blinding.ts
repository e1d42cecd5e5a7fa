// The two random scalars that hide the witness in a proof (Groth16, section 3.2).

import { randomBytes } from "node:crypto";
import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";

/** The bits of a byte that the highest byte of an element may have. */
const TOP_MASK = 0x3f;

/** 0 to p - 1, each as likely: 32 bytes, the lowest first. */
export function randomScalar(draw: (size: number) => Uint8Array = randomBytes): Uint8Array {
  for (;;) {
    const bytes = Uint8Array.from(draw(FIELD_BYTES));
    bytes[FIELD_BYTES - 1]! &= TOP_MASK;
    if (scalarOf(bytes) < FIELD_ORDER) return bytes;
  }
}

/** The number that 32 bytes stand for, the lowest first. */
export function scalarOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}
