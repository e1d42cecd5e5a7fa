// Multiples of two points at once, by doubling and adding: one is calculated with in the first lane of
// the vectors, the other in the second. For scalars that were drawn at random and nobody else knows:
// a sum of a point and itself, its negative or the zero point is not looked for, since it is met
// once in 2^240 times, and then the proof does not verify.

import { bn254 } from "@noble/curves/bn254.js";
import { FIELD_ORDER } from "../../field.ts";
import type { G1Point } from "../../verifier/curve-points.ts";
import { coordinateBytes, coordinatesOf } from "../montgomery-points.ts";
import { CurveInstance } from "./curve-instance.ts";
import { PAIR_BYTES } from "./field-limbs.ts";
import { doublePoint } from "./jacobian.ts";

/** Bits of the scalars once multiples of the order were added, which change nothing. */
const SCALAR_BITS = 255;

const COORDINATE_BYTES = 32;

/** Pairs in memory: the sums, what they would be with the point added, the points, and room. */
const SLOTS = { x: 0, y: 1, z: 2, nextX: 3, nextY: 4, nextZ: 5, pointX: 6, pointY: 7, room: 8 };
const ROOM_SLOTS = 7;

/** Multiplies. It has an instance of the curve's code with little memory. */
export class TwoMultiples {
  readonly #instance: CurveInstance;
  readonly #at: number;

  constructor(code: WebAssembly.Module) {
    this.#instance = new CurveInstance(code);
    this.#at = this.#instance.keep(PAIR_BYTES * (SLOTS.room + ROOM_SLOTS) + 2 * COORDINATE_BYTES);
  }

  /** first[0] times first[1] and second[0] times second[1]; the points are not zero. */
  of(
    first: readonly [point: G1Point, scalar: bigint],
    second: readonly [point: G1Point, scalar: bigint],
  ): readonly [G1Point, G1Point] {
    this.#setPoints(first[0], second[0]);
    const scalars = [fullLength(first[1]), fullLength(second[1])] as const;
    for (let bit = BigInt(SCALAR_BITS - 2); bit >= 0n; bit -= 1n) {
      this.#double();
      this.#addPoint();
      scalars.forEach((scalar, lane) => {
        if ((scalar >> bit) & 1n) this.#takeNext(lane);
      });
    }
    return [this.#sum(0), this.#sum(1)];
  }

  /** The sums begin as the points: the highest bit of both scalars is set. */
  #setPoints(first: G1Point, second: G1Point): void {
    const [one, other] = [first.toAffine(), second.toAffine()];
    this.#put(SLOTS.pointX, one.x, other.x);
    this.#put(SLOTS.pointY, one.y, other.y);
    this.#put(SLOTS.x, one.x, other.x);
    this.#put(SLOTS.y, one.y, other.y);
    this.#put(SLOTS.z, 1n, 1n);
  }

  #double(): void {
    const point = [SLOTS.x, SLOTS.y, SLOTS.z].map((slot) => this.#slot(slot)) as Three;
    const [a, b, c, d] = this.#room();
    doublePoint(this.#instance.functions.coordinates.g1, point, [a, b, c, d]);
  }

  /** The sums with the points, in the places for that ("madd-2007-bl"). */
  #addPoint(): void {
    const { multiply, square, add, subtract } = this.#instance.functions.coordinates.g1;
    const [x, y, z] = [SLOTS.x, SLOTS.y, SLOTS.z].map((slot) => this.#slot(slot)) as Three;
    const next = [SLOTS.nextX, SLOTS.nextY, SLOTS.nextZ].map((slot) => this.#slot(slot));
    const [nextX, nextY, nextZ] = next as Three;
    const [zz, h, hh, i, j, r, v] = this.#room();
    square(zz, z);
    multiply(h, this.#slot(SLOTS.pointX), zz);
    subtract(h, h, x);
    square(hh, h);
    add(i, hh, hh);
    add(i, i, i);
    multiply(j, h, i);
    multiply(r, this.#slot(SLOTS.pointY), z);
    multiply(r, r, zz);
    subtract(r, r, y);
    add(r, r, r);
    multiply(v, x, i);
    square(nextX, r);
    subtract(nextX, nextX, j);
    subtract(nextX, nextX, v);
    subtract(nextX, nextX, v);
    subtract(v, v, nextX);
    multiply(nextY, r, v);
    multiply(j, y, j);
    add(j, j, j);
    subtract(nextY, nextY, j);
    add(nextZ, z, h);
    square(nextZ, nextZ);
    subtract(nextZ, nextZ, zz);
    subtract(nextZ, nextZ, hh);
  }

  #takeNext(lane: number): void {
    const { doubles } = this.#instance;
    const from = this.#slot(SLOTS.nextX) / 8 + lane;
    const to = this.#slot(SLOTS.x) / 8 + lane;
    for (let i = 0; i < (3 * PAIR_BYTES) / 8; i += 2) doubles[to + i] = doubles[from + i]!;
  }

  #sum(lane: number): G1Point {
    const { functions, bytes } = this.#instance;
    const files = this.#slot(SLOTS.room + ROOM_SLOTS);
    const [x, y, z] = [SLOTS.x, SLOTS.y, SLOTS.z].map((slot) => {
      functions.toMontgomery(this.#slot(slot), files, files + COORDINATE_BYTES);
      const at = files + COORDINATE_BYTES * lane;
      return coordinatesOf(bytes.slice(at, at + COORDINATE_BYTES))[0]!;
    }) as [bigint, bigint, bigint];
    const { Fp } = bn254.fields;
    const over = Fp.inv(z);
    const square = Fp.sqr(over);
    return bn254.G1.Point.fromAffine({
      x: Fp.mul(x, square),
      y: Fp.mul(y, Fp.mul(square, over)),
    });
  }

  #put(slot: number, first: bigint, second: bigint): void {
    const { functions, bytes } = this.#instance;
    const files = this.#slot(SLOTS.room + ROOM_SLOTS);
    bytes.set(coordinateBytes(first), files);
    bytes.set(coordinateBytes(second), files + COORDINATE_BYTES);
    functions.fromMontgomery(this.#slot(slot), files, files + COORDINATE_BYTES);
  }

  #slot(slot: number): number {
    return this.#at + PAIR_BYTES * slot;
  }

  #room(): Seven {
    return Array.from({ length: ROOM_SLOTS }, (_, i) => this.#slot(SLOTS.room + i)) as Seven;
  }
}

type Three = [number, number, number];
type Seven = [number, number, number, number, number, number, number];

/** The scalar plus the order once or twice, so that it has SCALAR_BITS bits. */
function fullLength(scalar: bigint): bigint {
  const once = scalar + FIELD_ORDER;
  return once >> BigInt(SCALAR_BITS - 1) === 0n ? once + FIELD_ORDER : once;
}
