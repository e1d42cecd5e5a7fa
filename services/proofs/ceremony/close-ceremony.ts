// Closes a ceremony: verifies its key from the constraints and the powers of tau on, whatever was
// verified on the way. Activation of a circuit calls it.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { DataLoss } from "../../common/errors/domain-error.ts";
import type { Circuit, KeyDocument } from "../circuits/circuit.ts";
import type { CeremonyDeps } from "./ceremony-deps.ts";
import { forbidden, requireCeremony } from "./open-ceremony.ts";

/** What activation needs of ceremonies. */
export interface Ceremony {
  /**
   * The key as it is to be stored with the activation, if the circuit is still the one given.
   *
   * @throws FailedPrecondition where no party contributed (a beacon is none), gamma equals delta, or
   *   the key does not follow from the constraints and the powers of tau.
   */
  close(circuit: Stored<Circuit>, signal: AbortSignal): Promise<KeyDocument>;
}

/** Closes ceremonies with this prover. */
export function ceremony(deps: Pick<CeremonyDeps, "files" | "prover" | "ptaus">): Ceremony {
  return { close: (circuit, signal) => closeCeremony(deps, circuit, signal) };
}

async function closeCeremony(
  { files, prover, ptaus }: Pick<CeremonyDeps, "files" | "prover" | "ptaus">,
  circuit: Stored<Circuit>,
  signal: AbortSignal,
): Promise<KeyDocument> {
  const { key, compiled, options, _id: name } = requireCeremony(circuit);
  if (key.verified) return key;
  if (!key.record.contributions.some(({ kind }) => kind === "party")) {
    throw forbidden(
      circuit,
      "NO_CONTRIBUTION",
      "has a key that no party has contributed to, with which anybody can forge proofs (a beacon " +
        "is public and counts as no party); let at least one party contribute first",
    );
  }
  const ptau = await ptaus.file(String(options.powersOfTau ?? ""));
  if (ptau.sha256 !== key.record.ptauHash) {
    throw forbidden(
      circuit,
      "OTHER_POWERS_OF_TAU",
      `has a key that was made from powers of tau with the SHA-256 ${key.record.ptauHash}; ` +
        `${String(options.powersOfTau)} is now ${ptau.sha256}. Import those again under that ` +
        "name, or create the circuit again",
    );
  }
  const { r1cs, zkey } = await files.proving(circuit);
  const record = await prover.verifyZkey({ r1cs, ptau: ptau.path, zkey }, { signal });
  const isAsStored =
    record.circuitHash === compiled.constraints &&
    record.ptauHash === ptau.sha256 &&
    record.zkeyHash === key.zkey &&
    record.verifyingKeyHash === key.record.verifyingKeyHash &&
    record.contributions.length === key.contributionTimes.length;
  if (!isAsStored) {
    throw new DataLoss(
      `The files of ${name} are not those that its ceremony was of. Bring them back from a backup.`,
      { reason: ErrorReason.DIGEST_MISMATCH, metadata: { resource: name } },
    );
  }
  return { ...key, record, verified: true };
}
