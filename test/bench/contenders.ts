// Starts the servers that are measured and measures them: each by the same load generator with the
// same requests, the raw runs by themselves.

import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ModelInferResponseSchema,
  ModelStreamInferResponseSchema,
} from "../../gen/inference/grpc_service_pb.js";
import type { Figures } from "./figures.ts";
import type { BenchModel } from "./models.ts";
import { addressLine, type Running, runToEnd, startServer } from "./process.ts";
import type { PythonTools } from "./tools.ts";

/** What the load generator shall send. */
export interface Load {
  readonly mode: "unary" | "stream";
  readonly model: BenchModel;
  readonly rows: number;
  readonly inFlight: number;
  readonly connections: number;
  /** With mode stream; the window of one is `inFlight / streams`. */
  readonly streams?: number;
}

/** Requests that were encoded beforehand, to any RPC. */
export interface Replay {
  /** "push": all of them once, over one client stream. */
  readonly mode: "unary" | "push";
  /** "/plinth.features.v1.FeatureStoreService/GetOnlineFeatures" */
  readonly method: string;
  /** The file of a FeatureMesh. */
  readonly payloads: string;
  /** Rows of one request. */
  readonly rows: number;
  readonly inFlight: number;
  readonly connections: number;
  /** Calls a second, whatever the answers take. Absent: as many as go. */
  readonly rate?: number;
}

/** How long to measure. */
export interface Span {
  readonly seconds: number;
  readonly warmUp: number;
  readonly seed: number;
}

/** A server with its address. */
export interface Target {
  readonly pid: number;
  readonly address: string;
  /** False for one whose answers are not answers. */
  readonly checked: boolean;
}

/** What the load generator always says. */
export type LoadFigures = Figures & Required<Pick<Figures, "rate" | "p50Ms" | "p99Ms">>;

/** Runs the load generator against one server. */
export async function measureLoad(
  program: string,
  target: Target,
  load: Load,
  span: Span,
): Promise<LoadFigures> {
  const flags: Readonly<Record<string, string | number>> = {
    target: target.address,
    "server-pid": target.pid,
    mode: load.mode,
    model: load.model.name,
    rows: load.rows,
    cols: load.model.cols,
    "in-flight": load.inFlight,
    connections: load.connections,
    streams: load.streams ?? 1,
    seconds: span.seconds,
    "warm-up": span.warmUp,
    seed: span.seed,
    ...(target.checked ? {} : { "check-every": 0 }),
  };
  const args = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
  return JSON.parse(await runToEnd({ command: program, args })) as LoadFigures;
}

/** Runs the load generator with requests that were encoded beforehand. */
export async function measureReplay(
  program: string,
  target: Target,
  replay: Replay,
  span: Span,
): Promise<LoadFigures> {
  const flags: Readonly<Record<string, string | number>> = {
    target: target.address,
    "server-pid": target.pid,
    mode: replay.mode,
    method: replay.method,
    payloads: replay.payloads,
    rows: replay.rows,
    "in-flight": replay.inFlight,
    connections: replay.connections,
    seconds: span.seconds,
    "warm-up": span.warmUp,
    rate: replay.rate ?? 0,
  };
  const args = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
  return JSON.parse(await runToEnd({ command: program, args })) as LoadFigures;
}

/** Runs a model with nothing around it, on as many threads as said. */
export async function measureRaw(options: {
  readonly path: string;
  readonly model: BenchModel;
  readonly rows: number;
  readonly sessions: number;
  readonly intraOpThreads: number;
  readonly span: Span;
}): Promise<Figures> {
  const flags: Readonly<Record<string, string | number>> = {
    model: options.path,
    rows: options.rows,
    cols: options.model.cols,
    sessions: options.sessions,
    "intra-op": options.intraOpThreads,
    seconds: options.span.seconds,
    "warm-up": options.span.warmUp,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const out = await runToEnd({ command: process.execPath, args: [main("raw-main.ts"), ...args] });
  return JSON.parse(out) as Figures;
}

/** The bare grpc-js server; its answers have the size of a real one to the load. */
export async function startEcho(load: Load): Promise<Target & AsyncDisposable> {
  const { model, rows } = load;
  const answer = create(ModelInferResponseSchema, {
    modelName: model.name,
    modelVersion: "1",
    id: "100",
    outputs: [{ name: "output", datatype: "FP32", shape: [BigInt(rows), BigInt(model.outputs)] }],
    rawOutputContents: [new Uint8Array(4 * rows * model.outputs)],
  });
  const stream = create(ModelStreamInferResponseSchema, { inferResponse: answer });
  const unaryBytes = toBinary(ModelInferResponseSchema, answer);
  const streamBytes = toBinary(ModelStreamInferResponseSchema, stream);
  const server = await startServer({
    command: {
      command: process.execPath,
      args: [
        main("echo-main.ts"),
        `--unary=${Buffer.from(unaryBytes).toString("base64")}`,
        `--stream=${Buffer.from(streamBytes).toString("base64")}`,
      ],
    },
    ready: addressLine,
  });
  return target(server, { checked: false });
}

/** The load generator's own echo, to see how much load it can make. */
export async function startCalibration(program: string): Promise<Target & AsyncDisposable> {
  const server = await startServer({
    command: { command: program, args: ["-serve=127.0.0.1:0"] },
    ready: addressLine,
  });
  return target(server, { checked: false });
}

/** How many threads the Python server runs a model on: all cores of the bench's usual machine. */
const PYTHON_POOL_THREADS = 2;

/** The Python server with these models. */
export async function startPython(options: {
  readonly tools: PythonTools;
  readonly models: readonly BenchModel[];
  readonly paths: ReadonlyMap<string, string>;
  /** Run models on the event loop instead of a pool. */
  readonly inline: boolean;
}): Promise<Target & AsyncDisposable & { readonly versions: string }> {
  const models = options.models.map(
    ({ name }) => `--model=${name}=${options.paths.get(name)}:${PYTHON_POOL_THREADS}:1`,
  );
  const server = await startServer({
    command: {
      command: options.tools.python,
      args: [main("peers/python_server.py"), ...models, ...(options.inline ? ["--inline"] : [])],
      env: { PYTHONPATH: options.tools.generated },
    },
    ready: addressLine,
  });
  return { ...target(server, { checked: true }), versions: String(server.said.versions) };
}

function target(server: Running, options: { checked: boolean }): Target & AsyncDisposable {
  return {
    pid: server.pid,
    address: String(server.said.address),
    checked: options.checked,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function main(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
