// Arithmetic of scalars for a set-up: powers, inverses, Lagrange polynomials at a point, and the
// bytes that the curve takes.

import { FIELD_BYTES, FIELD_ORDER } from "../field.ts";

/** The smallest number that is no square in the field; ffjavascript derives its roots from it too. */
const NON_SQUARE = 5n;

const WORD_MASK = 0xffff_ffff_ffff_ffffn;

/** base to the exponent. */
export function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base % FIELD_ORDER;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % FIELD_ORDER;
    square = (square * square) % FIELD_ORDER;
  }
  return result;
}

/** 1 / value; 0 for 0. */
export function inverse(value: bigint): bigint {
  return power(value, FIELD_ORDER - 2n);
}

/** A root of unity of order 2^exponent: the one that snarkjs transforms with. */
export function rootOfUnity(exponent: number): bigint {
  return power(NON_SQUARE, (FIELD_ORDER - 1n) >> BigInt(exponent));
}

/**
 * Lagrange polynomials of a domain at a point outside of it, each times a factor: those of the
 * elements number `first`, first + step, first + 2 step ...
 *
 * L_i(x) = w^i (x^n - 1) / (n (x - w^i)), all divisions with one inversion.
 */
export function lagrangeAt(
  point: bigint,
  domain: {
    readonly exponent: number;
    readonly first: number;
    readonly step: number;
    readonly factor: bigint;
  },
): bigint[] {
  const size = 2 ** domain.exponent;
  const root = rootOfUnity(domain.exponent);
  const count = Math.ceil((size - domain.first) / domain.step);
  const ratio = power(root, BigInt(domain.step));
  const vanishing = (power(point, BigInt(size)) + FIELD_ORDER - 1n) % FIELD_ORDER;
  const scaled = (vanishing * inverse(BigInt(size))) % FIELD_ORDER;
  const numerator = (scaled * domain.factor) % FIELD_ORDER;
  const elements = new Array<bigint>(count);
  // Products of all denominators before each one.
  const before = new Array<bigint>(count);
  let element = power(root, BigInt(domain.first));
  let product = 1n;
  for (let i = 0; i < count; i += 1) {
    elements[i] = element;
    before[i] = product;
    product = (product * (point - element + FIELD_ORDER)) % FIELD_ORDER;
    element = (element * ratio) % FIELD_ORDER;
  }
  let rest = (inverse(product) * numerator) % FIELD_ORDER;
  for (let i = count - 1; i >= 0; i -= 1) {
    const own = elements[i]!;
    elements[i] = (((rest * before[i]!) % FIELD_ORDER) * own) % FIELD_ORDER;
    rest = (rest * (point - own + FIELD_ORDER)) % FIELD_ORDER;
  }
  return elements;
}

/** 32 bytes each, the lowest first. */
export function scalarBytes(scalars: readonly bigint[]): Uint8Array {
  const words = new DataView(new ArrayBuffer(FIELD_BYTES * scalars.length));
  for (let i = 0; i < scalars.length; i += 1) {
    let rest = scalars[i]!;
    for (let at = FIELD_BYTES * i; rest > 0n; at += 8, rest >>= 64n) {
      words.setBigUint64(at, rest & WORD_MASK, true);
    }
  }
  return new Uint8Array(words.buffer);
}
