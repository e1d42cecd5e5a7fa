// A mesh whose services are processes of their own, as one that is monitored under load would be: a
// registry, a monitoring service, and an inference server that serves the same model twice, once
// captured in full and once not at all.

import { randomBytes, randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ModelInferRequestSchema } from "../../gen/inference/grpc_service_pb.js";
import {
  type CaptureInferencesRequestSchema,
  CaptureService,
} from "../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { serviceAuthorization } from "../../services/common/auth/authenticator.ts";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import type { Target } from "./contenders.ts";
import { writePayloads } from "./feature-mesh.ts";
import { SMALL } from "./models.ts";
import { busySeconds, deploy, PARENT, startService } from "./service-mesh.ts";

/** What a stream brings before it waits for its answer, as an inference server does. */
const STREAM_BYTES = 4_000_000;
const BATCH_BYTES = 128 * 1024;
/** Values that differ; where more are sent they are sent again. */
const VALUES_BYTES = 128_000_000;
const DAY_US = 86_400_000_000;

/** Rows of numbers that monitoring is brought, as an inference server would. */
export interface Captured {
  /** Id of a deployment that need not exist. */
  readonly deployment: string;
  readonly rows: number;
  readonly columns: number;
  /** Rows of one inference. */
  readonly inferenceRows: number;
  /** Windows that they are spread over. */
  readonly windows: number;
}

/** The monitoring service; another process after it was down. */
export interface MonitoringProcess {
  readonly pid: number;
  readonly channel: Channel;
  /** Ends it: connections to its address are refused. */
  stop(): Promise<void>;
  /** Starts it again at its address, with its data. */
  start(): Promise<void>;
}

export interface MonitoringMesh extends Target, AsyncDisposable {
  readonly monitoring: MonitoringProcess;
  /** A file of encoded requests to a deployment of the model, for the load generator. */
  payloads(deployment: string): Promise<string>;
  /** Brings rows; resolves when all are durable. Gives the processor time of monitoring, seconds. */
  ingest(captured: Captured): Promise<{ readonly seconds: number; readonly busySeconds: number }>;
}

/** Deployments of the same version: `captured` in full, `uncaptured` not at all. */
export const CAPTURED = { ...SMALL, name: "captured" };
export const UNCAPTURED = { ...SMALL, name: "uncaptured" };

