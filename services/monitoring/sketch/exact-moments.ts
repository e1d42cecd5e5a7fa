// The exact sum of numbers and of their squares. Floating-point addition depends on order, so two
// replicas that merge in another order would keep other sums. Here every number is taken apart
// into integers that are added at their binary place, as in a long accumulator (Kulisch; R. Neal,
// "Fast exact summation using small and large superaccumulators", 2015): integer addition is
// associative and commutative, hence so is the merge, and a one-pass sum has the same bits. It is
// exact over the whole range of doubles; rounding happens once, where mean or variance is read.
//
// A finite double is m * 2^(p - 1074) with m < 2^53. With p = 9 j + s, s < 9, the shifted m * 2^s
// has 61 bits: four pieces of 18. A piece i belongs to 2^(9 (j + 2 i)) of the sum, and a product
// of pieces i, k to 2^(18 (j + i + k)) of the squares; so no piece ever straddles two slots.

import type { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";

const SUM_SLOT_BITS = 9;
const SQUARE_SLOT_BITS = 18;
const PIECE_MASK = 2 ** 18 - 1;
/** (2045 / 9) + 6 slots are addressed; ten more take the carries of 2^48 rows. */
const SLOTS = 244;
/** A slot of the squares grows by less than 2^38 a number: 2^14 of them stay below 2^53. */
const PENDING_MAX = 2 ** 14;
/** The weight of slot 0: 2^-1074, and its square. */
const SUM_EXPONENT = -1074;
const SQUARE_EXPONENT = -2148;
/** Bits of a quotient before it is rounded to 53. */
const QUOTIENT_BITS = 66;
/** Of a total: all slots of the squares in bytes. */
const TOTAL_BYTES_MAX = Math.ceil((SLOTS * SQUARE_SLOT_BITS) / 8);

const word = new Float64Array(1);
const words = new Uint32Array(word.buffer);

/** Slots hold integers; a carry is postponed while fewer than PENDING_MAX numbers came. */
export interface ExactMoments {
  readonly sum: Float64Array;
  readonly squares: Float64Array;
  pending: number;
}

/** Rounded to doubles, each correctly from the exact value (but for the square root of `std`). */
export interface Moments {
  readonly sum: number;
  /** Infinity where it exceeds a double. */
  readonly sumSquares: number;
  /** NaN where there are no numbers; so are variance and std. */
  readonly mean: number;
  /** Of the population (ddof 0); Infinity where it exceeds a double. */
  readonly variance: number;
  readonly std: number;
}

export function newExactMoments(): ExactMoments {
  return { sum: new Float64Array(SLOTS), squares: new Float64Array(SLOTS), pending: 0 };
}

/** Adds the first `count` values, all finite and at most PENDING_MAX at once. */
export function addExact(moments: ExactMoments, values: Float64Array, count: number): void {
  if (moments.pending + count > PENDING_MAX) {
    settle(moments);
  }
  moments.pending += count;
  const { sum, squares } = moments;
  for (let i = 0; i < count; i++) {
    word[0] = values[i]!;
    const low = words[0]!;
    const high = words[1]!;
    const exponent = (high >>> 20) & 0x7ff;
    const top = exponent === 0 ? high & 0xfffff : (high & 0xfffff) | 0x100000;
    const place = exponent === 0 ? 0 : exponent - 1;
    const slot = (place / SUM_SLOT_BITS) | 0;
    const shift = place - slot * SUM_SLOT_BITS;
    const t0 = (low & PIECE_MASK) << shift;
    const t1 = (((low >>> 18) | ((top & 0xf) << 14)) << shift) + (t0 >>> 18);
    const t2 = ((top >>> 4) << shift) + (t1 >>> 18);
    const a = t0 & PIECE_MASK;
    const b = t1 & PIECE_MASK;
    const c = t2 & PIECE_MASK;
    const d = t2 >>> 18;
    if (high >>> 31 === 0) {
      sum[slot] = sum[slot]! + a;
      sum[slot + 2] = sum[slot + 2]! + b;
      sum[slot + 4] = sum[slot + 4]! + c;
      sum[slot + 6] = sum[slot + 6]! + d;
    } else {
      sum[slot] = sum[slot]! - a;
      sum[slot + 2] = sum[slot + 2]! - b;
      sum[slot + 4] = sum[slot + 4]! - c;
      sum[slot + 6] = sum[slot + 6]! - d;
    }
    squares[slot] = squares[slot]! + a * a;
    squares[slot + 1] = squares[slot + 1]! + 2 * a * b;
    squares[slot + 2] = squares[slot + 2]! + 2 * a * c + b * b;
    squares[slot + 3] = squares[slot + 3]! + 2 * (a * d + b * c);
    squares[slot + 4] = squares[slot + 4]! + 2 * b * d + c * c;
    squares[slot + 5] = squares[slot + 5]! + 2 * c * d;
    squares[slot + 6] = squares[slot + 6]! + d * d;
  }
}

/** Adds what `from` holds; the value of `from` stays. */
export function mergeExactInto(target: ExactMoments, from: ExactMoments): void {
  if (from.pending + target.pending >= PENDING_MAX) {
    settle(from);
    settle(target);
  }
  // Digits of a settled one are smaller than what one number may add.
  target.pending += Math.max(from.pending, 1);
  for (let i = 0; i < SLOTS; i++) {
    target.sum[i] = target.sum[i]! + from.sum[i]!;
    target.squares[i] = target.squares[i]! + from.squares[i]!;
  }
}

export function copyExact(moments: ExactMoments): ExactMoments {
  return { ...moments, sum: moments.sum.slice(), squares: moments.squares.slice() };
}

/** Of `count` numbers. */
export function readMoments(moments: ExactMoments, count: number): Moments {
  const sum = totalOf(moments, "sum");
  const squares = totalOf(moments, "squares");
  const n = BigInt(count);
  const spread = n * squares - sum * sum;
  const variance = quotient(spread, n * n, SQUARE_EXPONENT);
  return {
    sum: joined(quotient(sum, 1n, SUM_EXPONENT)),
    sumSquares: joined(quotient(squares, 1n, SQUARE_EXPONENT)),
    mean: count === 0 ? Number.NaN : joined(quotient(sum, n, SUM_EXPONENT)),
    variance: count === 0 ? Number.NaN : joined(variance),
    std: count === 0 ? Number.NaN : rootOf(variance),
  };
}

/** Equal totals give equal bytes. */
export function writeExact(writer: SketchWriter, moments: ExactMoments): void {
  writeTotal(writer, totalOf(moments, "sum"));
  writeTotal(writer, totalOf(moments, "squares"));
}

/** Reads into `moments`, which must be new or cleared. @throws DataLoss */
export function readExact(reader: SketchReader, moments = newExactMoments()): ExactMoments {
  const isNegative = readTotal(reader, moments.sum, SUM_SLOT_BITS);
  if (readTotal(reader, moments.squares, SQUARE_SLOT_BITS)) {
    throw damaged("a sum of squares is negative");
  }
  // Digits of a negative sum are negative: they are carried before they are added to.
  moments.pending = isNegative ? 1 : 0;
  return moments;
}

/** Makes it that of no numbers again. */
export function clearExact(moments: ExactMoments): void {
  moments.sum.fill(0);
  moments.squares.fill(0);
  moments.pending = 0;
}

/** Carries, so that all slots but the last are digits; the last one has the sign. */
function settle(moments: ExactMoments): void {
  if (moments.pending > 0) {
    carry(moments.sum, 2 ** SUM_SLOT_BITS);
    carry(moments.squares, 2 ** SQUARE_SLOT_BITS);
    moments.pending = 0;
  }
}

function carry(slots: Float64Array, radix: number): void {
  let over = 0;
  for (let i = 0; i < SLOTS - 1; i++) {
    const value = slots[i]! + over;
    over = Math.floor(value / radix);
    slots[i] = value - over * radix;
  }
  slots[SLOTS - 1] = slots[SLOTS - 1]! + over;
}

function totalOf(moments: ExactMoments, which: "sum" | "squares"): bigint {
  const bits = BigInt(which === "sum" ? SUM_SLOT_BITS : SQUARE_SLOT_BITS);
  const slots = moments[which];
  let first = 0;
  while (first < SLOTS && slots[first] === 0) {
    first += 1;
  }
  let last = SLOTS - 1;
  while (last > first && slots[last] === 0) {
    last -= 1;
  }
  let total = 0n;
  for (let i = last; i >= first; i--) {
    total = (total << bits) + BigInt(slots[i] ?? 0);
  }
  return total << (BigInt(first) * bits);
}

/** Sign and number of trailing zero bytes, then the magnitude. */
function writeTotal(writer: SketchWriter, total: bigint): void {
  const hex = (total < 0n ? -total : total).toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) {
    length -= 1;
  }
  writer.varint((bytes.length - length) * 2 + (total < 0n ? 1 : 0));
  writer.block(bytes.subarray(0, length));
}

