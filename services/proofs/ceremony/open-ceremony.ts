// A ceremony that still takes contributions, and why another does not.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { Aborted, FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { Circuit, CompiledDocument, KeyDocument } from "../circuits/circuit.ts";
import { circuitEtag } from "../circuits/circuit-store.ts";

/** A circuit whose key came to be in a ceremony. */
export type CeremonyCircuit = Stored<Circuit> & {
  readonly compiled: CompiledDocument;
  readonly key: KeyDocument;
};

/**
 * The circuit with the key of its ceremony, closed or not.
 *
 * @throws FailedPrecondition where there is no key yet or it is of no ceremony.
 */
export function requireCeremony(circuit: Stored<Circuit>): CeremonyCircuit {
  const { state, key, compiled } = circuit;
  if (state !== "SUCCEEDED" || key === null || compiled === null) {
    throw forbidden(
      circuit,
      "NO_KEY",
      "has no key yet; wait until it is AWAITING_CONTRIBUTIONS, and see its error if it FAILED",
    );
  }
  if (key.record.setup !== "ceremony") {
    throw forbidden(
      circuit,
      "NO_CEREMONY",
      `has a key of a ${key.record.setup} set-up, to which nobody contributes; create a circuit ` +
        "with SETUP_CEREMONY for a key that nobody could forge proofs with",
    );
  }
  return { ...circuit, key, compiled };
}

/**
 * The circuit while its ceremony takes contributions.
 *
 * @throws FailedPrecondition
 */
export function requireOpenCeremony(circuit: Stored<Circuit>): CeremonyCircuit {
  const ceremony = requireCeremony(circuit);
  if (ceremony.key.verified) {
    throw forbidden(
      circuit,
      "CEREMONY_CLOSED",
      "was activated, which closed its ceremony; see its transcript",
    );
  }
  if (ceremony.key.record.contributions.some(({ kind }) => kind === "beacon")) {
    throw forbidden(
      circuit,
      "CEREMONY_CLOSED",
      "has its beacon already, after which nobody contributes; activate it",
    );
  }
  return ceremony;
}

/** How the key of a ceremony is changed. */
export type KeyChange = "contribution" | "beacon";

/**
 * Passes where the caller means the key that is current.
 *
 * @throws Aborted (ETAG_MISMATCH)
 */
export function requireCurrentKey(
  circuit: Stored<Circuit>,
  { etag, what }: { readonly etag: string; readonly what: KeyChange },
): void {
  if (etag !== "" && etag !== circuitEtag(circuit)) throw keyReplaced(circuit._id, what);
}

/** Somebody else was faster. */
export function keyReplaced(name: string, what: KeyChange): Aborted {
  return new Aborted(`The key of ${name} ${REPLACED[what]}`, {
    reason: ErrorReason.ETAG_MISMATCH,
    metadata: { resource: name },
  });
}

const REPLACED: Readonly<Record<KeyChange, string>> = {
  contribution:
    "is no longer the one that was contributed to: somebody else contributed meanwhile. Export " +
    "the proving key again, contribute to that and upload it with its etag.",
  beacon:
    "is no longer the one that the beacon is for: somebody contributed meanwhile, or closed the " +
    "ceremony. Read the circuit again, and apply the beacon with its etag.",
};

/** The error where a circuit is not what the call needs; `description` goes on after its name. */
export function forbidden(
  { _id: name }: Circuit,
  type: string,
  description: string,
): FailedPrecondition {
  return new FailedPrecondition(`${name} ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: name },
    violations: [{ type, subject: name, description }],
  });
}
