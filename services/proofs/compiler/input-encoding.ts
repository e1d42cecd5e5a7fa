// How floats become the whole numbers that a circuit takes, and which encoding suits an input.

import { encodeFloat } from "../verifier/signal-encoding.ts";
import { exponentAbove, powerOfTwo } from "./binary-scale.ts";
import type { FixedEncoding, InputEncoding, ValueEncoding } from "./integer-graph.ts";
import { type ElementType, INTEGER_RANGE } from "./tensor.ts";

/**
 * The whole number of a float.
 *
 * @throws RangeError: NaN, an infinity, or outside of what the encoding takes
 */
export function encodeValue(encoding: ValueEncoding, value: number): number {
  const whole = encodeFloat(encoding, value);
  if (encoding.kind === "ordered-float32") {
    return whole;
  }
  if (!(whole >= encoding.lo && whole <= encoding.hi)) {
    const step = powerOfTwo(-encoding.scaleBits);
    throw new RangeError(
      `${value} is outside of ${encoding.lo * step} to ${encoding.hi * step}, which is proved.`,
    );
  }
  return whole;
}

/** Widths that inputs are packed in, and the ranges that need no check beyond that. */
const NATURAL_RANGES: readonly (readonly [number, number])[] = [
  [0, 255],
  [-128, 127],
  [0, 65_535],
  [-32_768, 32_767],
  [0, 4_294_967_295],
  [-2_147_483_648, 2_147_483_647],
];

/** What is seen of an input in samples. */
export interface InputSpread {
  readonly least: number;
  readonly most: number;
  readonly areWhole: boolean;
  /** The smallest mean distance from its mean that a value has, of those that vary. */
  readonly smallestSpread: number;
}

/** Whole numbers that a sample may grow to, beyond the largest that was seen. */
const MARGIN = 2;
/** So much finer than how far the least varying value strays. */
const STEPS_PER_SPREAD = 256;
/** A column is less than a whole table to know a range by: it may grow to this much more. */
const COLUMN_ROOM_BITS = 1;
/** A whole number that never varied says little of its column: it is taken as a float up to here. */
const CONSTANT_MAX = 64;
/** Steps of 2^-100 are nothing. */
const COLUMN_SCALE_BITS_MAX = 100;

/** The range of an integer type; undefined for floats and for what is too wide. */
export function encodingOfType(type: ElementType): InputEncoding | undefined {
  if (type === "bool") {
    return { kind: "fixed", scaleBits: 0, lo: 0, hi: 1 };
  }
  const range = INTEGER_RANGE[type];
  return range && { kind: "fixed", scaleBits: 0, lo: range[0], hi: range[1] };
}

/**
 * An encoding for floats as they are in samples: whole numbers exactly; else 16 bits where they
 * tell apart what varies least, or 32.
 */
export function encodingOfSpread(spread: InputSpread): FixedEncoding {
  const { least, most, areWhole } = spread;
  if (areWhole) {
    const range = NATURAL_RANGES.find(([lo, hi]) => least >= lo && most <= hi);
    if (range !== undefined) {
      return { kind: "fixed", scaleBits: 0, lo: range[0], hi: range[1] };
    }
  }
  const isSigned = least < 0;
  const { size, wanted } = measured(spread);
  const fits = 16 - (isSigned ? 1 : 0) - size;
  const bits = fits >= wanted ? 16 : 32;
  return filled(bits, { isSigned, scaleBits: bits - (isSigned ? 1 : 0) - size });
}

/**
 * An encoding for one column of a table of floats: as encodingOfSpread, with more room above what
 * was seen. `isSigned`: whether any column of the table goes below 0.
 */
export function encodingOfColumn(spread: InputSpread, isSigned: boolean): FixedEncoding {
  const { least, most, areWhole } = spread;
  const signBits = isSigned ? 1 : 0;
  if (areWhole && least === most && Math.abs(most) <= CONSTANT_MAX) {
    return filled(16, { isSigned, scaleBits: 8 });
  }
  if (areWhole) {
    const fits = ([lo, hi]: readonly [number, number]) =>
      lo < 0 === isSigned && least * MARGIN >= lo && most * MARGIN <= hi;
    const range = NATURAL_RANGES.find(fits);
    if (range !== undefined) {
      return { kind: "fixed", scaleBits: 0, lo: range[0], hi: range[1] };
    }
  }
  const { size, wanted } = measured(spread);
  const bits = 16 - signBits - size >= wanted ? 16 : 32;
  const fits = bits - signBits - size;
  const room = Math.max(0, Math.min(COLUMN_ROOM_BITS, fits - wanted));
  return filled(bits, { isSigned, scaleBits: Math.min(fits - room, COLUMN_SCALE_BITS_MAX) });
}

/** Bits before the point that the values need, and bits after it that tell them apart. */
function measured({ least, most, smallestSpread }: InputSpread): {
  readonly size: number;
  readonly wanted: number;
} {
  return {
    size: exponentAbove(Math.max(Math.abs(least), Math.abs(most), Number.MIN_VALUE) * MARGIN),
    wanted: exponentAbove(STEPS_PER_SPREAD / Math.max(smallestSpread, powerOfTwo(-100))),
  };
}

/** All whole numbers of so many bits. */
function filled(
  bits: number,
  { isSigned, scaleBits }: { readonly isSigned: boolean; readonly scaleBits: number },
): FixedEncoding {
  const whole = powerOfTwo(bits);
  const lo = isSigned ? -whole / 2 : 0;
  return { kind: "fixed", scaleBits, lo, hi: lo + whole - 1 };
}
