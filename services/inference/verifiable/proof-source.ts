// The proofs service as Predict sees it. What goes wrong there is told in the terms of the
// prediction and keeps its reason.

import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { CircuitService } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import type { ProofJob } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import {
  ProofService,
  type ProveInferenceRequest,
  ProveInferenceRequestSchema,
  type WatchProofResponse,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import { DomainError, FailedPrecondition, Unavailable } from "../../common/errors/domain-error.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallContext } from "../../common/rpc/context.ts";

/** When it is worth asking again where the proofs service did not say. */
const RETRY_MS = 1_000;

/** The proofs service as predictions need it. */
export interface ProofSource {
  /**
   * Evaluates a circuit and begins to prove it. The same request gives the same job.
   * @throws InvalidArgument for rows or a context that the circuit does not take;
   *   FailedPrecondition; ResourceExhausted; Unavailable; DeadlineExceeded; Cancelled.
   */
  prove(request: ProveInferenceRequest, context: CallContext): Promise<ProofJob>;
  /** Whether a circuit binds a context into its proofs. @throws as `prove` does. */
  hasContext(circuit: string, context: CallContext): Promise<boolean>;
  /** The job now and after each change, until it has ended; the signal ends it sooner. */
  watch(job: string, signal: AbortSignal, context: CallContext): AsyncIterable<WatchProofResponse>;
}

/** The proofs service behind a channel that carries a service's credential. */
export function proofSource(channel: Channel, clock: Clock): ProofSource {
  const proofs = createClient(ProofService, channel);
  const circuits = createClient(CircuitService, channel);
  const asked = async <T>(circuit: string, context: CallContext, ask: () => Promise<T>) => {
    try {
      return await ask();
    } catch (error) {
      const isLate = context.signal.aborted || clock.now() >= context.deadlineMs;
      throw told(error, circuit, { isLate });
    }
  };
  return {
    prove: (request, context) =>
      asked(request.circuit, context, () =>
        proofs.proveInference(withRequestId(request), { parent: context }),
      ),
    hasContext: (circuit, context) =>
      asked(circuit, context, async () => {
        const { options } = await circuits.getCircuit({ name: circuit }, { parent: context });
        return options?.context ?? false;
      }),
    watch: (name, signal, context) => proofs.watchProof({ name }, { parent: context, signal }),
  };
}

/**
 * What is asked for is the id of the request: who predicts again under the same id with the same
 * rows is given the job that there is, and who uses an id for other rows gets another.
 */
function withRequestId(request: ProveInferenceRequest): ProveInferenceRequest {
  const requestId = createHash("sha256")
    .update(toBinary(ProveInferenceRequestSchema, request))
    .digest("hex");
  return create(ProveInferenceRequestSchema, { ...request, requestId });
}

/** An error of the proofs service as the caller of Predict is told it. */
function told(error: unknown, circuit: string, { isLate }: { readonly isLate: boolean }): unknown {
  if (!(error instanceof DomainError)) {
    return error;
  }
  switch (error.kind) {
    case "Unavailable":
      return away(circuit, error, (error as Unavailable).retryAfterMs);
    case "DeadlineExceeded":
      // The caller's own deadline, or one of ours that is shorter.
      return isLate ? error : away(circuit, error, RETRY_MS);
    case "NotFound":
      return refused(
        circuit,
        error,
        "there is none. Make one with CreateCircuit (plinth circuits create) and activate it, or " +
          "send the request without verifiable",
      );
    case "Unauthenticated":
    case "PermissionDenied":
      return refused(
        circuit,
        error,
        "the proofs service does not let this server in. Set PLINTH_MESH_SECRET to the same " +
          "secret in every process of the mesh",
      );
    case "Unimplemented":
      return refused(
        circuit,
        error,
        "no proofs service is served at PLINTH_PROOFS_ADDRESS. Set it to one",
      );
    default:
      return error;
  }
}

function away(circuit: string, error: DomainError, retryAfterMs: number): Unavailable {
  const reason = error.kind === "Unavailable" ? error.reason : ErrorReason.DEPENDENCY_UNAVAILABLE;
  return new Unavailable(
    `Nothing was proved with ${circuit}: the proofs service is away or too slow. Retry.`,
    { reason, retryAfterMs, cause: error },
  );
}

function refused(circuit: string, error: DomainError, description: string): FailedPrecondition {
  return new FailedPrecondition(`Nothing can be proved with ${circuit}: ${description}.`, {
    reason: error.kind === "NotFound" ? error.reason : ErrorReason.STATE_FORBIDS,
    violations: [{ type: "CIRCUIT", subject: circuit, description }],
    cause: error,
  });
}
