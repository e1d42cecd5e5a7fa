// The inference service put together: an engine that follows the registry, the protocols over it,
// and the capture that tells monitoring.

import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { Logger } from "../common/telemetry/log.ts";
import { inferenceBindings } from "./bindings.ts";
import { Capture } from "./capture/capture.ts";
import { captureClient } from "./capture/capture-client.ts";
import type { InferenceConfig } from "./config.ts";
import { createEngine } from "./engine/local-engine.ts";
import { receiptClient } from "./receipts/receipt-client.ts";
import { Receipts } from "./receipts/receipts.ts";

export interface InferenceDeps {
  /** The same after a restart of this server, another for every other one. */
  readonly serverId: string;
  readonly config: InferenceConfig;
  /** To the registry, with the credential of a service. */
  readonly registry: Channel;
  /** To the features service, with the same credential. Undefined: none is set. */
  readonly features: Channel | undefined;
  /** To the monitoring service, with the same credential. Undefined: nothing is captured. */
  readonly monitoring: Channel | undefined;
  /** To the proofs service, with the same credential. Undefined: nothing is proved. */
  readonly proofs: Channel | undefined;
  /** The store that the registry keeps artifacts in. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this server, as ServerMetadata says it. */
  readonly version: string;
}

/** Makes the service. It serves nothing before `start`. */
export function createInference(deps: InferenceDeps): ServiceModule {
  const { serverId, config, registry, features, monitoring, proofs, blobs, clock, log, version } =
    deps;
  const capture =
    monitoring === undefined
      ? undefined
      : new Capture({
          send: captureClient(monitoring),
          config: config.capture,
          random: Math.random,
          log,
        });
  const receipts =
    proofs === undefined
      ? undefined
      : new Receipts({
          send: receiptClient(proofs),
          config: config.receipts,
          random: Math.random,
          log,
        });
  const engine = createEngine({
    serverId,
    deployments: createClient(DeploymentService, registry),
    models: createClient(ModelService, registry),
    blobs,
    config: config.engine,
    clock,
    random: Math.random,
    log,
    capture,
    receipts,
  });
  const bindings = inferenceBindings(engine, {
    serverVersion: version,
    config,
    clock,
    features,
    proofs,
    onUnforeseen: (error, context) =>
      log.error("A stream message failed in a way nobody foresaw", { error }, context.trace),
  });
  return {
    name: "inference",
    bindings,
    start: async () => {
      capture?.start();
      receipts?.start();
      engine.start();
    },
    ready: () => engine.ready(),
    handOver: async () => {
      await Promise.all([capture?.handOver(), receipts?.handOver(() => engine.receiptsSettled())]);
    },
    drain: async () => {
      await engine.drain();
      await capture?.drain();
      await receipts?.drain();
    },
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await capture?.[Symbol.asyncDispose]();
      await receipts?.[Symbol.asyncDispose]();
    },
  };
}
