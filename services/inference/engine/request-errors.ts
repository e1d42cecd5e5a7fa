// The errors a queued request can end with, in one place so that their texts agree.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Cancelled,
  DeadlineExceeded,
  DomainError,
  Internal,
  ResourceExhausted,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import type { InferRequest } from "../engine.ts";

/** When a full queue is worth another try: a few batches later. */
const OVERLOADED_RETRY_MS = 50;

/** A replacement instance needs about this long. */
const INSTANCE_RETRY_MS = 500;

export function queueFull(model: string, limit: string): ResourceExhausted {
  return new ResourceExhausted(
    `The queue of ${model} is full (${limit}). Send fewer requests at a time, retry later, or ` +
      "raise the deployment's max_queue_requests or instance count.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: OVERLOADED_RETRY_MS },
  );
}

export function expired(model: string): DeadlineExceeded {
  return new DeadlineExceeded(
    `The deadline passed while the request waited for ${model}; the model did not see it.`,
    { reason: ErrorReason.DEADLINE_EXCEEDED },
  );
}

/** The caller's own reason where it gave one. */
export function abandoned(request: InferRequest): DomainError {
  const reason: unknown = request.signal?.reason;
  return reason instanceof DomainError
    ? reason
    : new Cancelled("The caller left before the answer.", { reason: ErrorReason.CANCELLED });
}

export function instanceLost(model: string): Unavailable {
  return new Unavailable(
    `The instance of ${model} that ran the request crashed or hung and is being replaced. ` +
      "Retrying is safe.",
    { reason: ErrorReason.INSTANCE_LOST, retryAfterMs: INSTANCE_RETRY_MS },
  );
}

export function noInstance(model: string, retryAfterMs: number): Unavailable {
  return new Unavailable(
    `No instance of ${model} is running: the last ones crashed, hung or could not be started. ` +
      "A new one is started after a pause.",
    { reason: ErrorReason.INSTANCE_LOST, retryAfterMs },
  );
}

export function stopped(model: string): Unavailable {
  return new Unavailable(`${model} was unloaded from this server. Retrying is safe.`, {
    reason: ErrorReason.MODEL_NOT_READY,
    retryAfterMs: INSTANCE_RETRY_MS,
  });
}

/** Its deployment asks for what this server cannot give. */
export function noReceipts(deployment: string): Unavailable {
  return new Unavailable(
    `${deployment} gives a receipt for each inference, and this server knows no proofs service to ` +
      "log them. Set PLINTH_PROOFS_ADDRESS, or turn the deployment's receipts off.",
    { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: INSTANCE_RETRY_MS },
  );
}

/** The request could not be handed to an instance at all. */
export function notRun(model: string, cause: unknown): Internal {
  return new Internal(
    `The inputs for ${model} could not be put together, perhaps for lack of memory. ` +
      "Send fewer rows.",
    { reason: ErrorReason.MODEL_RUN_FAILED, cause },
  );
}

export function runFailed(model: string, message: string): Internal {
  return new Internal(`${model} could not run on this input: ${message}`, {
    reason: ErrorReason.MODEL_RUN_FAILED,
  });
}
