// Why a proof, a key or what comes with them is not accepted: a word for programs, a sentence for
// people.

/**
 * - malformed: not of the form at all: a field is missing, a number is not one, a length is wrong.
 * - coordinate-out-of-range: a coordinate of a point is p or more.
 * - zero-point: the point at infinity, which no honest proof or key has.
 * - point-not-on-curve, point-not-in-subgroup: no point, or one of another group.
 * - unsound-key: with this verifying key proofs can be forged.
 * - wrong-number-of-public-values: the key has another number of them.
 * - public-value-out-of-range: r or more: the same element of the field has one name only.
 * - schema-mismatch: the schema is not of a circuit with this key, or contradicts itself.
 * - undecodable: the public values are nothing that the schema describes.
 * - verifying-key-mismatch, schema-hash-mismatch, model-commitment-mismatch, context-mismatch,
 *   input-commitment-mismatch: it is not the one that was expected.
 * - proof-invalid: all is well formed, and the proof does not prove it.
 */
export type RefusalReason =
  | "malformed"
  | "coordinate-out-of-range"
  | "zero-point"
  | "point-not-on-curve"
  | "point-not-in-subgroup"
  | "unsound-key"
  | "wrong-number-of-public-values"
  | "public-value-out-of-range"
  | "schema-mismatch"
  | "undecodable"
  | "verifying-key-mismatch"
  | "schema-hash-mismatch"
  | "model-commitment-mismatch"
  | "context-mismatch"
  | "input-commitment-mismatch"
  | "proof-invalid";

/** Thrown by what reads proofs and keys; verifyInference returns it as a value instead. */
export class Refusal extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.name = "Refusal";
    this.reason = reason;
  }
}
