// For tests of circuits: a registry with models behind a server that can go away, and the service of
// circuits, called over a connection.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  type Circuit,
  CircuitOptions_Setup as Setup,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import {
  CircuitService,
  type ExportCircuitRequest_File as File,
} from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { Channel, createClient } from "../../../services/common/rpc/client.ts";
import type { Client } from "../../../services/common/rpc/context.ts";
import { type RpcServer, startRpcServer } from "../../../services/common/rpc/server.ts";
import { useFolder } from "../../../services/common/testing/use-folder.ts";
import { linearModel } from "../../../services/registry/test-models.ts";
import {
  makeModel,
  push,
  type TestRegistry,
  useRegistry,
} from "../../../services/registry/testing.ts";
import { type StartedCircuits, type StartOptions, startCircuits } from "./start-circuits.ts";

const LOGISTIC = new URL("../../../examples/breast-cancer/logistic.onnx", import.meta.url);
const SERVER = fileURLToPath(new URL("./circuits-server.ts", import.meta.url));

/** Ranges of linearModel's input that need no calibration data, in 8 bits. */
export const BYTES = { inputs: { x: { scaleBits: 0, low: 0, high: 255 } } };

export interface TestRegistryServer {
  readonly registry: TestRegistry;
  /** Of the server that is there, or was last. */
  address(): string;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface TestCircuits extends StartedCircuits {
  readonly client: Client<typeof CircuitService>;
  readonly folder: string;
}

/** A registry behind a server of its own. */
export async function useRegistryServer(): Promise<TestRegistryServer> {
  const registry = await useRegistry();
  let server: RpcServer | undefined;
  let port = 0;
  const start = async () => {
    server = await startRpcServer({
      host: "127.0.0.1",
      port,
      bindings: registry.module.bindings,
      authenticate: () => ({ id: "services/proofs", workspace: "-", roles: [Role.SERVICE] }),
    });
    port = Number(server.address.split(":").at(-1));
  };
  const stop = async () => {
    await server?.[Symbol.asyncDispose]();
    server = undefined;
  };
  await start();
  onTestFinished(stop);
  return { registry, address: () => `127.0.0.1:${port}`, stop, start };
}

/** The service of circuits, ended with the test. */
export async function useCircuits(
  server: Pick<TestRegistryServer, "address">,
  options: Partial<StartOptions> = {},
): Promise<TestCircuits> {
  const folder = options.folder ?? useFolder();
  const started = await startCircuits({ registryAddress: server.address, ...options, folder });
  onTestFinished(async () => await started[Symbol.asyncDispose]());
  return { ...started, client: useClient(started.address), folder };
}

/** The service in a process that dies when it is about to make a key. */
export async function useDoomed(
  server: Pick<TestRegistryServer, "address">,
  folder: string,
): Promise<{ readonly client: Client<typeof CircuitService>; readonly gone: Promise<unknown> }> {
  const child = spawn(process.execPath, ["--no-warnings", SERVER, folder, server.address()], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const gone = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { client: useClient((await lines.next()).value ?? ""), gone };
}

function useClient(address: string): Client<typeof CircuitService> {
  const channel = new Channel({ address, timeoutMs: 120_000 });
  onTestFinished(() => channel[Symbol.dispose]());
  return createClient(CircuitService, channel);
}

/** Registers a model of 4 numbers and one output; the name of its version. */
export async function pushLinear(
  { registry }: Pick<TestRegistryServer, "registry">,
  given: { readonly model?: string; readonly scale?: number } = {},
): Promise<string> {
  const model = await makeModel(registry, given.model ?? "linear");
  return (await push(registry, model, linearModel({ scale: given.scale ?? 1 }))).name;
}

/** Registers the logistic regression of the examples; the name of its version. */
export async function pushLogistic({
  registry,
}: Pick<TestRegistryServer, "registry">): Promise<string> {
  const model = await makeModel(registry, "logistic");
  return (await push(registry, model, readFileSync(LOGISTIC))).name;
}

/** The circuit once nothing happens to it by itself any more, and every state it was in. */
export async function watched(
  { client }: Pick<TestCircuits, "client">,
  name: string,
): Promise<{ readonly circuit: Circuit; readonly states: readonly number[] }> {
  let circuit: Circuit | undefined;
  const states = new Set<number>();
  for await (const seen of client.watchCircuit({ name }, { timeoutMs: 120_000 })) {
    circuit = seen.circuit;
    states.add(circuit?.state ?? 0);
  }
  if (circuit === undefined) {
    throw new Error(`${name} was not shown`);
  }
  return { circuit, states: [...states] };
}

/** Makes a circuit of linearModel and waits for it. */
export async function makeLinear(
  rig: Pick<TestCircuits, "client">,
  given: { readonly parent: string; readonly circuitId: string; readonly setup?: Setup },
): Promise<Circuit> {
  const { parent, circuitId, setup = Setup.DEVELOPMENT } = given;
  const powersOfTau =
    setup === Setup.DEVELOPMENT ? "" : `${parent.split("/models")[0]}/powersOfTau/small`;
  const options = { ...BYTES, setup, powersOfTau };
  const { name } = await rig.client.createCircuit({ parent, circuitId, options });
  return (await watched(rig, name)).circuit;
}

/** A file of a circuit, whole. */
export async function exported(
  { client }: Pick<TestCircuits, "client">,
  name: string,
  file: File,
): Promise<{ readonly head: Head; readonly bytes: Buffer }> {
  let head: Head | undefined;
  const chunks: Uint8Array[] = [];
  for await (const { payload } of client.exportCircuit({ name, file })) {
    if (payload.case === "file") head = payload.value;
    if (payload.case === "chunk") chunks.push(payload.value);
  }
  if (head === undefined) throw new Error("no head");
  return { head, bytes: Buffer.concat(chunks) };
}

interface Head {
  readonly fileName: string;
  readonly sizeBytes: bigint;
  readonly sha256: string;
  readonly etag: string;
}
