// The transcript of a ceremony: who contributed when, and the hashes by which anybody makes sure
// that the key follows from the constraints and the powers of tau. The same ceremony gives the same
// bytes.

import type { Stored } from "../../common/documents/port.ts";
import type { Circuit } from "../circuits/circuit.ts";
import { requireCeremony } from "./open-ceremony.ts";

/** Of what these files are, for who finds one alone. */
const FORMAT = "plinth.proofs.ceremony-transcript.v1";

/**
 * The transcript as JSON, with a newline at its end.
 *
 * @throws FailedPrecondition where the circuit has no key of a ceremony.
 */
export function transcriptJson(circuit: Stored<Circuit>): string {
  const { key, compiled, options, _id: name } = requireCeremony(circuit);
  const { record, contributionTimes, verified } = key;
  const contributions = record.contributions.map((one, i) => ({
    number: i + 1,
    kind: one.kind,
    name: one.name,
    // What the contributor's own program showed.
    blake2b512: one.hash,
    ...(one.kind === "beacon"
      ? { beaconHash: one.beaconHash, beaconIterations: one.beaconIterations }
      : {}),
    time: contributionTimes[i]?.toISOString() ?? null,
  }));
  const transcript = {
    format: FORMAT,
    circuit: name,
    protocol: record.protocol,
    curve: "bn128",
    closed: verified,
    modelSha256: circuit.modelDigest,
    modelCommitment: compiled.model,
    schemaHash: compiled.schemaHash,
    constraints: { sha256: compiled.constraints, bytes: compiled.constraintsBytes },
    powersOfTau: { name: String(options.powersOfTau ?? ""), sha256: record.ptauHash ?? null },
    contributions,
    provingKey: { sha256: key.zkey, bytes: record.zkeyBytes },
    verifyingKeyHash: record.verifyingKeyHash ?? null,
    check: "snarkjs zkey verify <constraints> <powersOfTau> <provingKey>",
  };
  return `${JSON.stringify(transcript, undefined, 2)}\n`;
}
