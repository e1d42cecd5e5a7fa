// inference.GRPCInferenceService over an engine: the Open Inference Protocol with the extensions
// that Triton's clients use. Handlers only; each is parse, one call, convert.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  GRPCInferenceService,
  type ModelReadyRequest,
  type ModelStatisticsRequest,
  type ModelStatisticsResponseSchema,
  type RepositoryIndexRequest,
  type RepositoryIndexResponseSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import type { Clock } from "../../common/clock.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import type { Handler, ServiceBinding } from "../../common/rpc/context.ts";
import { bindService, type CallContext } from "../../common/rpc/context.ts";
import type { DeploymentStatus, Engine, ModelRef, Servable, VersionState } from "../engine.ts";
import { type DeploymentScope, deploymentRef, workspaceOf } from "./deployment-ref.ts";
import { type InferScope, infer } from "./infer-call.ts";
import { modelInferCodec, modelStreamInferCodec } from "./infer-codec.ts";
import type { InferAnswer, InferFailure, WireInferRequest } from "./infer-messages.ts";
import { GRPC_ERROR_HEADER, inferStream } from "./infer-stream.ts";
import { modelConfig, modelMetadata } from "./model-config.ts";
import { modelStatistics } from "./model-statistics.ts";
import { refusedMethods } from "./open-inference-refused.ts";
import type { StreamWindow } from "./ordered-stream.ts";

export interface OpenInferenceOptions {
  /** Of this server, for ServerMetadata. */
  readonly serverVersion: string;
  /** What one stream may have in flight. */
  readonly streamWindow: StreamWindow;
  /** Most rows of one request. */
  readonly requestRowsMax: number;
  readonly clock: Clock;
  /** For errors inside a stream that nobody foresaw; they are answered as INTERNAL. */
  readonly onUnforeseen: (error: unknown, context: CallContext) => void;
}

/** Extensions of the protocol that clients may use here. */
const EXTENSIONS = [
  "classification",
  "model_repository",
  "schedule_policy",
  "model_configuration",
  "binary_tensor_data",
  "parameters",
  "statistics",
];

/** Words of RepositoryIndex. */
const STATES: Readonly<Record<VersionState, string>> = {
  LOADING: "LOADING",
  READY: "READY",
  DRAINING: "UNLOADING",
  FAILED: "UNAVAILABLE",
};

type Methods = (typeof GRPCInferenceService)["method"];

/** The protocol's handlers and codecs. */
export function openInferenceBinding(
  engine: Engine,
  options: OpenInferenceOptions,
): ServiceBinding {
  const scopeOf = (context: CallContext): InferScope => ({
    engine,
    limits: options,
    clock: options.clock,
    deadlineMs: context.deadlineMs,
    signal: context.signal,
    trace: context.trace,
    principal: context.principal,
    workspace: workspaceOf(context),
  });
  const modelInfer = async (
    request: WireInferRequest,
    context: CallContext,
  ): Promise<InferAnswer> => infer(scopeOf(context), request);
  const modelStreamInfer = (
    requests: AsyncIterable<WireInferRequest>,
    context: CallContext,
  ): AsyncIterable<InferAnswer | InferFailure> =>
    inferStream(scopeOf(context), requests, {
      window: options.streamWindow,
      failAtFirstError: context.header(GRPC_ERROR_HEADER) === "true",
      onUnforeseen: (error) => options.onUnforeseen(error, context),
    });
  return bindService(
    GRPCInferenceService,
    {
      serverLive: async () => ({ live: true }),
      serverReady: async () => ({ ready: engine.ready() }),
      modelReady: async (request, context) => ({ ready: isReady(engine, request, context) }),
      serverMetadata: async () => ({
        name: "plinth",
        version: options.serverVersion,
        extensions: EXTENSIONS,
      }),
      modelMetadata: async ({ name, version }, context) => {
        const { deployment, servable } = find(engine, context, name, version);
        return modelMetadata(name, deployment, servable);
      },
      modelConfig: async ({ name, version }, context) => {
        const { deployment, servable } = find(engine, context, name, version);
        return { config: modelConfig(name, deployment, servable) };
      },
      modelStatistics: async (request, context) => statistics(engine, request, context),
      repositoryIndex: async (request, context) => index(engine, request, context),
      ...refusedMethods,
      // The codecs below give and take these types in place of the generated ones.
      modelInfer: modelInfer as unknown as Handler<Methods["modelInfer"]>,
      modelStreamInfer: modelStreamInfer as unknown as Handler<Methods["modelStreamInfer"]>,
    },
    { modelInfer: modelInferCodec, modelStreamInfer: modelStreamInferCodec },
  );
}

