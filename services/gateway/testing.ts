// What the gateway's tests stand on: a real gRPC server that answers inferences with their own
// inputs and remembers what it saw, and a real gateway in front of it, both on free ports.

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { onTestFinished } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { GRPCInferenceService } from "../../gen/inference/grpc_service_pb.js";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { anonymous } from "../common/auth/principal.ts";
import { parseSettings } from "../common/config.ts";
import { InvalidArgument, NotFound, Unavailable } from "../common/errors/domain-error.ts";
import { Channel } from "../common/rpc/client.ts";
import { bindService, type CallContext, type ServiceHandlers } from "../common/rpc/context.ts";
import { nullObserver } from "../common/rpc/null-observer.ts";
import { type RpcServer, startRpcServer } from "../common/rpc/server.ts";
import { type Gateway, type GatewayOptions, startGateway } from "./app.ts";
import { type GatewayConfig, gatewaySettings } from "./config.ts";

/** What the services behind the gateway saw. */
export interface Seen {
  /** The latest call; its request as it came. */
  context?: CallContext;
  request?: unknown;
  /** Kinds of the reasons for which calls were aborted. */
  readonly aborted: string[];
  /** Calls that wait to be aborted. */
  waiting: number;
}

type Infer = ServiceHandlers<typeof GRPCInferenceService>;

/**
 * Models: `echo` answers, `lost` is unknown, `away` is unavailable, `broken` fails, `wait` waits.
 */
function dataPlane(seen: Seen): Infer {
  const unused = (async () => {
    throw new Error("secret path /var/lib");
  }) as never;
  const note = (request: { name?: string; modelName?: string }, context: CallContext): void => {
    seen.context = context;
    seen.request = request;
    const name = request.name ?? request.modelName;
    if (name === "lost") {
      throw new NotFound('There is no deployment "lost".', {
        reason: ErrorReason.RESOURCE_NOT_FOUND,
      });
    }
    if (name === "away") {
      throw new Unavailable("The deployment is loading.", {
        reason: ErrorReason.MODEL_NOT_READY,
        retryAfterMs: 2500,
      });
    }
    if (name === "broken") {
      throw new Error("secret path /var/lib");
    }
  };
  const infer: Infer["modelInfer"] = async (request, context) => {
    note(request, context);
    if (request.modelName === "wait") {
      return await untilAborted(seen, context);
    }
    return {
      modelName: request.modelName,
      modelVersion: request.modelVersion || "7",
      id: request.id,
      outputs: request.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
      rawOutputContents: request.rawInputContents,
    };
  };
  return {
    serverLive: async () => ({ live: true }),
    serverReady: async () => ({ ready: false }),
    modelReady: async (request, context) => {
      note(request, context);
      return { ready: request.name === "echo" };
    },
    serverMetadata: async () => ({ name: "plinth", version: "0.1.0", extensions: ["statistics"] }),
    modelMetadata: async (request, context) => {
      note(request, context);
      return {
        name: request.name,
        versions: ["7"],
        platform: "onnxruntime_onnx",
        inputs: [{ name: "x", datatype: "FP32", shape: [-1n, 30n] }],
        outputs: [{ name: "y", datatype: "INT64", shape: [-1n] }],
      };
    },
    modelInfer: infer,
    async *modelStreamInfer(requests, context) {
      for await (const request of requests) {
        yield { inferResponse: await infer(request, context) };
      }
    },
    modelConfig: async ({ name }) => ({
      config: { name, maxBatchSize: 64, input: [{ name: "x", dims: [30n], dataType: 11 }] },
    }),
    modelStatistics: async ({ name }) => ({
      modelStats: [
        {
          name,
          version: "7",
          inferenceCount: 9007199254740993n,
          inferenceStats: { success: { count: 3n, ns: 4000n } },
        },
      ],
    }),
    repositoryIndex: async ({ ready }) => ({
      models: [{ name: "echo", version: "7", state: ready ? "READY" : "LOADING" }],
    }),
    repositoryModelLoad: unused,
    repositoryModelUnload: unused,
    systemSharedMemoryStatus: unused,
    systemSharedMemoryRegister: unused,
    systemSharedMemoryUnregister: unused,
    cudaSharedMemoryStatus: unused,
    cudaSharedMemoryRegister: unused,
    cudaSharedMemoryUnregister: unused,
    traceSetting: unused,
    logSettings: unused,
  };
}

