// Float32 numbers as whole numbers in the same order, so that a comparison of floats becomes one of
// whole numbers, exactly. The order is that of inputs that are encoded as ordered-float32; the ends
// that no input has, but what is computed of one may, are added here.

import {
  decodeWhole,
  encodedRange,
  encodeFloat,
  NEGATIVE_ZERO_KEY,
} from "../verifier/signal-encoding.ts";

const ORDERED = { kind: "ordered-float32" } as const;

/** The smallest and the largest key of a finite number. */
export const { lo: KEY_MIN, hi: KEY_MAX } = encodedRange(ORDERED);

/**
 * 0 to 2^32 - 1, in the order of the value rounded to float32; -0 is taken as 0. Infinities have
 * keys outside of KEY_MIN to KEY_MAX. NaN has no place in the order and must not come here.
 */
export function orderedKey(value: number): number {
  const nearest = Math.fround(value);
  if (Number.isFinite(nearest)) {
    return encodeFloat(ORDERED, nearest);
  }
  return nearest < 0 ? KEY_MIN - 1 : KEY_MAX + 1;
}

/** The float32 that has this key, from KEY_MIN to KEY_MAX; -0 between 0 and all below it. */
export function floatOfKey(key: number): number {
  return key === NEGATIVE_ZERO_KEY ? -0 : decodeWhole(ORDERED, key);
}
