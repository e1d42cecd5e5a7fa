// Scalars as digits of either sign, for sums of points that are sorted by digit. Most scalars of a
// witness are small, or small below 0, which is near the order of the group: those count as the
// negative of their distance to it, so that nearly all of their digits are 0 and cost nothing.

import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";

/** Scalars as sums of digit * 2^(windowBits * window). */
export interface ScalarDigits {
  readonly windowBits: number;
  readonly windows: number;
  readonly count: number;
  /** That of scalar i at window * count + i, from 1 - 2^(windowBits - 1) to 2^(windowBits - 1). */
  readonly digits: Int16Array;
}

/** Scalars by their distance to 0, modulo the order. */
interface Distances {
  readonly words: Uint32Array;
  /** Bits of each; 0 of 0. */
  readonly bits: Uint8Array;
  /** Whether each is below 0. */
  readonly negative: Uint8Array;
  /** How many have so many bits. */
  readonly withBits: Uint32Array;
}

const WORDS = FIELD_BYTES / 4;
const FIELD_BITS = 8 * FIELD_BYTES;
const SCALAR_BITS = 254;
const WINDOW_BITS_MIN = 2;
/** So that digits have 16 bits. */
const WINDOW_BITS_MAX = 15;
const ORDER_WORDS = wordsOf(FIELD_ORDER);
const HALF_ORDER_WORDS = wordsOf(FIELD_ORDER / 2n);

/**
 * Takes scalars apart.
 *
 * @param scalars whole numbers below the order, 32 bytes each with the lowest first.
 * @param skipped where not 0, a scalar that is taken for 0.
 */
export function digitsOf(scalars: Uint8Array, skipped?: Uint8Array): ScalarDigits {
  const count = scalars.length / FIELD_BYTES;
  const distances = distancesOf(scalars, skipped);
  const windowBits = bestWindowBits(distances.withBits);
  const windows = windowsOf(distances.withBits, windowBits);
  const digits = new Int16Array(windows * count);
  const { words, bits, negative } = distances;
  const half = 1 << (windowBits - 1);
  const mask = 2 * half - 1;
  for (let i = 0; i < count; i++) {
    const [end, isNegative] = [bits[i]!, negative[i] !== 0];
    let [at, carry] = [i, 0];
    for (let bit = 0; bit < end || carry > 0; bit += windowBits) {
      const word = WORDS * i + (bit >>> 5);
      // Bits above the last of a scalar are only asked for where they are 0: those of the next are
      // not.
      const next = bit < FIELD_BITS - 32 ? words[word + 1]! : 0;
      const low = bit < FIELD_BITS ? words[word]! >>> (bit & 31) : 0;
      const value = ((low | ((next << 1) << (31 - (bit & 31)))) & mask) + carry;
      carry = value > half ? 1 : 0;
      const digit = value - carry * (mask + 1);
      digits[at] = isNegative ? -digit : digit;
      at += count;
    }
  }
  return { windowBits, windows, count, digits };
}

function distancesOf(scalars: Uint8Array, skipped: Uint8Array | undefined): Distances {
  const count = scalars.length / FIELD_BYTES;
  const words = new Uint32Array(WORDS * count);
  new Uint8Array(words.buffer).set(scalars);
  const bits = new Uint8Array(count);
  const negative = new Uint8Array(count);
  const withBits = new Uint32Array(SCALAR_BITS + 1);
  for (let i = 0; i < count; i++) {
    if (skipped !== undefined && skipped[i] !== 0) continue;
    if (isAboveHalf(words, WORDS * i)) {
      negative[i] = 1;
      subtractFromOrder(words, WORDS * i);
    }
    let top = WORDS - 1;
    while (top >= 0 && words[WORDS * i + top] === 0) top--;
    bits[i] = top < 0 ? 0 : 32 * (top + 1) - Math.clz32(words[WORDS * i + top]!);
    withBits[bits[i]!]!++;
  }
  return { words, bits, negative, withBits };
}

function isAboveHalf(words: Uint32Array, from: number): boolean {
  for (let i = WORDS - 1; i >= 0; i--) {
    const difference = words[from + i]! - HALF_ORDER_WORDS[i]!;
    if (difference !== 0) return difference > 0;
  }
  return false;
}

function subtractFromOrder(words: Uint32Array, from: number): void {
  let borrow = 0;
  for (let i = 0; i < WORDS; i++) {
    const difference = ORDER_WORDS[i]! - words[from + i]! - borrow;
    words[from + i] = difference;
    borrow = difference < 0 ? 1 : 0;
  }
}

/** One bit more than the greatest has, for the carry of its highest digit. */
function windowsOf(withBits: Uint32Array, windowBits: number): number {
  let bits = SCALAR_BITS;
  while (bits > 0 && withBits[bits] === 0) bits--;
  return bits === 0 ? 0 : Math.ceil((bits + 1) / windowBits);
}

/**
 * With how many bits a digit there are the fewest additions: one for each digit, and for each
 * window one for each of its 2^windowBits values, or fewer where hardly any of them occurs.
 */
function bestWindowBits(withBits: Uint32Array): number {
  let best = { windowBits: WINDOW_BITS_MIN, cost: Number.POSITIVE_INFINITY };
  for (let windowBits = WINDOW_BITS_MIN; windowBits <= WINDOW_BITS_MAX; windowBits++) {
    const windows = windowsOf(withBits, windowBits);
    let cost = 0;
    let entries = 0;
    for (let window = windows - 1, bits = SCALAR_BITS; window >= 0; window--) {
      for (; bits > windowBits * window; bits--) entries += withBits[bits]!;
      cost += entries + Math.min(2 ** windowBits, (entries * windowBits) / 2);
      cost += 2 ** windowBits * EMPTY_BUCKET_COST;
    }
    if (cost < best.cost) best = { windowBits, cost };
  }
  return best.windowBits;
}

/** What it takes to see that there is nothing to add, of an addition. */
const EMPTY_BUCKET_COST = 1 / 16;

function wordsOf(value: bigint): readonly number[] {
  return Array.from({ length: WORDS }, (_, i) => Number((value >> BigInt(32 * i)) & 0xffffffffn));
}
