// For tests: an engine over a registry that captures what it answers for a monitoring service, and
// a server over it. All of it is real; only the registry and monitoring are doubles.

import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { GRPCInferenceService } from "../../../gen/inference/grpc_service_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { systemClock } from "../../common/clock.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import type { Graph } from "../../common/testing/onnx-writer.ts";
import { Capture } from "../capture/capture.ts";
import { captureClient } from "../capture/capture-client.ts";
import type { CaptureConfig } from "../capture/capture-settings.ts";
import { createEngine } from "../engine/local-engine.ts";
import { TestMonitoring } from "./test-monitoring.ts";
import { TestRegistry } from "./test-registry.ts";
import { useServer } from "./use-server.ts";

/** The deployment of these tests, by its whole name. */
export const DEPLOYMENT = "workspaces/w/deployments/d";

/** Waits until something holds; the test's own limit ends it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await sleep(2);
  }
}

/** A capture that sends as soon as it can; it ends with the test. */
export function makeCapture(
  monitoring: Pick<TestMonitoring, "channel">,
  config: Partial<CaptureConfig> = {},
): Capture {
  const capture = new Capture({
    send: captureClient(monitoring.channel),
    config: { bytesMax: 2 ** 25, rowsRateMax: 1e8, intervalMs: 10, ...config },
    random: Math.random,
    log: createLogger({ service: "test", level: "off" }),
  });
  onTestFinished(() => capture[Symbol.asyncDispose]());
  capture.start();
  return capture;
}

export interface UseCaptureOptions {
  /** Versions 1, 2, ... of the model. */
  readonly graphs: readonly Graph[];
  readonly config: Parameters<TestRegistry["deploy"]>[1];
  readonly capture?: Partial<CaptureConfig>;
  readonly features?: Channel;
  readonly monitoring?: TestMonitoring;
  readonly registry?: TestRegistry;
}

/** Everything from a client's call to what monitoring was sent, with the deployment `d` served. */
export async function useCapture(options: UseCaptureOptions) {
  const monitoring = options.monitoring ?? (await TestMonitoring.start());
  const registry = options.registry ?? new TestRegistry();
  for (const [index, graph] of options.graphs.entries()) {
    await registry.addVersion(index + 1, graph);
  }
  registry.deploy("d", options.config);
  const capture = makeCapture(monitoring, options.capture);
  const engine = createEngine({
    serverId: "test-server",
    ...registry.clients,
    config: { intraOpThreads: 1, loadedVersionsMax: 16, queueBytesMax: 2 ** 28 },
    clock: systemClock,
    random: Math.random,
    log: createLogger({ service: "inference", level: "off" }),
    capture,
  });
  onTestFinished(() => engine[Symbol.asyncDispose]());
  engine.start();
  await until(() => engine.ready());
  const channel = await useServer(
    engine,
    options.features === undefined ? {} : { features: options.features },
  );
  return {
    monitoring,
    registry,
    capture,
    engine,
    open: createClient(GRPCInferenceService, channel),
    named: createClient(InferenceService, channel),
  };
}

/** A target of the deployment. */
export function target(version: number, weight = 1) {
  return { modelVersion: `workspaces/w/models/m/versions/${version}`, weight };
}
