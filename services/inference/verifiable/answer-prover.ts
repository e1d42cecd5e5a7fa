// Answers that are proved: the rows of a prediction go through the version's active circuit, whose
// output is the answer, and the proof of it is made by the proofs service.

import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { PredictRequest } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Proof, ProvedOutput } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { ProveInferenceRequestSchema } from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import {
  FailedPrecondition,
  InvalidArgument,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { circuitName, deploymentName, modelVersionName } from "../../common/names.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { ModelRef, Servable } from "../engine.ts";
import type { Tensor } from "../tensor.ts";
import { awaitProofs } from "./await-proofs.ts";
import { circuitInputs, type RowPlaces } from "./circuit-inputs.ts";
import { proofContextFault, proofWaitMs, requireVerifiable } from "./proof-request.ts";
import type { ProofSource } from "./proof-source.ts";

/** A prediction that is to be proved. */
export interface ProvedRequest {
  readonly request: PredictRequest;
  /** Of the inference. */
  readonly id: string;
  readonly ref: ModelRef;
  readonly servable: Servable;
  readonly tensors: readonly Tensor[];
  readonly rows: RowPlaces;
}

/** What a circuit says, and what proves it. */
export interface ProvedAnswer {
  /** One a row of the tensors. */
  readonly outputs: readonly ProvedOutput[];
  readonly circuit: string;
  readonly proofJob: string;
  /** Waits as long as the request does; gives those that were made by then. */
  readonly proofs: () => Promise<readonly Proof[]>;
}

/** The answer's way back: so much of the caller's time is not spent waiting for proofs. */
const ANSWER_MS = 250;

const RETRY_MS = 1_000;

/** "rows[2]" and "inputs[0].doubles" in what the proofs service says of its request. */
const ROW = /\brows\[(\d+)\]/g;
const INPUT = /\binputs\[(\d+)\]\.doubles\b/g;

/** Gives predictions that are proved. */
export class AnswerProver {
  readonly #source: ProofSource | undefined;
  readonly #clock: Clock;

  /** @param source undefined where no proofs service is set. */
  constructor(source: ProofSource | undefined, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** @throws FailedPrecondition where answers of the deployment cannot be proved. */
  require(servable: Servable, ref: ModelRef): ProofSource {
    const name = deploymentName.format(ref);
    requireVerifiable(servable, name);
    if (this.#source === undefined) {
      const description =
        "this server knows no proofs service: PLINTH_PROOFS_ADDRESS is not set. Set it to " +
        "host:port, or send the request without verifiable";
      throw new FailedPrecondition(`Answers of ${name} cannot be proved: ${description}.`, {
        reason: ErrorReason.STATE_FORBIDS,
        violations: [{ type: "PROOFS", subject: name, description }],
      });
    }
    return this.#source;
  }

  /**
   * Has the circuit answer, and the proofs begun. To be called before the model runs: whatever is
   * refused here was not answered, and must leave no receipt.
   * @throws InvalidArgument that names row and input; FailedPrecondition; Unavailable.
   */
  async answer(asked: ProvedRequest, context: CallContext): Promise<ProvedAnswer> {
    const source = this.require(asked.servable, asked.ref);
    const { request, servable, ref, rows } = asked;
    const circuit = circuitName.format({
      ...modelVersionName.parse(servable.modelVersion, "model_version"),
      circuit: "active",
    });
    const inputs = circuitInputs(asked.tensors, rows, servable.modelVersion);
    const message = create(ProveInferenceRequestSchema, {
      circuit,
      rows: rows.count,
      inputs,
      context: await boundContext(source, { request, servable, circuit }, context),
      inferenceId: asked.id,
      deployment: deploymentName.format(ref),
      priority: request.priority,
      modelDigest: servable.modelDigest,
    });
    const job = await source.prove(message, context).catch((error: unknown) => {
      throw inRequestTerms(error, asked);
    });
    const outputs = job.rows.flatMap(({ output }) => (output === undefined ? [] : [output]));
    if (outputs.length !== rows.count) {
      throw new Unavailable(
        `The proofs service answered ${outputs.length} rows for ${rows.count} with ${circuit}. Retry.`,
        { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: RETRY_MS },
      );
    }
    const proofs = async () => {
      const leftMs = context.deadlineMs - this.#clock.now() - ANSWER_MS;
      const waitMs = Math.min(proofWaitMs(request), leftMs);
      return waitMs > 0 ? await awaitProofs(source, { name: job.name, waitMs }, context) : [];
    };
    return { outputs, circuit: job.circuit, proofJob: job.name, proofs };
  }
}

/**
 * What of the caller's context goes into the proof. With receipts it has a place in any case, and a
 * circuit that binds none is no fault; without, the proofs service says so.
 */
async function boundContext(
  source: ProofSource,
  asked: Pick<ProvedRequest, "request" | "servable"> & { readonly circuit: string },
  call: CallContext,
): Promise<Uint8Array> {
  const { context } = asked.request;
  if (context.length === 0 || !asked.servable.proofs.receipts) {
    return context;
  }
  if (!(await source.hasContext(asked.circuit, call))) {
    return new Uint8Array();
  }
  const fault = proofContextFault(context);
  if (fault !== undefined) {
    throw new InvalidArgument(`${fault}, and the circuit has a context.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "context", description: fault }],
    });
  }
  return context;
}

/** A refusal with the rows as the caller of Predict counts them, and inputs by their names. */
function inRequestTerms(
  error: unknown,
  { rows, tensors }: Pick<ProvedRequest, "rows" | "tensors">,
): unknown {
  if (!(error instanceof InvalidArgument)) {
    return error;
  }
  const place = (text: string): string =>
    text
      .replace(ROW, (whole, row) => (Number(row) < rows.count ? rows.of(Number(row)) : whole))
      .replace(INPUT, (whole, index) => tensors[Number(index)]?.name ?? whole);
  return new InvalidArgument(place(error.message), {
    reason: error.reason,
    metadata: error.metadata,
    violations: error.violations.map(({ field, description }) => ({
      field: place(field),
      description: place(description),
    })),
    cause: error,
  });
}
