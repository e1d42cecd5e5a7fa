// The scalar field of BN254 (alt_bn128), in which all circuits are.

/** Order of the field: a prime of 254 bits. EIP-197 calls it q of the group; snarkjs calls it r. */
export const FIELD_ORDER =
  21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** Bytes of an element. */
export const FIELD_BYTES = 32;

/** Numbers of up to so many bits are all different in the field, with room for a sign. */
export const SAFE_BITS = 248;

/** The element that a whole number stands for, 0 to FIELD_ORDER - 1. */
export function toField(value: bigint): bigint {
  const rest = value % FIELD_ORDER;
  return rest < 0n ? rest + FIELD_ORDER : rest;
}

/** The whole number nearest to 0 that an element stands for. */
export function fromField(element: bigint): bigint {
  return element > FIELD_ORDER / 2n ? element - FIELD_ORDER : element;
}
