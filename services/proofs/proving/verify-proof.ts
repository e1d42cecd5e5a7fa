// Verifies proofs under the keys that are stored with the circuits, away from the thread that
// answers. Of each workspace some may wait, so that none keeps the others waiting.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  VerifyProofRequest,
  VerifyProofResponseSchema,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { FailedPrecondition, ResourceExhausted } from "../../common/errors/domain-error.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { type Circuit, isDevelopment } from "../circuits/circuit.ts";
import { compiledOf, keyOf } from "../circuits/circuit-files.ts";
import { PROOF_BYTES } from "../verifier/proof-format.ts";
import { PUBLIC_VALUES_MAX } from "../verifier/verifying-key.ts";
import type { Workshop } from "../workshop/workshop-port.ts";
import { requireReady } from "./check-inference.ts";
import { Shares } from "./shares.ts";
import { numberOfBytes, statementMessage } from "./statement-message.ts";

type Answer = MessageInitShape<typeof VerifyProofResponseSchema>;

/** Of a workspace, at once: a second of work. */
export const WAITING_MAX = 32;
const RETRY_AFTER_MS = 1_000;

/** snarkjs' JSON of a proof has 800 bytes. */
const PROOF_BYTES_MAX = 8 * 1024;
const CONTEXT_BYTES_MAX = 32;
/** Of the order of the field. */
const DIGITS_MAX = 77;

/** Counts what waits of each workspace. */
export class ProofVerifier {
  readonly #workshop: Pick<Workshop, "verify">;
  readonly #waiting = new Shares(WAITING_MAX);

  constructor(workshop: Pick<Workshop, "verify">) {
    this.#workshop = workshop;
  }

  /**
   * Says whether the proof verifies under the circuit's own key.
   * @throws FailedPrecondition where the circuit has no key yet or is PLONK; InvalidArgument for
   *   what is too long to be a proof; ResourceExhausted where too many of the workspace wait
   */
  async verify(
    circuit: Circuit,
    request: Omit<VerifyProofRequest, "circuit">,
    signal: AbortSignal,
  ): Promise<Answer> {
    requireReady(circuit);
    checkSizes(request);
    const { proof, publicValues, context } = request;
    const { schema, model } = compiledOf(circuit);
    const { keyHash, verifyingKey } = groth16KeyOf(circuit);
    using _place = this.#waiting.take(circuit.workspace) ?? tooMany(circuit.workspace);
    const expected = context === undefined ? {} : { context: numberOfBytes(context) };
    const task = { keyHash, verifyingKey, schema, proof, publicValues, ...expected };
    const result = await this.#workshop.verify(task, { signal });
    const of = {
      modelCommitment: model,
      verifyingKeyHash: keyHash,
      development: isDevelopment(circuit),
    };
    return result.valid
      ? { ...of, valid: true, statement: statementMessage(schema, result) }
      : { ...of, valid: false, reason: result.reason, message: result.message };
  }
}

function groth16KeyOf(circuit: Circuit): { keyHash: string; verifyingKey: unknown } {
  const { record } = keyOf(circuit);
  if (record.protocol === "groth16" && record.verifyingKeyHash !== undefined) {
    return { keyHash: record.verifyingKeyHash, verifyingKey: record.verifyingKey };
  }
  const description = "is PLONK, which this service has no verifier of its own for";
  throw new FailedPrecondition(
    `${circuit._id} ${description}. Verify the exported proof with snarkjs (plonk verify), ` +
      "under the verifying key that ExportCircuit gives.",
    {
      reason: ErrorReason.UNSUPPORTED,
      metadata: { resource: circuit._id },
      violations: [{ type: "PROTOCOL", subject: circuit._id, description }],
    },
  );
}

function tooMany(workspace: string): never {
  throw new ResourceExhausted(
    `${WAITING_MAX} proofs of workspace "${workspace}" are being verified already. Try again when ` +
      "some are done, or verify them yourself: plinth proof verify needs no server.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS, metadata: { workspace } },
  );
}

function checkSizes({ proof, publicValues, context }: Omit<VerifyProofRequest, "circuit">): void {
  const faults = new RequestFaults();
  const bytes = `has ${proof.length} bytes; a proof has ${PROOF_BYTES}, its JSON about 800`;
  faults.check(proof.length <= PROOF_BYTES_MAX, "proof", bytes);
  const count = publicValues.length;
  const most = `are ${count}; no circuit has more than ${PUBLIC_VALUES_MAX}`;
  faults.check(count <= PUBLIC_VALUES_MAX, "public_values", most);
  const long = publicValues.findIndex(({ length }) => length > DIGITS_MAX);
  const digits = `has ${publicValues[long]?.length} characters; no number of the field has more than 77`;
  faults.check(long < 0, `public_values[${long}]`, digits);
  const isContext = (context?.length ?? 0) <= CONTEXT_BYTES_MAX;
  faults.check(isContext, "context", `has ${context?.length} bytes; up to 31 are possible`);
  faults.done();
}