function scopeFor(context: CallContext): DeploymentScope {
  return { principal: context.principal, workspace: workspaceOf(context) };
}

/** @throws NotFound for a deployment or version that does not exist. */
function isReady(engine: Engine, request: ModelReadyRequest, context: CallContext): boolean {
  try {
    engine.route(
      deploymentRef(scopeFor(context), request.name, request.version, "name"),
      undefined,
    );
    return true;
  } catch (error) {
    if (error instanceof Unavailable) {
      return false;
    }
    throw error;
  }
}

/** The version asked for; without one, the highest that serves, as it is in Triton. */
function find(
  engine: Engine,
  context: CallContext,
  name: string,
  version: string,
): { readonly deployment: DeploymentStatus; readonly servable: Servable } {
  const ref = deploymentRef(scopeFor(context), name, version, "name");
  const deployment = engine.deployment(ref.workspace, ref.deployment);
  return { deployment, servable: engine.route({ ...ref, ...highest(deployment, ref) }, undefined) };
}

function highest(deployment: DeploymentStatus, ref: ModelRef): Pick<ModelRef, "version"> {
  if (ref.version !== undefined) {
    return {};
  }
  const ready = deployment.versions
    .filter(({ state }) => state === "READY")
    .map(({ version }) => Number(version));
  return ready.length === 0 ? {} : { version: String(Math.max(...ready)) };
}

function statistics(
  engine: Engine,
  request: ModelStatisticsRequest,
  context: CallContext,
): MessageInitShape<typeof ModelStatisticsResponseSchema> {
  const scope = scopeFor(context);
  if (request.name === "") {
    const all = engine.deployments(scope.workspace);
    return { modelStats: all.flatMap((one) => statisticsOf(engine, one, one.deployment, "")) };
  }
  const ref = deploymentRef(scope, request.name, request.version, "name");
  const deployment = engine.deployment(ref.workspace, ref.deployment);
  return { modelStats: statisticsOf(engine, deployment, request.name, request.version) };
}

function statisticsOf(
  engine: Engine,
  { workspace, deployment, versions }: DeploymentStatus,
  name: string,
  version: string,
) {
  if (version !== "") {
    return [modelStatistics(name, version, engine.statistics(workspace, deployment, version))];
  }
  return versions
    .filter(({ servable }) => servable !== undefined)
    .map((one) =>
      modelStatistics(name, one.version, engine.statistics(workspace, deployment, one.version)),
    );
}

/** A workspace is a repository; without a name, the one of the call is meant. */
function index(
  engine: Engine,
  request: RepositoryIndexRequest,
  context: CallContext,
): MessageInitShape<typeof RepositoryIndexResponseSchema> {
  const workspace = request.repositoryName || workspaceOf(context);
  requireWorkspace(context.principal, workspace);
  const models = engine.deployments(workspace).flatMap(({ deployment, versions }) =>
    versions
      .filter(({ state }) => !request.ready || state === "READY")
      .map(({ version, state, reason }) => ({
        name: deployment,
        version,
        state: STATES[state],
        reason,
      })),
  );
  return { models };
}
