// The inference service put together: an engine that follows the registry, and the protocols over it.

import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { Logger } from "../common/telemetry/log.ts";
import { inferenceBindings } from "./bindings.ts";
import type { InferenceConfig } from "./config.ts";
import type { Engine } from "./engine.ts";
import { createEngine } from "./local-engine.ts";

export interface InferenceDeps {
  readonly config: InferenceConfig;
  /** To the registry, with the credential of a service. */
  readonly registry: Channel;
  /** The store that the registry keeps artifacts in. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this server, as ServerMetadata says it. */
  readonly version: string;
}

export interface InferenceModule extends ServiceModule {
  readonly engine: Engine;
}

/** Makes the service. It serves nothing before `start`. */
export function createInference(deps: InferenceDeps): InferenceModule {
  const { config, registry, blobs, clock, log, version } = deps;
  const engine = createEngine({
    deployments: createClient(DeploymentService, registry),
    models: createClient(ModelService, registry),
    blobs,
    config: config.engine,
    clock,
    random: Math.random,
    log,
  });
  const bindings = inferenceBindings(engine, {
    serverVersion: version,
    streamRequestsMax: config.streamRequestsMax,
    streamBytesMax: config.streamBytesMax,
    streamsBytesMax: config.streamsBytesMax,
    requestRowsMax: config.requestRowsMax,
    clock,
    onUnforeseen: (error, context) =>
      log.error("A stream message failed in a way nobody foresaw", { error }, context.trace),
  });
  return {
    name: "inference",
    engine,
    bindings,
    start: async () => engine.start(),
    ready: () => engine.ready(),
    drain: () => engine.drain(),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}
