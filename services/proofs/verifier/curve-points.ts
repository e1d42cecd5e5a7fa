// Points of the two groups of BN254, read from numbers that nobody vouches for and written as the
// precompiled contracts of EIP-196 and EIP-197 take them.

import type { WeierstrassPoint } from "@noble/curves/abstract/weierstrass.js";
import { bn254 } from "@noble/curves/bn254.js";
import { bytesToNumberBE, concatBytes, numberToBytesBE } from "@noble/curves/utils.js";
import { Refusal } from "./refusal.ts";

/** A point of the first group; those made here are on the curve and not the zero point. */
export type G1Point = WeierstrassPoint<bigint>;

/** A point of the second group; those made here are of the right order too. */
export type G2Point = WeierstrassPoint<Fp2Element>;

/** c0 + c1 * i */
export interface Fp2Element {
  readonly c0: bigint;
  readonly c1: bigint;
}

/** Bytes of a coordinate, of a point of the first and of the second group. */
export const COORDINATE_BYTES = 32;
export const G1_BYTES = 2 * COORDINATE_BYTES;
export const G2_BYTES = 4 * COORDINATE_BYTES;

const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;
const { Fp, Fp2 } = bn254.fields;

/** Order of the field of the coordinates; EIP-197 calls it p, snarkjs q. */
export const BASE_ORDER: bigint = Fp.ORDER;

/**
 * The point of these coordinates.
 *
 * @throws Refusal that names the point: a coordinate out of range, zero, not on the curve.
 */
export function g1Point(name: string, coordinates: { x: bigint; y: bigint }): G1Point {
  const { x, y } = coordinates;
  checkCoordinates(name, [x, y]);
  if (Fp.sqr(y) !== Fp.add(Fp.mul(Fp.sqr(x), x), G1.CURVE().b)) throw notOnCurve(name);
  return G1.fromAffine({ x, y });
}

/**
 * The point of these coordinates.
 *
 * @throws Refusal as g1Point, and where the point is of another order.
 */
export function g2Point(name: string, coordinates: { x: Fp2Element; y: Fp2Element }): G2Point {
  const { x, y } = coordinates;
  checkCoordinates(name, [x.c0, x.c1, y.c0, y.c1]);
  const right = Fp2.add(Fp2.mul(Fp2.sqr(x), x), G2.CURVE().b);
  // In this order: the order of a point that is not on the curve means nothing.
  if (!Fp2.eql(Fp2.sqr(y), right)) throw notOnCurve(name);
  const point = G2.fromAffine({ x, y });
  if (!point.isTorsionFree()) {
    throw new Refusal("point-not-in-subgroup", `${name} is on the curve, but of another order`);
  }
  return point;
}

/** The point of 64 bytes, x then y, big-endian. */
export function g1FromBytes(name: string, bytes: Uint8Array): G1Point {
  const [x, y] = numbersOf(bytes);
  return g1Point(name, { x: x!, y: y! });
}

/** The point of 128 bytes; of each coordinate the imaginary part comes first (EIP-197). */
export function g2FromBytes(name: string, bytes: Uint8Array): G2Point {
  const [x1, x0, y1, y0] = numbersOf(bytes);
  return g2Point(name, { x: { c0: x0!, c1: x1! }, y: { c0: y0!, c1: y1! } });
}

/** Coordinates in the order of EIP-196. */
export function g1Words(point: G1Point): readonly [bigint, bigint] {
  const { x, y } = point.toAffine();
  return [x, y];
}

/** Coordinates in the order of EIP-197: of x and of y, the imaginary part first. */
export function g2Words(point: G2Point): readonly [bigint, bigint, bigint, bigint] {
  const { x, y } = point.toAffine();
  return [x.c1, x.c0, y.c1, y.c0];
}

/** Big-endian words of 32 bytes, one after another. */
export function wordBytes(words: readonly bigint[]): Uint8Array<ArrayBuffer> {
  return concatBytes(...words.map((word) => numberToBytesBE(word, COORDINATE_BYTES)));
}

function numbersOf(bytes: Uint8Array): bigint[] {
  return Array.from({ length: bytes.length / COORDINATE_BYTES }, (_, i) =>
    bytesToNumberBE(bytes.subarray(i * COORDINATE_BYTES, (i + 1) * COORDINATE_BYTES)),
  );
}

function checkCoordinates(name: string, coordinates: readonly bigint[]): void {
  if (coordinates.some((value) => value < 0n || value >= BASE_ORDER)) {
    throw new Refusal(
      "coordinate-out-of-range",
      `a coordinate of ${name} is not in the field: each must be below ${BASE_ORDER}`,
    );
  }
  if (coordinates.every((value) => value === 0n)) {
    throw new Refusal("zero-point", `${name} is the zero point`);
  }
}

function notOnCurve(name: string): Refusal {
  return new Refusal("point-not-on-curve", `${name} is not on the curve`);
}
