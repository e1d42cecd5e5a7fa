// Points as the files of a set-up hold them: affine, each coordinate times 2^256 and with the lowest
// byte first. Turned into the form of EIP-197, which the verifier reads and the hashes of a ceremony
// are made of.

import { invert } from "@noble/curves/abstract/modular.js";
import { BASE_ORDER, COORDINATE_BYTES } from "../verifier/curve-points.ts";

const RADIX_BITS = 256n;

/** 1 / 2^256 in the field of the coordinates. */
const R_INVERSE = invert(1n << RADIX_BITS, BASE_ORDER);

/** A number as files hold a coordinate. */
export function coordinateBytes(value: bigint): Uint8Array {
  const scaled = (value << RADIX_BITS) % BASE_ORDER;
  return Buffer.from(scaled.toString(16).padStart(2 * COORDINATE_BYTES, "0"), "hex").reverse();
}

/** The coordinates one after the other, as numbers; of the second group the real parts first. */
export function coordinatesOf(bytes: Uint8Array): bigint[] {
  return Array.from({ length: bytes.length / COORDINATE_BYTES }, (_, i) => coordinate(bytes, i));
}

/** A point of the first group: x then y, big-endian. */
export function g1Uncompressed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([word(bytes, 0), word(bytes, 1)]);
}

/** A point of the second group: of x and of y, the imaginary part first. */
export function g2Uncompressed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([word(bytes, 1), word(bytes, 0), word(bytes, 3), word(bytes, 2)]);
}

function word(bytes: Uint8Array, index: number): Uint8Array {
  const value = coordinate(bytes, index);
  return Buffer.from(value.toString(16).padStart(2 * COORDINATE_BYTES, "0"), "hex");
}

function coordinate(bytes: Uint8Array, index: number): bigint {
  const from = COORDINATE_BYTES * index;
  const reversed = Buffer.from(bytes.subarray(from, from + COORDINATE_BYTES)).reverse();
  return (BigInt(`0x${reversed.toString("hex")}`) * R_INVERSE) % BASE_ORDER;
}
