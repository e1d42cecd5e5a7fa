// Models for the whole-mesh tests: pushed, approved and deployed through the RPCs that anyone uses.

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type {
  ModelInferRequestSchema,
  ModelInferResponse,
  ModelStatistics,
} from "../../gen/inference/grpc_service_pb.js";
import { GRPCInferenceService } from "../../gen/inference/grpc_service_pb.js";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { CircuitService } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofService } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import type { DeploymentConfigSchema } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { type Deployment, Deployment_State } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { ModelVersion } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { AlreadyExists } from "../../services/common/errors/domain-error.ts";
import { type Channel, createClient } from "../../services/common/rpc/client.ts";
import { pushApproved } from "../../services/registry/testing.ts";

/** How long a deployment of a small model may take to be served, on a busy machine. */
const SERVED_WITHIN_MS = 20_000;

export const DEFAULT = "workspaces/default";

export type Clients = ReturnType<typeof clientsOn>;

/** What a message is made from, where the message itself is not wanted. */
type Init<Shape> = Exclude<Shape, { readonly $typeName: string }>;

export type InferRequestInit = Init<MessageInitShape<typeof ModelInferRequestSchema>>;

/** A client of every service. */
export function clientsOn(channel: Channel) {
  return {
    workspaces: createClient(WorkspaceService, channel),
    models: createClient(ModelService, channel),
    deployments: createClient(DeploymentService, channel),
    keys: createClient(ApiKeyService, channel),
    inference: createClient(GRPCInferenceService, channel),
    predictions: createClient(InferenceService, channel),
    definitions: createClient(FeatureRegistryService, channel),
    features: createClient(FeatureStoreService, channel),
    jobs: createClient(JobService, channel),
    monitoring: createClient(MonitoringService, channel),
    circuits: createClient(CircuitService, channel),
    proofs: createClient(ProofService, channel),
    receipts: createClient(ReceiptService, channel),
    alerts: createClient(AlertService, channel),
  };
}

/** The next version of a model, which is registered when it is not there; approved. */
export async function pushModel(
  clients: Clients,
  model: string,
  bytes: Uint8Array,
  parent = DEFAULT,
): Promise<ModelVersion> {
  await clients.models.createRegisteredModel({ parent, modelId: model }).catch((error: unknown) => {
    if (!(error instanceof AlreadyExists)) throw error;
  });
  return pushApproved(clients, `${parent}/models/${model}`, bytes);
}

/** Registers the model and serves its version as a deployment of the same name. */
export async function serveModel(
  clients: Clients,
  id: string,
  bytes: Uint8Array,
  options: {
    readonly config?: Init<MessageInitShape<typeof DeploymentConfigSchema>>;
    readonly parent?: string;
  } = {},
): Promise<ModelVersion> {
  const { parent = DEFAULT, config = {} } = options;
  const version = await pushModel(clients, id, bytes, parent);
  const { name } = await clients.deployments.createDeployment({
    parent,
    deploymentId: id,
    deployment: {
      config: { ...config, targets: [{ modelVersion: version.name, weight: 100 }] },
    },
  });
  await untilServed(clients, name);
  return version;
}

/** Waits until every server serves what the deployment says now. */
export async function untilServed(clients: Clients, name: string): Promise<Deployment> {
  const untilMs = Date.now() + SERVED_WITHIN_MS;
  while (true) {
    const deployment = await clients.deployments.getDeployment({ name });
    if (deployment.state === Deployment_State.READY) {
      return deployment;
    }
    if (Date.now() > untilMs) {
      throw new Error(`${name} is not served but ${Deployment_State[deployment.state]}`);
    }
    await sleep(20);
  }
}

/** Rows of FP32 as typed contents. */
export function rowsOf(
  modelName: string,
  rows: readonly (readonly number[])[],
  more: InferRequestInit = {},
): InferRequestInit {
  const shape = [BigInt(rows.length), BigInt(rows[0]?.length ?? 0)];
  return {
    modelName,
    inputs: [{ name: "x", datatype: "FP32", shape, contents: { fp32Contents: rows.flat() } }],
    ...more,
  };
}

/** For a deployment of `loop()`: about half a second of work a million turns. */
export function turnsOf(modelName: string, count: bigint): InferRequestInit {
  return {
    modelName,
    inputs: [
      { name: "x", datatype: "FP32", shape: [1n, 1n], contents: { fp32Contents: [-7] } },
      { name: "turns", datatype: "INT64", shape: [1n, 1n], contents: { int64Contents: [count] } },
    ],
  };
}

/** The first output as numbers. */
export function firstOutput(response: ModelInferResponse | undefined): number[] {
  return [...(response?.outputs[0]?.contents?.fp32Contents ?? [])];
}

/** Triton's statistics of the deployment's one version. */
export async function statisticsOf(clients: Clients, name: string): Promise<ModelStatistics> {
  const { modelStats } = await clients.inference.modelStatistics({ name });
  expect(modelStats).toHaveLength(1);
  return modelStats[0]!;
}

/** All that an async source gives. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) {
    all.push(item);
  }
  return all;
}
