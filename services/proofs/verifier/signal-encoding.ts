// How values and signals stand for each other: floats and whole numbers, whole numbers and the
// public values of a proof that hold several of them. The one home of these rules: whoever makes
// inputs for the prover and whoever reads a proof use it. Pure; runs in a browser.
//
// Nothing is rounded into range or clamped: what has no encoding, or is none, throws RangeError.

import { packedPerSignal, type SchemaInput } from "../circuit/circuit-schema.ts";
import type { InputEncoding, ValueEncoding } from "../compiler/integer-graph.ts";

const SIGN_BIT = 0x8000_0000;
const KEY_MAX = 0xffff_ffff;

/** Key of the largest finite float32; its complement is that of the least. */
const FINITE_KEY_MAX = 0xff7f_ffff;
const FINITE_KEY_MIN = 0x0080_0000;

/**
 * Where -0 would stand in the order of floats. Two keys for one value would let a prover choose
 * between "is 0" and "is below 0".
 */
export const NEGATIVE_ZERO_KEY = 0x7fff_ffff;

/** How value `index` of an input is encoded. */
export function valueEncoding(encoding: InputEncoding, index: number): ValueEncoding {
  if (encoding.kind !== "fixed-each") return encoding;
  const { scaleBits, lo, hi } = encoding;
  return { kind: "fixed", scaleBits: scaleBits[index]!, lo: lo[index]!, hi: hi[index]! };
}

/** What is added to value `index` of an input before it is packed. */
export function laneOffset(
  { encoding, offset }: Pick<SchemaInput, "encoding" | "offset">,
  index: number,
): number {
  return encoding.kind === "fixed-each" ? 0 - encoding.lo[index]! : offset;
}

/** Least and greatest whole number that an encoding gives. */
export function encodedRange(encoding: ValueEncoding): {
  readonly lo: number;
  readonly hi: number;
} {
  return encoding.kind === "fixed" ? encoding : { lo: FINITE_KEY_MIN, hi: FINITE_KEY_MAX };
}

/**
 * The whole number that stands for a float. With "fixed" it is not held to the encoding's range.
 *
 * @throws RangeError where the float is NaN or infinite, or the encoding has no number for it.
 */
export function encodeFloat(encoding: ValueEncoding, value: number): number {
  if (!Number.isFinite(value)) throw new RangeError(`${value} is not a finite number`);
  if (encoding.kind === "ordered-float32") return orderedKey(value);
  const scaled = value * 2 ** encoding.scaleBits;
  const whole = Math.trunc(scaled);
  // The fraction is exact, so halves are halves; adding 0.5 first would round some of them wrong.
  const isUp = Math.abs(scaled - whole) >= 0.5;
  return (isUp ? whole + Math.sign(scaled) : whole) + 0;
}

/**
 * The float that a whole number stands for.
 *
 * @throws RangeError where no float is encoded so: outside of the encoding's range, or the key of
 *   -0, of an infinity or of a NaN.
 */
export function decodeWhole(encoding: ValueEncoding, whole: number): number {
  const { lo, hi } = encodedRange(encoding);
  if (!Number.isInteger(whole) || whole < lo || whole > hi) {
    throw new RangeError(`${whole} is not a whole number from ${lo} to ${hi}`);
  }
  if (encoding.kind === "fixed") return whole / 2 ** encoding.scaleBits;
  if (whole === NEGATIVE_ZERO_KEY) throw new RangeError("-0 is encoded as 0");
  const bits = whole >= SIGN_BIT ? whole - SIGN_BIT : KEY_MAX - whole;
  return new Float32Array(Uint32Array.of(bits).buffer)[0]!;
}

/** Where value `lane` of a signal begins, counted from the lowest bit. */
export function laneShift(bits: number, lane: number): number {
  return bits * (packedPerSignal(bits) - 1 - lane);
}

/** Signals that `count` values of `bits` each take. */
export function signalCount(count: number, bits: number): number {
  return Math.ceil(count / packedPerSignal(bits));
}

/** Signals of whole numbers that are not negative and have at most `bits` bits each. */
export function packValues(values: readonly (number | bigint)[], bits: number): bigint[] {
  const perSignal = packedPerSignal(bits);
  const signals = new Array<bigint>(signalCount(values.length, bits)).fill(0n);
  values.forEach((value, i) => {
    const shift = BigInt(laneShift(bits, i % perSignal));
    signals[Math.floor(i / perSignal)]! += BigInt(value) << shift;
  });
  return signals;
}

/**
 * What packValues was given.
 *
 * @throws RangeError where the signals are not those of `count` values: another number of them, or
 *   bits outside of the lanes in use.
 */
export function unpackValues(signals: readonly bigint[], count: number, bits: number): bigint[] {
  const perSignal = packedPerSignal(bits);
  if (signals.length !== signalCount(count, bits)) {
    throw new RangeError(`${count} values are not packed into ${signals.length} signals`);
  }
  const mask = (1n << BigInt(bits)) - 1n;
  const values = Array.from({ length: count }, (_, i) => {
    const shift = BigInt(laneShift(bits, i % perSignal));
    return (signals[Math.floor(i / perSignal)]! >> shift) & mask;
  });
  packValues(values, bits).forEach((whole, i) => {
    if (whole !== signals[i]) throw new RangeError(`signal ${i} has bits outside of its values`);
  });
  return values;
}

/** The bits of the nearest float32 in the order of its value; -0 is 0. */
function orderedKey(value: number): number {
  const nearest = Math.fround(value);
  if (!Number.isFinite(nearest)) throw new RangeError(`${value} is not a finite float32`);
  const bits = new Uint32Array(Float32Array.of(nearest === 0 ? 0 : nearest).buffer)[0]!;
  return bits >= SIGN_BIT ? KEY_MAX - bits : bits + SIGN_BIT;
}
