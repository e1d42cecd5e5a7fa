// The last part of a sum: points that count 2^i each are added up by doubling and adding from the
// highest on, in Jacobian coordinates (jacobian.ts). The addition is "madd-2007-bl" of the
// Explicit-Formulas Database without its savings.

import { type Group, ZERO_MARK } from "./curve-code.ts";
import type { CoordinateArithmetic, CurveInstance } from "./curve-instance.ts";
import { LIMBS, PAIR_BYTES } from "./field-limbs.ts";
import { doublePoint } from "./jacobian.ts";

/** Bytes of a coordinate in the form of files, by group. */
const FILE_BYTES = { g1: 32, g2: 64 } as const;

/** Vectors of the working memory. */
const VECTORS = 9;

/**
 * The sum of 2^i times point i.
 *
 * @param points addresses (curve-code.ts).
 * @returns an affine point as key files hold it: x then y, each number times 2^256 with its lowest
 *   byte first; all bytes 0 for the zero point.
 */
export function weighBits(
  instance: CurveInstance,
  group: Group,
  points: readonly number[],
): Uint8Array<ArrayBuffer> {
  const sum = new JacobianSum(instance, group);
  for (let i = points.length - 1; i >= 0; i--) {
    sum.double();
    sum.add(points[i]!);
  }
  return sum.toFileBytes();
}

/** A point that is doubled and added to; at first the zero point. */
class JacobianSum {
  readonly #instance: CurveInstance;
  readonly #group: Group;
  readonly #field: CoordinateArithmetic;
  readonly #at: (vector: number) => number;
  #isZero = true;

  constructor(instance: CurveInstance, group: Group) {
    this.#instance = instance;
    this.#group = group;
    this.#field = instance.functions.coordinates[group];
    const work = instance.take(VECTORS * PAIR_BYTES);
    this.#at = (vector) => work + vector * PAIR_BYTES;
  }

  double(): void {
    if (this.#isZero) return;
    const [x, y, z, a, b, c, d] = this.#vectors();
    doublePoint(this.#field, [x, y, z], [a, b, c, d]);
  }

  /** Adds an affine point. */
  add(point: number): void {
    if (this.#instance.doubles[point / 8] === ZERO_MARK) return;
    const f = this.#field;
    const [x, y, z, a, b, c, d, pointX, pointY] = this.#vectors();
    this.#read(point, pointX, pointY);
    if (this.#isZero) {
      this.#set(pointX, pointY);
      return;
    }
    // a = pointX z^2 - x, b = pointY z^3 - y
    f.square(c, z);
    f.multiply(a, pointX, c);
    f.subtract(a, a, x);
    f.multiply(c, c, z);
    f.multiply(b, pointY, c);
    f.subtract(b, b, y);
    if (f.isZero(a)) {
      if (f.isZero(b)) this.double();
      else this.#isZero = true;
      return;
    }
    // c = a^2, d = a^3, and c = x a^2
    f.multiply(z, z, a);
    f.square(c, a);
    f.multiply(d, a, c);
    f.multiply(c, x, c);
    // x = b^2 - d - 2 c, y = b (c - x) - y d
    f.square(x, b);
    f.subtract(x, x, d);
    f.subtract(x, x, c);
    f.subtract(x, x, c);
    f.subtract(c, c, x);
    f.multiply(c, b, c);
    f.multiply(y, y, d);
    f.subtract(y, c, y);
  }

  toFileBytes(): Uint8Array<ArrayBuffer> {
    const size = FILE_BYTES[this.#group];
    if (this.#isZero) return new Uint8Array(2 * size);
    const f = this.#field;
    const [x, y, z, a, b] = this.#vectors();
    f.invert(a, z);
    f.square(b, a);
    f.multiply(x, x, b);
    f.multiply(b, a, b);
    f.multiply(y, y, b);
    // Of the first group the second number is of no use and is written over.
    this.#instance.functions.toMontgomery(y, a + size, a + size + 32);
    const other = this.#group === "g1" ? b : a + 32;
    this.#instance.functions.toMontgomery(x, a, other);
    return this.#instance.bytes.slice(a, a + 2 * size);
  }

  #vectors() {
    const at = this.#at;
    return [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8)] as const;
  }

  /** Of the first group, x is the first of the pair, and y is made the first of another. */
  #read(point: number, x: number, y: number): void {
    const { doubles } = this.#instance;
    const vector = 2 * LIMBS;
    const from = point / 8;
    doubles.copyWithin(x / 8, from, from + vector);
    if (this.#group === "g2") doubles.copyWithin(y / 8, from + vector, from + 2 * vector);
    else {
      doubles.fill(0, y / 8, y / 8 + vector);
      for (let i = 0; i < vector; i += 2) doubles[y / 8 + i] = doubles[from + i + 1]!;
    }
  }

  #set(pointX: number, pointY: number): void {
    const { doubles } = this.#instance;
    const [x, y, z] = this.#vectors();
    doubles.copyWithin(x / 8, pointX / 8, pointX / 8 + 2 * LIMBS);
    doubles.copyWithin(y / 8, pointY / 8, pointY / 8 + 2 * LIMBS);
    this.#field.setOne(z);
    this.#isZero = false;
  }
}
