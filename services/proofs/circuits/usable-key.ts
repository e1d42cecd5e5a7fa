// Keys that are activated or given to verifiers: none with which anybody could forge proofs.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { Refusal } from "../verifier/refusal.ts";
import { assertSoundKey, readVerifyingKey, type VerifyingKey } from "../verifier/verifying-key.ts";
import { type Circuit, isReady, type KeyDocument } from "./circuit.ts";
import { keyOf, notYet } from "./circuit-files.ts";

/**
 * The key of a circuit that is READY.
 *
 * @throws FailedPrecondition where it has none, its ceremony is not closed or without a
 *   contribution, or proofs can be forged with it
 */
export function usableKey(circuit: Circuit): KeyDocument {
  const key = keyOf(circuit);
  const { setup, protocol, contributions } = key.record;
  const hasParty = contributions.some(({ kind }) => kind === "party");
  if (!isReady(circuit) || (setup === "ceremony" && !hasParty)) {
    throw notYet(
      circuit._id,
      setup === "ceremony"
        ? "has a key that awaits contributions: let at least one party contribute, then close " +
            "the ceremony with ActivateCircuit"
        : "is not READY",
    );
  }
  if (protocol === "groth16") {
    soundKey(circuit, key);
  }
  return key;
}

/** The Groth16 verifying key of a circuit that is READY. @throws FailedPrecondition */
export function groth16Key(circuit: Circuit): VerifyingKey {
  const key = usableKey(circuit);
  if (key.record.protocol !== "groth16") {
    throw refused(
      circuit._id,
      "PLONK",
      "has a PLONK key; this file is of Groth16. Make a circuit with SETUP_CEREMONY, or with " +
        "SETUP_DEVELOPMENT to try it",
    );
  }
  return soundKey(circuit, key);
}

/** What reads keys and proofs refuses in its own way; for callers it is a precondition. */
export function asPrecondition<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) {
      throw refused(name, error.reason.toUpperCase().replaceAll("-", "_"), error.message);
    }
    throw error;
  }
}

/** The error where a circuit has something that a file of it cannot have. */
export function refused(name: string, type: string, description: string): FailedPrecondition {
  return new FailedPrecondition(`${name}: ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: name },
    violations: [{ type, subject: name, description }],
  });
}

function soundKey(circuit: Circuit, { record }: KeyDocument): VerifyingKey {
  return asPrecondition(circuit._id, () => {
    const key = readVerifyingKey(record.verifyingKey);
    assertSoundKey(key);
    return key;
  });
}
