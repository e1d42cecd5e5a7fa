// Numbers of the .zkey format, for those who write and those who read it.

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
