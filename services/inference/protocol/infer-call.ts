// One ModelInfer from decoded request to answer: options, route, check, engine, form of the answer.
// The unary method and the stream share it.

import { randomUUID } from "node:crypto";
import type { Context } from "@opentelemetry/api";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { Engine, InferResult, Servable } from "../engine.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { type CheckLimits, checkInputs } from "./check-inputs.ts";
import { type CheckedOutputs, checkOutputs } from "./check-outputs.ts";
import { bestClasses } from "./classification.ts";
import { type DeploymentScope, deploymentRef } from "./deployment-ref.ts";
import type { InferAnswer, WireInferRequest } from "./infer-messages.ts";
import { readInferOptions } from "./infer-parameters.ts";
import { Violations } from "./violations.ts";

/** What the requests of one call have in common. */
export interface InferScope extends DeploymentScope {
  readonly engine: Engine;
  readonly limits: CheckLimits;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly trace: Context;
}

/**
 * Serves one request.
 * @throws synchronously what is wrong with the request or its deployment: InvalidArgument with all
 *   violations, NotFound, Unavailable, PermissionDenied. Rejects with what the engine throws.
 */
export function infer(scope: InferScope, request: WireInferRequest): Promise<InferAnswer> {
  const violations = new Violations();
  const options = readInferOptions(request.parameters, violations);
  const parameterFaults = violations.count;
  const ref = deploymentRef(scope, request.modelName, request.modelVersion, "model_name");
  const servable = scope.engine.route(ref, options.routingKey);
  const inputs = checkInputs(request, servable, scope.limits, violations);
  const outputs = checkOutputs(request, servable.signature, violations);
  violations.throwIfAny(
    violations.count > parameterFaults ? ErrorReason.TENSOR_MISMATCH : ErrorReason.INVALID_FIELD,
  );
  // A receipt is found by its id.
  const id = request.id === "" && servable.proofs.receipts ? randomUUID() : request.id;
  const finish = (tensors: readonly Tensor[]): InferAnswer => {
    const given = withClasses(tensors, outputs, servable);
    return {
      kind: "answer",
      modelName: request.modelName,
      modelVersion: servable.version,
      id,
      outputs: given,
      raw: request.rawInputContents.length > 0 || given.some((t) => t.datatype === "FP16"),
      finalResponse: options.finalResponse,
    };
  };
  if (inputs.rows === 0) {
    return Promise.resolve(finish(emptyOutputs(servable, outputs.indices)));
  }
  const timeoutMs = options.timeoutMs;
  return scope.engine
    .infer({
      id,
      servable,
      inputs: inputs.tensors,
      outputs: outputs.indices,
      rows: inputs.rows,
      priority: options.priority,
      deadlineMs:
        timeoutMs === undefined
          ? scope.deadlineMs
          : Math.min(scope.deadlineMs, scope.clock.now() + timeoutMs),
      signal: scope.signal,
      trace: scope.trace,
      routingKey: options.routingKey,
      eventUs: options.eventUs,
      context: options.context,
    })
    .then((result: InferResult) => finish(result.outputs));
}

/** The answer to a batch of no rows: nothing runs, open dimensions are 0. */
function emptyOutputs(servable: Servable, indices: readonly number[]): Tensor[] {
  return indices.map((index) => emptyTensor(servable.signature.outputs[index]!));
}

function emptyTensor({ name, datatype, shape }: TensorSpec): Tensor {
  const dimensions = shape.map((dimension, axis) => (axis === 0 ? 0 : Math.max(0, dimension)));
  return datatype === "BYTES"
    ? { name, datatype, shape: dimensions, data: [] }
    : { name, datatype, shape: dimensions, data: new Uint8Array(0) };
}

function withClasses(
  tensors: readonly Tensor[],
  outputs: CheckedOutputs,
  servable: Servable,
): readonly Tensor[] {
  if (outputs.classes.size === 0) {
    return tensors;
  }
  return tensors.map((tensor, position) => {
    const count = outputs.classes.get(position);
    if (count === undefined || tensor.datatype === "BYTES") {
      return tensor;
    }
    return bestClasses(tensor, count, { batched: servable.batched, labels: servable.classLabels });
  });
}