/** Puts the digits of a total into empty slots; whether it is negative. */
function readTotal(reader: SketchReader, slots: Float64Array, bits: number): boolean {
  const head = reader.varint(2 * TOTAL_BYTES_MAX + 1, "the scale of a sum");
  const bytes = reader.block(TOTAL_BYTES_MAX, "a sum");
  const zeros = Math.floor(head / 2);
  if ((bytes.length + zeros) * 8 > SLOTS * bits) {
    throw damaged("a sum exceeds what that many numbers can reach");
  }
  const mask = 2 ** bits - 1;
  let slot = Math.floor((8 * zeros) / bits);
  let held = 8 * zeros - slot * bits;
  let digits = 0;
  for (let i = bytes.length - 1; i >= 0; i--) {
    digits |= bytes[i]! << held;
    held += 8;
    if (held >= bits) {
      slots[slot++] = digits & mask;
      digits >>>= bits;
      held -= bits;
    }
  }
  if (digits > 0) {
    slots[slot] = digits;
  }
  const isNegative = head % 2 === 1 && bytes.some((byte) => byte > 0);
  for (let i = 0; isNegative && i <= Math.min(slot, SLOTS - 1); i++) {
    slots[i] = 0 - slots[i]!;
  }
  return isNegative;
}

interface Scaled {
  readonly mantissa: number;
  /** Even. */
  readonly exponent: number;
}

