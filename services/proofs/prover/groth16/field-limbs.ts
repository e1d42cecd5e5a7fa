// Elements of a prime field of 254 bits as the WebAssembly code holds them: five limbs of 51 bits,
// each a whole number in a double, of either sign.

import { invert } from "@noble/curves/abstract/modular.js";

/** Limbs of an element. */
export const LIMBS = 5;

/** Bits of a limb. */
export const LIMB_BITS = 51;

/** Bytes of an element by itself: its limbs one after the other, the lowest first. */
export const ELEMENT_BYTES = 8 * LIMBS;

/** Bytes of a pair of elements, side by side in vectors: limb i of both at 16 i. */
export const PAIR_BYTES = 2 * ELEMENT_BYTES;

/** An element x is held as x times this, modulo the prime (Montgomery). */
export const RADIX_BITS = LIMB_BITS * LIMBS;

/** What the code needs to know of a prime. */
export interface FieldNumbers {
  readonly modulus: bigint;
  readonly modulusLimbs: readonly number[];
  /** -1 / modulus modulo 2^51. */
  readonly negativeInverse: number;
  /**
   * (k modulus + 1) / 2^51 with k = -1 / modulus modulo 2^51: adding m k modulus to a number that
   * ends in the limb m is dropping m and adding m times this to the limbs above.
   */
  readonly foldLimbs: readonly number[];
}

const LIMB = 1n << BigInt(LIMB_BITS);

/** @throws RangeError where the bounds of the code do not hold for the prime. */
export function fieldNumbers(modulus: bigint): FieldNumbers {
  if (modulus >> 253n !== 1n || (modulus & 1n) === 0n) {
    throw new RangeError("the modulus must be an odd number of 254 bits");
  }
  const k = nearestToZero(-invert(modulus, LIMB), LIMB);
  return {
    modulus,
    modulusLimbs: limbsOf(modulus),
    negativeInverse: Number(k),
    foldLimbs: limbsOf((k * modulus + 1n) / LIMB),
  };
}

/** A number in limbs of at most 2^50 either way; the last takes what is left. */
export function limbsOf(value: bigint): number[] {
  const limbs: number[] = [];
  let rest = value;
  for (let i = 0; i < LIMBS - 1; i++) {
    const limb = nearestToZero(rest, LIMB);
    limbs.push(Number(limb));
    rest = (rest - limb) / LIMB;
  }
  return [...limbs, Number(rest)];
}

/** The representative nearest to 0. */
export function nearestToZero(value: bigint, modulus: bigint): bigint {
  const rest = ((value % modulus) + modulus) % modulus;
  return 2n * rest >= modulus ? rest - modulus : rest;
}
