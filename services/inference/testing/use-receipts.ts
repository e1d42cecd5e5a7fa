// For tests: an engine over a registry whose deployment asks for receipts, a server over it, and the
// log that they go to. All of it is real; only the registry and the log are doubles.

import { onTestFinished } from "vitest";
import { GRPCInferenceService } from "../../../gen/inference/grpc_service_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { systemClock } from "../../common/clock.ts";
import { createClient } from "../../common/rpc/client.ts";
import { createLogger, type Logger } from "../../common/telemetry/log.ts";
import type { Graph } from "../../common/testing/onnx-writer.ts";
import { createEngine } from "../engine/local-engine.ts";
import { receiptClient } from "../receipts/receipt-client.ts";
import type { ReceiptsConfig } from "../receipts/receipt-settings.ts";
import { Receipts } from "../receipts/receipts.ts";
import { TestReceiptLog } from "./test-receipt-log.ts";
import { TestRegistry } from "./test-registry.ts";
import { until } from "./use-capture.ts";
import { useServer } from "./use-server.ts";

/** Receipts that are sent soon; they end with the test. */
export function makeReceipts(
  { channel }: Pick<TestReceiptLog, "channel">,
  config: Partial<ReceiptsConfig> = {},
  log: Logger = createLogger({ service: "test", level: "off" }),
): Receipts {
  const receipts = new Receipts({
    send: receiptClient(channel),
    config: { queueBytesMax: 2 ** 26, intervalMs: 10, drainMs: 10_000, ...config },
    random: Math.random,
    log,
  });
  onTestFinished(() => receipts[Symbol.asyncDispose]());
  receipts.start();
  return receipts;
}

export interface UseReceiptsOptions {
  /** Versions 1, 2, ... of the model. */
  readonly graphs: readonly Graph[];
  readonly config: Parameters<TestRegistry["deploy"]>[1];
  readonly receipts?: Partial<ReceiptsConfig>;
  readonly registry?: TestRegistry;
  /** False: the server knows no proofs service. */
  readonly hasLog?: boolean;
}

/** Everything from a client's call to the log, with the deployment `d` served. */
export async function useReceipts(options: UseReceiptsOptions) {
  const log = await TestReceiptLog.start();
  const registry = options.registry ?? new TestRegistry();
  for (const [index, graph] of options.graphs.entries()) {
    await registry.addVersion(index + 1, graph);
  }
  registry.deploy("d", options.config);
  const receipts = makeReceipts(log, options.receipts);
  const engine = createEngine({
    serverId: "test-server",
    ...registry.clients,
    config: { intraOpThreads: 1, loadedVersionsMax: 16, queueBytesMax: 2 ** 28 },
    clock: systemClock,
    random: Math.random,
    log: createLogger({ service: "inference", level: "off" }),
    receipts: options.hasLog === false ? undefined : receipts,
  });
  onTestFinished(() => engine[Symbol.asyncDispose]());
  engine.start();
  await until(() => engine.ready());
  const channel = await useServer(engine);
  return {
    log,
    registry,
    receipts,
    engine,
    open: createClient(GRPCInferenceService, channel),
    named: createClient(InferenceService, channel),
  };
}
