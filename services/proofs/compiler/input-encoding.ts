// How floats become the whole numbers that a circuit takes, and which encoding suits an input.

import { encodeFloat } from "../verifier/signal-encoding.ts";
import { exponentAbove, powerOfTwo } from "./binary-scale.ts";
import type { InputEncoding } from "./integer-graph.ts";
import { type ElementType, INTEGER_RANGE } from "./tensor.ts";

/**
 * The whole number of a float.
 *
 * @throws RangeError: NaN, an infinity, or outside of what the encoding takes
 */
export function encodeValue(encoding: InputEncoding, value: number): number {
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

/** What a whole number of a fixed encoding stands for. */
export function decodeFixed(encoding: { readonly scaleBits: number }, whole: number): number {
  return whole * powerOfTwo(-encoding.scaleBits);
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
export function encodingOfSpread(spread: InputSpread): InputEncoding {
  const { least, most, areWhole, smallestSpread } = spread;
  if (areWhole) {
    const range = NATURAL_RANGES.find(([lo, hi]) => least >= lo && most <= hi);
    if (range !== undefined) {
      return { kind: "fixed", scaleBits: 0, lo: range[0], hi: range[1] };
    }
  }
  const isSigned = least < 0;
  const size = exponentAbove(Math.max(Math.abs(least), Math.abs(most), Number.MIN_VALUE) * MARGIN);
  const wanted = exponentAbove(STEPS_PER_SPREAD / Math.max(smallestSpread, powerOfTwo(-100)));
  const fits = 16 - (isSigned ? 1 : 0) - size;
  const bits = fits >= wanted ? 16 : 32;
  const scaleBits = bits - (isSigned ? 1 : 0) - size;
  const whole = powerOfTwo(bits);
  return isSigned
    ? { kind: "fixed", scaleBits, lo: -whole / 2, hi: whole / 2 - 1 }
    : { kind: "fixed", scaleBits, lo: 0, hi: whole - 1 };
}
