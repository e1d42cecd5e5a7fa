// What is known of a key beside its file: how it was set up, of which circuit it is, and the hashes of
// both. Whoever keeps keys keeps the record too: a name or a folder says nothing.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { Refusal } from "../verifier/refusal.ts";
import type { VerifyingKeyJson } from "../verifier/verifying-key.ts";
import { assertSoundKey } from "../verifier/verifying-key.ts";
import type { Contribution } from "./contribution.ts";
import type { ZkeyInfo } from "./zkey-file.ts";

/**
 * How a key came to be.
 * - dev-single-party: one process knew all its secrets; for development only.
 * - ceremony: from public powers of tau; each contributor knew a part of the secrets.
 * - universal: PLONK; from public powers of tau, with no secrets of its own.
 */
export type KeySetup = "dev-single-party" | "ceremony" | "universal";

/** All hashes are lower-case hex SHA-256. */
export interface KeyRecord {
  readonly version: 1;
  readonly protocol: "groth16" | "plonk";
  readonly setup: KeySetup;
  /** Of the .r1cs file. */
  readonly circuitHash: string;
  readonly zkeyHash: string;
  readonly zkeyBytes: number;
  /** Of the powers of tau; absent with a development set-up. */
  readonly ptauHash?: string;
  /** Of the canonical bytes of the verifying key; absent with PLONK, whose key is JSON alone. */
  readonly verifyingKeyHash?: string;
  /** In snarkjs' form. */
  readonly verifyingKey: VerifyingKeyJson | Readonly<Record<string, unknown>>;
  /** The transcript of phase 2, oldest first; empty but with a ceremony. */
  readonly contributions: readonly Contribution[];
}

/**
 * Refuses Groth16 keys that anybody can forge proofs with.
 *
 * A beacon is no contribution here: its number is public, so a key that has nothing but a beacon has
 * a delta that everybody knows.
 *
 * @throws FailedPrecondition where gamma equals delta or no party contributed and the key is not
 *   marked as one for development.
 */
export function assertForgeryResistant(key: ZkeyInfo): void {
  if (!key.devMark && !key.contributions.some(({ kind }) => kind === "party")) {
    throw refused(
      "NO_CONTRIBUTION",
      "No party has contributed to this key yet, so anybody can forge proofs for it (a beacon is " +
        "public and does not count). Let at least one party contribute to it.",
    );
  }
  try {
    assertSoundKey(key.verifyingKey);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw refused("UNSOUND_KEY", `The key is not to be used: ${error.message}.`);
  }
}

/**
 * Refuses keys that are not for production: forgeable ones, and those of a development set-up.
 *
 * @throws FailedPrecondition
 */
export function assertProductionKey(key: ZkeyInfo): void {
  if (key.devMark) {
    throw refused(
      "DEV_SETUP",
      "This key comes from a development set-up: the process that made it could prove anything. " +
        "Set the circuit up from public powers of tau, with contributions.",
    );
  }
  assertForgeryResistant(key);
}

/** An error that says why a key is not taken. */
export function refused(type: string, description: string): FailedPrecondition {
  return new FailedPrecondition(description, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type, subject: "zkey", description }],
  });
}