/** numerator / denominator * 2^exponent, to 66 bits with a sticky last one, then rounded once. */
function quotient(numerator: bigint, denominator: bigint, exponent: number): Scaled {
  if (numerator === 0n || denominator === 0n) {
    return { mantissa: 0, exponent: 0 };
  }
  const magnitude = numerator < 0n ? -numerator : numerator;
  const bits = bitsOf(magnitude) - bitsOf(denominator) - QUOTIENT_BITS;
  const shift = (bits + exponent) % 2 === 0 ? bits : bits - 1;
  const dividend = shift < 0 ? magnitude << BigInt(-shift) : magnitude;
  const divisor = shift < 0 ? denominator : denominator << BigInt(shift);
  const whole = dividend / divisor;
  const sticky = whole * divisor === dividend ? whole : whole | 1n;
  const mantissa = Number(sticky);
  return { mantissa: numerator < 0n ? -mantissa : mantissa, exponent: exponent + shift };
}

function joined(value: Scaled): number {
  return scaled(value.mantissa, value.exponent);
}

function rootOf(value: Scaled): number {
  return scaled(Math.sqrt(value.mantissa), value.exponent / 2);
}

/** In steps that neither overflow nor lose bits on the way. */
function scaled(mantissa: number, exponent: number): number {
  let value = mantissa;
  let rest = exponent;
  for (; rest > 500; rest -= 500) {
    value *= 2 ** 500;
  }
  for (; rest < -500; rest += 500) {
    value *= 2 ** -500;
  }
  return value * 2 ** rest;
}

/** To within three bits above. */
function bitsOf(value: bigint): number {
  return value.toString(16).length * 4;
}
