// One row: its witness in the workshop, its proof in the prover's process, which our own verifier
// has looked at, and both compared with what was answered when the job was made.

import { rm } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { Internal } from "../../common/errors/domain-error.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import type { KeyRecord } from "../prover/key-record.ts";
import type { Prover } from "../prover/prover-port.ts";
import type { ProofTimings } from "../prover/prover-tasks.ts";
import type { JsonObject } from "../verifier/read-json.ts";
import type { CircuitSource, RowInputs, Workshop } from "../workshop/workshop-port.ts";
import type { ProofPhase } from "./proof-job.ts";

/** What rows of one circuit are proved with. */
export interface ProvingFiles {
  readonly r1cs: string;
  readonly zkey: string;
  readonly source: CircuitSource;
  readonly schema: CircuitSchema;
  readonly key: Pick<KeyRecord, "protocol">;
}

/** One row of a job. */
export interface RowToProve {
  readonly row: number;
  readonly inputs: RowInputs;
  /** What was answered. */
  readonly publicValues: readonly bigint[];
  /** Where the witness is written, which goes afterwards. */
  readonly witness: string;
}

/** A proof that verified. */
export interface ProvedRow {
  readonly proof: JsonObject;
  readonly publicValues: readonly string[];
  /** Empty with PLONK. */
  readonly verifyingKeyHash: string;
  readonly witnessMs: number;
  readonly timings: ProofTimings;
}

interface ProveRowDeps {
  readonly workshop: Workshop;
  readonly prover: Prover;
  readonly clock: Clock;
}

/**
 * Proves a row. The witness, which has all that is private, is gone when this settles.
 * @throws Internal where circuit and prover disagree about what the row gives; what they throw
 */
export async function proveRow(
  { workshop, prover, clock }: ProveRowDeps,
  { r1cs, zkey, source, key }: ProvingFiles,
  given: {
    readonly row: RowToProve;
    readonly signal: AbortSignal;
    readonly onPhase: (phase: ProofPhase) => void;
  },
): Promise<ProvedRow> {
  const { row, signal, onPhase } = given;
  const { witness } = row;
  const start = clock.monotonicMs();
  try {
    onPhase("witness");
    const made = await workshop.witness(source, row.inputs, witness, { signal });
    requireSame(row, made.publicValues, "the witness of");
    const witnessMs = clock.monotonicMs() - start;
    const files = { r1cs, zkey, witness };
    const options = { signal, onProgress: (text: string) => onPhase(phaseOf(text)) };
    const result =
      key.protocol === "groth16"
        ? await prover.prove(files, options)
        : { ...(await prover.plonkProve(files, options)), verifyingKeyHash: "" };
    requireSame(row, result.publicValues.map(BigInt), "the proof of");
    const { publicValues, verifyingKeyHash, timings } = result;
    return { proof: { ...result.proof }, publicValues, verifyingKeyHash, witnessMs, timings };
  } finally {
    await rm(witness, { force: true });
  }
}

function phaseOf(text: string): ProofPhase {
  switch (text) {
    case "checking the witness":
      return "witness";
    case "verifying":
      return "verifying";
    default:
      return "proving";
  }
}

function requireSame({ row, publicValues }: RowToProve, found: readonly bigint[], what: string) {
  const isSame =
    found.length === publicValues.length && found.every((value, i) => value === publicValues[i]);
  if (!isSame) {
    throw new Internal(
      `Row ${row}: ${what} the row has other public values than were answered when it was asked ` +
        "for. The answer is not proved; report this with the circuit's name.",
      { reason: ErrorReason.UNSPECIFIED },
    );
  }
}
