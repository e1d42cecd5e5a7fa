// A deployment and the graph it serves, as Triton's ModelConfig and ModelMetadata.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ModelMetadataResponseSchema } from "../../../gen/inference/grpc_service_pb.js";
import {
  DataType,
  type ModelConfigSchema,
  ModelInstanceGroup_Kind,
  ModelQueuePolicy_TimeoutAction,
} from "../../../gen/inference/model_config_pb.js";
import type { DeploymentStatus, Servable } from "../engine.ts";
import type { Datatype, TensorSpec } from "../tensor.ts";
import { PRIORITY_DEFAULT, PRIORITY_LEVELS } from "./infer-parameters.ts";

/** What Triton calls ONNX models run by onnxruntime. */
const PLATFORM = "onnxruntime_onnx";
const BACKEND = "onnxruntime";

const DATA_TYPES: Readonly<Record<Datatype, DataType>> = {
  BOOL: DataType.TYPE_BOOL,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  FP16: DataType.TYPE_FP16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
};

/**
 * The configuration of one version. `max_batch_size` is 0 where the model is not batched; otherwise
 * dims are without the batch dimension. It bounds what the batcher puts together; one request may
 * bring more rows.
 */
export function modelConfig(
  name: string,
  deployment: DeploymentStatus,
  servable: Servable,
): MessageInitShape<typeof ModelConfigSchema> {
  const { batching, instances, versions } = deployment;
  const dims = ({ shape }: TensorSpec): bigint[] =>
    (servable.batched ? shape.slice(1) : shape).map(BigInt);
  return {
    name,
    platform: PLATFORM,
    backend: BACKEND,
    versionPolicy: {
      policyChoice: {
        case: "specific",
        value: { versions: versions.map(({ version }) => BigInt(version)) },
      },
    },
    maxBatchSize: servable.batched ? servable.maxBatchRows : 0,
    input: servable.signature.inputs.map((spec) => ({
      name: spec.name,
      dataType: DATA_TYPES[spec.datatype],
      dims: dims(spec),
    })),
    output: servable.signature.outputs.map((spec) => ({
      name: spec.name,
      dataType: DATA_TYPES[spec.datatype],
      dims: dims(spec),
    })),
    instanceGroup: [
      { name: `${name}_0`, count: instances.count, kind: ModelInstanceGroup_Kind.CPU },
    ],
    schedulingChoice: {
      case: "dynamicBatching",
      value: {
        maxQueueDelayMicroseconds: microseconds(batching.maxQueueDelayMs),
        priorityLevels: BigInt(PRIORITY_LEVELS),
        defaultPriorityLevel: BigInt(PRIORITY_DEFAULT),
        defaultQueuePolicy: {
          timeoutAction: ModelQueuePolicy_TimeoutAction.REJECT,
          defaultTimeoutMicroseconds: microseconds(batching.queueTimeoutMs),
          allowTimeoutOverride: true,
          maxQueueSize: batching.maxQueueRequests,
        },
      },
    },
    parameters: { intra_op_threads: { stringValue: String(instances.intraOpThreads) } },
  };
}

/** Versions that serve, inputs and outputs with their batch dimension. */
export function modelMetadata(
  name: string,
  deployment: DeploymentStatus,
  servable: Servable,
): MessageInitShape<typeof ModelMetadataResponseSchema> {
  const tensor = ({ name, datatype, shape }: TensorSpec) => ({
    name,
    datatype,
    shape: shape.map(BigInt),
  });
  return {
    name,
    versions: deployment.versions
      .filter(({ state }) => state === "READY")
      .map(({ version }) => version),
    platform: PLATFORM,
    inputs: servable.signature.inputs.map(tensor),
    outputs: servable.signature.outputs.map(tensor),
  };
}

function microseconds(ms: number): bigint {
  return BigInt(Math.max(0, Math.round(ms * 1000)));
}
