// Decompositions of values whose bounds are known: the bits that the bounds need and not one more.

import type { Interval } from "./bounds.ts";
import { bitLength } from "./bounds.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Coefficient } from "./combination.ts";
import { normal, powerOfTwo, shifted } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

/** That a value is not inside its bounds can only be a fault of ours. */
const OUT_OF_BOUNDS = "a value of the circuit is outside of the bounds computed for it";

/** Bits of value + 2^half, so that the top one says whether the value is at least 0. */
export interface SignedBits {
  readonly first: number;
  /** Bits below the sign. */
  readonly half: number;
  /** Wire that is 1 where the value is at least 0. */
  readonly sign: number;
}

/**
 * Bits of a value that may have either sign. Unlike a decomposition of all 254 bits, which a number
 * v shares with v + p, these are the only ones.
 */
export function signedBits(
  builder: CircuitBuilder,
  value: LinearCombination,
  interval: Interval,
  options: { readonly halfMin?: number } = {},
): SignedBits {
  const below = interval.lo < 0n ? bitLength(-interval.lo - 1n) : 0;
  const above = interval.hi > 0n ? bitLength(interval.hi) : 0;
  const half = Math.max(below, above, options.halfMin ?? 0);
  const first = builder.bits(shifted(value, powerOfTwo(half)), half + 1, OUT_OF_BOUNDS);
  return { first, half, sign: first + half };
}

/**
 * Proves that a value is at least 0, given the largest that it can honestly be. Returns the first
 * wire of its bits and their number.
 */
export function rangeCheck(
  builder: CircuitBuilder,
  value: LinearCombination,
  hi: bigint,
): { readonly first: number; readonly count: number } {
  const count = Math.max(1, bitLength(hi));
  return { first: builder.bits(value, count, OUT_OF_BOUNDS), count };
}

/** A bigint as a coefficient. */
export function coefficientOf(value: bigint): Coefficient {
  return normal(value);
}
