// Every RPC of every service, for Connect, gRPC-Web and gRPC callers: a route per method, derived
// from the descriptors, that hands the call to the service's gRPC client. Nothing here knows a
// method.

import { createRegistry, type DescMethod, type DescService } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type MethodImpl,
} from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
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
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { CallOptions } from "../common/rpc/context.ts";
import { connectFailure, isUnforeseen } from "./failure.ts";
import { forwardedHeaders } from "./forwarding.ts";
import { timeAnswer } from "./slow-caller.ts";
import type { WebRequest, WebResponse } from "./web-port.ts";

/** To the processes behind the gateway; may be one and the same. */
export interface Channels {
  readonly registry: Channel;
  readonly inference: Channel;
  /** Absent: a mesh without feature store; its methods are not found. */
  readonly features?: Channel;
  /** Absent: a mesh without monitoring; its methods are not found. */
  readonly monitoring?: Channel;
  /** Absent: a mesh without proofs; its methods are not found. */
  readonly proofs?: Channel;
}

/** The services that the web port offers, by where they are. */
const OFFERED: Readonly<Record<keyof Channels, readonly DescService[]>> = {
  inference: [GRPCInferenceService, InferenceService],
  registry: [WorkspaceService, ModelService, DeploymentService, ApiKeyService],
  features: [FeatureRegistryService, FeatureStoreService, JobService],
  monitoring: [MonitoringService, AlertService],
  proofs: [CircuitService, ProofService, ReceiptService],
};

/** All of them. */
export const SERVICES: readonly DescService[] = Object.values(OFFERED).flat();

export interface ConnectRoutesOptions {
  readonly channels: Channels;
  readonly bodyBytesMax: number;
  /** Deadline of a unary call that brings none; time that a caller has to take an answer. */
  readonly requestTimeoutMs: number;
  /** Aborts when the gateway begins to stop: ends watches, which would never end by themselves. */
  readonly draining: AbortSignal;
  /** Aborts when the gateway no longer waits: ends everything. */
  readonly stopping: AbortSignal;
  readonly unforeseen: (path: string, error: unknown) => void;
}

export interface ConnectRoute {
  readonly path: string;
  /** Whether the request is a stream, which may take as long as it likes. */
  readonly streamsIn: boolean;
  /** Answers the request; never rejects. */
  serve(request: WebRequest, response: WebResponse, trace: Context): Promise<void>;
}

const traceKey = createContextKey<Context>(ROOT_CONTEXT, { description: "trace" });

/** JSON needs the types that `Any` fields may hold: the details of a google.rpc.Status. */
const registry = createRegistry(
  file_google_rpc_error_details,
  ...SERVICES.map((service) => service.file),
);

/** The routes by path. */
export function connectRoutes(options: ConnectRoutesOptions): ReadonlyMap<string, ConnectRoute> {
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: options.bodyBytesMax,
    jsonOptions: { registry },
  });
  for (const place of ["inference", "registry", "features", "monitoring", "proofs"] as const) {
    const channel = options.channels[place];
    if (channel === undefined) {
      continue;
    }
    for (const service of OFFERED[place]) {
      const client = createClient(service, channel) as Record<string, unknown>;
      for (const method of service.methods) {
        addRoute(router, method, client[method.localName], options);
      }
    }
  }
  return new Map(
    router.handlers.map((handler) => [
      handler.requestPath,
      {
        path: handler.requestPath,
        streamsIn: /client|bidi/.test(handler.method.methodKind),
        async serve(request, response, trace) {
          try {
            const values = createContextValues().set(traceKey, trace);
            const call = universalRequestFromNodeRequest(request, response, undefined, values);
            const answer = await handler(call);
            if (!streamsOut(handler.method)) {
              timeAnswer(response, options.requestTimeoutMs);
            }
            await universalResponseToNodeResponse(answer, response);
          } catch (error) {
            // The answer could not be written: the caller is gone, or its connection is.
            const failure = connectFailure(error);
            if (isUnforeseen(failure.cause ?? failure) && !response.destroyed) {
              options.unforeseen(handler.requestPath, error);
            }
            response.destroy();
          }
        },
      },
    ]),
  );
}

type Promised = (request: unknown, options: CallOptions) => Promise<unknown>;
type Streamed = (request: unknown, options: CallOptions) => AsyncIterable<unknown>;

function addRoute(
  router: ConnectRouter,
  method: DescMethod,
  call: unknown,
  options: ConnectRoutesOptions,
): void {
  const watch = method.name.startsWith("Watch");
  const shutdownSignal = watch ? options.draining : options.stopping;
  const failed = (error: unknown, context: HandlerContext): Error => {
    if (isUnforeseen(error)) {
      options.unforeseen(new URL(context.url).pathname, error);
    }
    return connectFailure(error);
  };
  const implementation = streamsOut(method)
    ? async function* (request: unknown, context: HandlerContext) {
        try {
          yield* (call as Streamed)(request, callOptions(method, context, options));
        } catch (error) {
          throw failed(error, context);
        }
      }
    : async (request: unknown, context: HandlerContext) => {
        try {
          return await (call as Promised)(request, callOptions(method, context, options));
        } catch (error) {
          throw failed(error, context);
        }
      };
  router.rpc(method, implementation as MethodImpl<DescMethod>, { shutdownSignal });
}

function streamsOut(method: DescMethod): boolean {
  return method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
}

function callOptions(
  method: DescMethod,
  context: HandlerContext,
  options: ConnectRoutesOptions,
): CallOptions {
  const fallbackMs = method.methodKind === "unary" ? options.requestTimeoutMs : undefined;
  const timeoutMs = context.timeoutMs() ?? fallbackMs;
  return {
    signal: context.signal,
    headers: forwardedHeaders(
      (name) => context.requestHeader.get(name) ?? undefined,
      context.values.get(traceKey),
    ),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}