/** Starts the processes and deploys the model. */
export async function startMonitoringMesh(
  models: ReadonlyMap<string, string>,
): Promise<MonitoringMesh> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "plinth-bench-monitoring-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const secret = randomBytes(24).toString("hex");
  const start = async (service: string, args: readonly string[] = [], listen?: string) =>
    startService({ service, args, folder, secret, ...(listen === undefined ? {} : { listen }) });
  const registry = stack.use(await start("registry"));
  const at = ["--registry", String(registry.said.address)];
  let monitoring = await start("monitoring", at);
  stack.defer(() => monitoring[Symbol.asyncDispose]());
  const monitoringAddress = String(monitoring.said.address);
  const inference = stack.use(await start("inference", [...at, "--monitoring", monitoringAddress]));
  const toRegistry = stack.use(new Channel({ address: String(registry.said.address) }));
  await deploy(
    toRegistry,
    { model: SMALL, path: models.get(SMALL.name)! },
    {
      [CAPTURED.name]: { capture: { sampleRate: 1 } },
      [UNCAPTURED.name]: { capture: { sampleRate: 0 } },
    },
  );
  const channel = stack.use(
    new Channel({
      address: monitoringAddress,
      token: serviceAuthorization(secret).slice("Bearer ".length),
    }),
  );
  const owned = stack.move();
  return {
    pid: inference.pid,
    address: String(inference.said.address),
    checked: false,
    monitoring: {
      get pid() {
        return monitoring.pid;
      },
      channel,
      stop: async () => monitoring[Symbol.asyncDispose](),
      start: async () => {
        monitoring = await start("monitoring", at, monitoringAddress);
      },
    },
    payloads: (deployment) =>
      writePayloads(join(folder, `requests-${deployment}`), ModelInferRequestSchema, (i) => ({
        modelName: deployment,
        id: `request-${i}`,
        inputs: [{ name: "input", datatype: "FP32", shape: [1n, BigInt(SMALL.cols)] }],
        rawInputContents: [valuesOf(SMALL.cols, i)],
      })),
    ingest: (captured) => ingest(channel, monitoring.pid, captured),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

type Request = MessageInitShape<typeof CaptureInferencesRequestSchema>;

async function ingest(
  channel: Channel,
  pid: number,
  captured: Captured,
): Promise<{ seconds: number; busySeconds: number }> {
  const { rows, columns } = captured;
  const client = createClient(CaptureService, channel);
  const sender = randomUUID();
  const fit = Math.floor(BATCH_BYTES / (columns * 4));
  const batchRows = Math.max(captured.inferenceRows, fit - (fit % captured.inferenceRows));
  const streamRows = batchRows * Math.max(1, Math.floor(STREAM_BYTES / (batchRows * columns * 4)));
  const distinct = Math.min(Math.ceil(rows / batchRows), Math.ceil(VALUES_BYTES / BATCH_BYTES));
  const values = Array.from({ length: distinct }, (_, i) => valuesOf(batchRows * columns, i));
  const busyBefore = await busySeconds(pid);
  const started = performance.now();
  let sequence = 0;
  for (let sent = 0; sent < rows; ) {
    const batches: Request[] = [];
    const until = Math.min(rows, sent + streamRows);
    for (; sent < until; sent += batchRows) {
      sequence += 1;
      const count = Math.min(batchRows, rows - sent);
      const window = Math.floor((sent / rows) * captured.windows);
      const batch = batchOf(captured, {
        sequence,
        count,
        window,
        values: values[sequence % distinct]!,
      });
      batches.push({ payload: { case: "batch", value: batch } });
    }
    const acknowledgedSequence = BigInt(sequence - batches.length);
    const start: Request = {
      payload: { case: "start", value: { sender, acknowledgedSequence } },
    };
    const answer = await client.captureInferences(inOrder([start, ...batches]), {
      timeoutMs: 120_000,
    });
    if (answer.refusedRows > 0n) {
      throw new Error(`Monitoring refused rows: ${answer.refusals[0]?.reason}`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  return { seconds, busySeconds: (await busySeconds(pid)) - busyBefore };
}

function batchOf(
  captured: Captured,
  batch: { sequence: number; count: number; window: number; values: Uint8Array },
) {
  const { deployment, columns, inferenceRows } = captured;
  const { sequence, count, window, values } = batch;
  const inferences = Math.ceil(count / inferenceRows);
  const indices = Array.from({ length: inferences }, (_, i) => i);
  // Windows of the past, a day apart, so that the last one is of today.
  const dayUs = Math.floor(Date.now() / 86_400_000) * DAY_US;
  const timeUs = BigInt(dayUs - (captured.windows - 1 - window) * DAY_US);
  return {
    sequence: BigInt(sequence),
    deployment: `${PARENT}/deployments/${deployment}`,
    deploymentUid: deployment,
    modelVersion: `${PARENT}/models/small/versions/1`,
    modelVersionUid: `${deployment}-1`,
    rows: count,
    inferences: {
      ids: indices.map((i) => `${deployment}-${sequence}-${i}`),
      rows: indices.map((i) => Math.min(inferenceRows, count - i * inferenceRows)),
      eventTimesUs: indices.map(() => timeUs),
      queueMs: indices.map(() => 0.1),
      computeMs: indices.map(() => 0.2),
    },
    inputs: [
      {
        name: "input",
        datatype: "FP32",
        rowShape: [columns],
        columns: Array.from({ length: columns }, (_, i) => `c${i}`),
        contents: values.subarray(0, count * columns * 4),
      },
    ],
    outputs: [
      {
        name: "output",
        datatype: "FP32",
        rowShape: [1],
        contents: values.subarray(0, count * 4),
      },
    ],
  };
}

/** Normally distributed, more or less, and different for each seed. */
function valuesOf(count: number, seed: number): Uint8Array {
  const values = new Float32Array(count);
  let state = seed + 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < count; i++) {
    values[i] = next() + next() + next() + next() - 2;
  }
  return new Uint8Array(values.buffer);
}

async function* inOrder<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** The drift report of a deployment that rows were brought for, and how long it took. */
export async function timedReport(
  mesh: MonitoringMesh,
  deployment: string,
): Promise<{ readonly seconds: number; readonly columns: number; readonly rows: number }> {
  const client = createClient(MonitoringService, mesh.monitoring.channel);
  const started = performance.now();
  const report = await client.getDriftReport({
    deployment: `${PARENT}/deployments/${deployment}`,
    range: { startTime: { seconds: 0n } },
    brief: true,
  });
  const seconds = (performance.now() - started) / 1000;
  return { seconds, columns: report.columns.length, rows: Number(report.rows) };
}

/** Bytes of the largest stored window of a deployment. */
export async function windowBytes(mesh: MonitoringMesh, deployment: string): Promise<number> {
  const client = createClient(MonitoringService, mesh.monitoring.channel);
  const { windows } = await client.listWindows({ parent: `${PARENT}/deployments/${deployment}` });
  return Math.max(...windows.map(({ sizeBytes }) => Number(sizeBytes)));
}
