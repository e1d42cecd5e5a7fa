// What a request asks of proofs, and whether it may: all of it is checked before anything runs.

import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { PredictRequest } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { Servable } from "../engine.ts";
import type { Violations } from "../protocol/violations.ts";

/** As the proto says. */
const ROWS_MAX = 64;
const RECEIPT_CONTEXT_BYTES_MAX = 256;
/** What surely is below the order of the field. */
const PROOF_CONTEXT_BYTES_MAX = 31;
const WAIT_MS_MAX = 600_000;

const NANOS_END = 1_000_000_000;

/** Adds what is wrong with the fields `verifiable`, `context` and `proof_wait`. */
export function checkProofFields(
  request: PredictRequest,
  call: {
    readonly servable: Pick<Servable, "proofs">;
    /** Milliseconds until the caller's deadline. */
    readonly leftMs: number;
  },
  violations: Violations,
): void {
  const count = request.entities.length || request.rows.length;
  if (request.verifiable && count > ROWS_MAX) {
    const field = request.entities.length > 0 ? "entities" : "rows";
    violations.add(
      field,
      `${count} ${field} came; of a verifiable request at most ${ROWS_MAX} are proved. Send several`,
    );
  }
  checkContext(request, call.servable, violations);
  if (request.proofWait !== undefined) {
    checkWait(request, { wait: request.proofWait, leftMs: call.leftMs }, violations);
  }
}

/** How long the answer may wait for its proofs; 0: not at all. Of a request that was checked. */
export function proofWaitMs({ proofWait }: PredictRequest): number {
  return proofWait === undefined ? 0 : durationMs(proofWait);
}

/** @throws FailedPrecondition where the deployment's answers are not to be proved. */
export function requireVerifiable({ proofs }: Servable, deployment: string): void {
  if (!proofs.verifiable) {
    const id = deployment.slice(deployment.lastIndexOf("/") + 1);
    const description =
      "it is not verifiable. Set config.proofs.verifiable of it (plinth deployments update " +
      `${id} --verifiable), or send the request without verifiable`;
    throw new FailedPrecondition(`Answers of ${deployment} are not proved: ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [{ type: "PROOFS", subject: deployment, description }],
    });
  }
}

/** What is wrong with a context that is to be bound into a proof; undefined: nothing. */
export function proofContextFault({ length }: Uint8Array): string | undefined {
  return length > PROOF_CONTEXT_BYTES_MAX
    ? `context has ${length} bytes; at most ${PROOF_CONTEXT_BYTES_MAX} can be bound into a proof`
    : undefined;
}

function checkContext(
  { context, verifiable }: PredictRequest,
  { proofs }: Pick<Servable, "proofs">,
  violations: Violations,
): void {
  if (context.length === 0) {
    return;
  }
  if (context.length > RECEIPT_CONTEXT_BYTES_MAX) {
    violations.add(
      "context",
      `context has ${context.length} bytes; at most ${RECEIPT_CONTEXT_BYTES_MAX} are allowed`,
    );
    return;
  }
  if (verifiable && !proofs.receipts) {
    const fault = proofContextFault(context);
    if (fault !== undefined) {
      violations.add("context", fault);
    }
  }
  if (!verifiable && !proofs.receipts) {
    violations.add(
      "context",
      "context came, and there is nothing to put it into: the request is not verifiable, and the " +
        "deployment keeps no receipts. Set verifiable, or config.proofs.receipts of the deployment",
    );
  }
}

function checkWait(
  { verifiable }: PredictRequest,
  { wait, leftMs }: { readonly wait: Duration; readonly leftMs: number },
  violations: Violations,
): void {
  const ms = durationMs(wait);
  const isDuration = wait.nanos > -NANOS_END && wait.nanos < NANOS_END && Number.isFinite(ms);
  if (!isDuration || ms < 0 || ms > WAIT_MS_MAX) {
    violations.add(
      "proof_wait",
      `proof_wait is ${ms / 1000} s; expected 0 to ${WAIT_MS_MAX / 1000} s`,
    );
  } else if (!verifiable && ms > 0) {
    violations.add(
      "proof_wait",
      "proof_wait came without verifiable: there is no proof to wait for. Set verifiable",
    );
  } else if (ms > leftMs) {
    violations.add(
      "proof_wait",
      `proof_wait is ${ms / 1000} s, and the call's deadline is in ${seconds(leftMs)} s. ` +
        "Wait for less, or set a later deadline",
    );
  }
}

function seconds(ms: number): string {
  return String(Number((Math.max(0, ms) / 1000).toFixed(3)));
}
