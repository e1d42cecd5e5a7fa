// For tests: what monitoring asks a registry, answered over a real connection.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import { DeploymentService } from "../../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelVersion,
  ModelVersionSchema,
} from "../../../../gen/plinth/registry/v1/model_version_pb.js";
import { anonymous } from "../../../common/auth/principal.ts";
import { NotFound } from "../../../common/errors/domain-error.ts";
import { Channel } from "../../../common/rpc/client.ts";
import { bindService, type ServiceHandlers } from "../../../common/rpc/context.ts";
import { type RpcServer, startRpcServer } from "../../../common/rpc/server.ts";

export interface TestRegistry {
  readonly channel: Channel;
  /** By name. */
  readonly versions: Map<string, ModelVersion>;
  /** Names. */
  readonly deployments: Set<string>;
  /** From then on it is away. */
  stop(): Promise<void>;
}

export async function useRegistry(): Promise<TestRegistry> {
  const versions = new Map<string, ModelVersion>();
  const deployments = new Set<string>();
  const server: RpcServer = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => anonymous,
    bindings: [
      bindService(ModelService, {
        getModelVersion: async ({ name }) => versions.get(name) ?? Promise.reject(missing(name)),
      } as Partial<ServiceHandlers<typeof ModelService>> as ServiceHandlers<typeof ModelService>),
      bindService(DeploymentService, {
        getDeployment: async ({ name }) => {
          return deployments.has(name) ? { name } : Promise.reject(missing(name));
        },
      } as Partial<ServiceHandlers<typeof DeploymentService>> as ServiceHandlers<
        typeof DeploymentService
      >),
    ],
  });
  const channel = new Channel({ address: server.address, timeoutMs: 2000 });
  const stop = async () => server[Symbol.asyncDispose]();
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await stop();
  });
  return { channel, versions, deployments, stop };
}

/** A version that takes x and y and says p. */
export function versionOf(
  name: string,
  more: Exclude<MessageInitShape<typeof ModelVersionSchema>, ModelVersion> = {},
): ModelVersion {
  return create(ModelVersionSchema, {
    name,
    uid: "v-1",
    columns: ["x", "y"],
    signature: {
      inputs: [{ name: "X", datatype: "FP64", shape: [-1n, 2n] }],
      outputs: [{ name: "p", datatype: "FP64", shape: [-1n, 1n] }],
    },
    ...more,
  });
}

function missing(name: string): NotFound {
  return new NotFound(`There is no ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
}