/**
 * Predict: "wait" waits to be aborted, "bad" is refused with violations, "big" gets 40 MB, others
 * get their rows back.
 */
function predictions(seen: Seen): ServiceHandlers<typeof InferenceService> {
  return {
    async predict(request, context) {
      seen.context = context;
      seen.request = request;
      if (request.deployment === "wait") {
        return await untilAborted(seen, context);
      }
      if (request.deployment === "bad") {
        throw new InvalidArgument("rows must not be empty", {
          reason: ErrorReason.INVALID_FIELD,
          metadata: { rows: "0" },
          violations: [{ field: "rows", description: "at least 1" }],
        });
      }
      if (request.deployment === "big") {
        return { id: "x".repeat(40_000_000) };
      }
      return { id: request.id, predictions: request.rows.map((row) => ({ outputs: row })) };
    },
    async *streamPredict(requests) {
      for await (const { request } of requests) {
        if (request?.deployment === "bad") {
          const info = create(ErrorInfoSchema, { reason: "INVALID_FIELD", domain: "plinth" });
          const details = [anyPack(ErrorInfoSchema, info)];
          yield { id: request.id, result: { case: "error", value: { code: 3, details } } };
        } else {
          yield { id: request?.id ?? "" };
        }
      }
    },
  };
}

function untilAborted(seen: Seen, { signal }: CallContext): Promise<never> {
  seen.waiting += 1;
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      seen.waiting -= 1;
      seen.aborted.push(signal.reason.kind);
      reject(signal.reason);
    });
  });
}

export interface TestGateway {
  readonly gateway: Gateway;
  /** "http://127.0.0.1:40123" */
  readonly url: string;
  readonly seen: Seen;
  readonly server: RpcServer;
  /** Failures that nobody foresaw, as told to the gateway's observer. */
  readonly unforeseen: unknown[];
}

/** A gateway before echoing services; both are gone when the test is. */
export async function useGateway(
  config: Partial<GatewayConfig> = {},
  options: Partial<GatewayOptions> = {},
): Promise<TestGateway> {
  const seen: Seen = { aborted: [], waiting: 0 };
  const unforeseen: unknown[] = [];
  const missing = (async () => {
    throw new Error("not called");
  }) as never;
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => anonymous,
    observer: { ...nullObserver, unforeseen: () => undefined },
    bindings: [
      bindService(GRPCInferenceService, dataPlane(seen)),
      bindService(InferenceService, predictions(seen)),
      bindService(DeploymentService, {
        getDeployment: missing,
        listDeployments: missing,
        createDeployment: missing,
        updateDeployment: missing,
        rollbackDeployment: missing,
        deleteDeployment: missing,
        reportServing: missing,
        async *watchDeployments({ resumeToken }, context) {
          for (let i = 1; i <= 3; i += 1) {
            yield { resumeToken: `${resumeToken}${i}` };
          }
          if (resumeToken === "stay") {
            await untilAborted(seen, context);
          }
        },
      }),
      bindService(ModelService, modelHandlers()),
    ],
  });
  const channel = new Channel({ address: server.address });
  const gateway = await startGateway({
    config: {
      ...parseSettings({ PLINTH_GATEWAY_LISTEN: "127.0.0.1:0" }, gatewaySettings),
      ...config,
    },
    channels: { registry: channel, inference: channel },
    metricsText: async () => "# TYPE up gauge\nup 1\n",
    ready: () => ({ registry: true, inference: true }),
    observer: { unforeseen: (_path, error) => void unforeseen.push(error) },
    ...options,
  });
  onTestFinished(async () => {
    await gateway[Symbol.asyncDispose]();
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return { gateway, url: `http://${gateway.address}`, seen, server, unforeseen };
}

function modelHandlers(): ServiceHandlers<typeof ModelService> {
  const missing = (async () => {
    throw new Error("not called");
  }) as never;
  const methods = ModelService.methods.map((method) => [method.localName, missing] as const);
  return {
    ...(Object.fromEntries(methods) as unknown as ServiceHandlers<typeof ModelService>),
    async uploadArtifact(requests) {
      let receivedBytes = 0n;
      for await (const { payload } of requests) {
        receivedBytes += payload.case === "chunk" ? BigInt(payload.value.length) : 0n;
      }
      return { name: String(receivedBytes) };
    },
  };
}
