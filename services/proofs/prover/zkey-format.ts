// Numbers of the .zkey format, for those who write and those who read it.

import { FIELD_BYTES } from "../field.ts";

/** Of files that we write; snarkjs writes and reads 1. */
export const ZKEY_VERSION = 1;

/** Sections of a Groth16 key. */
export const ZkeySection = {
  protocol: 1,
  header: 2,
  ic: 3,
  coefficients: 4,
  a: 5,
  b1: 6,
  b2: 7,
  c: 8,
  h: 9,
  contributions: 10,
} as const;

/** Bytes of a point of each group, affine. */
export const G1_BYTES = 2 * FIELD_BYTES;
export const G2_BYTES = 4 * FIELD_BYTES;

/** Bytes of an entry of the coefficients: matrix, row, wire, value; their count stands before them. */
export const COUNT_BYTES = 4;
export const ENTRY_BYTES = 12 + FIELD_BYTES;

/**
 * Where the points stand in the header: alpha and beta of the first group, beta and gamma of the
 * second, delta of both.
 */
const COUNTS_AT = 2 * (4 + FIELD_BYTES);
const POINTS_AT = COUNTS_AT + 3 * 4;

export const HeaderPlace = {
  counts: COUNTS_AT,
  alpha1: POINTS_AT,
  beta1: POINTS_AT + G1_BYTES,
  beta2: POINTS_AT + 2 * G1_BYTES,
  delta1: POINTS_AT + 2 * (G1_BYTES + G2_BYTES),
  delta2: POINTS_AT + 3 * G1_BYTES + 2 * G2_BYTES,
  end: POINTS_AT + 3 * (G1_BYTES + G2_BYTES),
} as const;

/** Bytes of the hash of the circuit that a key of a ceremony begins its transcript with. */
export const CIRCUIT_DIGEST_BYTES = 64;

/**
 * Stands in its place in a key of a development set-up. A key without this mark is not thereby one
 * of a ceremony; a key with it is none.
 */
export const DEV_MARK: Uint8Array = Buffer.alloc(
  CIRCUIT_DIGEST_BYTES,
  Buffer.from("plinth: dev-single-party set-up, whoever made it can prove all.."),
);
