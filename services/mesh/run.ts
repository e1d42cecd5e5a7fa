// `plinth up` and `plinth serve`: start, say what is there, run until told to stop, stop in order.

import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { type Env, readEnv } from "../common/config.ts";
import { Unavailable } from "../common/errors/domain-error.ts";
import { untilSignal } from "../common/lifecycle.ts";
import { Channel, createClient } from "../common/rpc/client.ts";
import { type Mesh, SERVICES, type ServiceName, startMesh } from "./app.ts";
import { upBanner } from "./banner.ts";
import { type MeshConfig, parseMeshConfig } from "./config.ts";
import { seedExamples, wantsExamples } from "./seed-examples.ts";
import type { ReadDefinitions } from "./seed-features.ts";

/**
 * What the command line may lay over the environment; absent: as the environment or the default
 * says.
 */
export interface UpOptions {
  readonly store?: string;
  readonly dataDir?: string;
  /** Address that both ports listen on. */
  readonly host?: string;
  readonly grpcPort?: number;
  readonly webPort?: number;
  /** Whether an empty data folder gets the examples. */
  readonly examples: boolean;
  /** Reads the examples' definitions of features. */
  readonly readDefinitions: ReadDefinitions;
  /** One JSON object instead of the banner. */
  readonly json: boolean;
  readonly quiet: boolean;
}

export interface ServeOptions {
  /** "host:port" */
  readonly listen?: string;
  readonly store?: string;
  readonly dataDir?: string;
  readonly registry?: string;
  readonly features?: string;
  readonly monitoring?: string;
  readonly proofs?: string;
  readonly inference?: string;
  readonly json: boolean;
  readonly quiet: boolean;
}

const EXAMPLES_DIR = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "examples");

/**
 * Loading the models of a large data folder takes longer than this only when something is wrong.
 */
const READY_WITHIN_MS = 120_000;

/** Runs the whole mesh until SIGINT or SIGTERM; the exit code. */
export async function runUp(options: UpOptions): Promise<number> {
  // People watch this one start: what goes well is in the banner.
  const env = { PLINTH_LOG: "warn", ...readEnv() };
  const config = parseMeshConfig(overlay(env, upSettings(options)));
  const seeding = options.examples && (await wantsExamples(config.platform.dataDir));
  await using mesh = await startMesh(config, SERVICES);
  const stopped = untilSignal();
  const started = bringUp(mesh, config, { ...options, seeding });
  if ((await Promise.race([stopped, started])) === "started") {
    await stopped;
  }
  note(options, "stopping: finishing what is under way (again to stop at once)");
  await mesh.drain();
  return 0;
}

/** Runs one service until SIGINT or SIGTERM; the exit code. */
export async function runServe(service: ServiceName, options: ServeOptions): Promise<number> {
  const config = parseMeshConfig(overlay(readEnv(), serveSettings(service, options)));
  await using mesh = await startMesh(config, [service]);
  const address = mesh.grpcAddress ?? mesh.webAddress;
  print(options.json ? JSON.stringify({ service, address }) : `${service} listens on ${address}`);
  await untilSignal();
  await mesh.drain();
  return 0;
}

function upSettings(options: UpOptions): Env {
  const { store, dataDir, host, grpcPort, webPort } = options;
  return {
    PLINTH_STORE: store,
    PLINTH_DATA_DIR: dataDir,
    PLINTH_GRPC_LISTEN: listenAddress(host, grpcPort, 50_051),
    PLINTH_GATEWAY_LISTEN: listenAddress(host, webPort, 8080),
  };
}

function serveSettings(service: ServiceName, options: ServeOptions): Env {
  const { listen, store, dataDir, registry, features, monitoring, proofs, inference } = options;
  const listener = service === "gateway" ? "PLINTH_GATEWAY_LISTEN" : "PLINTH_GRPC_LISTEN";
  return {
    [listener]: listen,
    PLINTH_STORE: store,
    PLINTH_DATA_DIR: dataDir,
    PLINTH_REGISTRY_ADDRESS: registry,
    PLINTH_FEATURES_ADDRESS: features,
    PLINTH_MONITORING_ADDRESS: monitoring,
    PLINTH_PROOFS_ADDRESS: proofs,
    PLINTH_INFERENCE_ADDRESS: inference,
  };
}

function listenAddress(
  host: string | undefined,
  port: number | undefined,
  defaultPort: number,
): string | undefined {
  if (host === undefined && port === undefined) {
    return undefined;
  }
  const bare = host ?? "127.0.0.1";
  const isPlainIpv6 = bare.includes(":") && !bare.startsWith("[");
  return `${isPlainIpv6 ? `[${bare}]` : bare}:${port ?? defaultPort}`;
}

/** The settings that are given, over the environment. */
function overlay(env: Env, settings: Env): Env {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...env, ...Object.fromEntries(given) };
}

async function bringUp(
  mesh: Mesh,
  config: MeshConfig,
  options: UpOptions & { readonly seeding: boolean },
): Promise<"started"> {
  using channel = new Channel({
    address: mesh.innerAddress ?? "",
    token: mesh.platform.serviceToken,
  });
  if (options.seeding) {
    await seedExamples({
      channel,
      dataDir: config.platform.dataDir,
      examplesDir: EXAMPLES_DIR,
      readDefinitions: options.readDefinitions,
      onStep: (text) => note(options, `examples: ${text}`),
    });
  }
  await untilReady(mesh);
  const open = await mesh.platform.open();
  if (options.json) {
    const { grpcAddress, webAddress } = mesh;
    print(JSON.stringify({ grpcAddress, webAddress, open }));
  } else {
    const { tlsCert } = config.platform;
    const example = await hasExample(channel);
    print(upBanner(mesh, { open, example, tlsCert }).join("\n"));
  }
  return "started";
}

async function hasExample(channel: Channel): Promise<boolean> {
  const name = "workspaces/default/deployments/flights";
  const deployments = createClient(DeploymentService, channel);
  return deployments.getDeployment({ name }).then(
    () => true,
    () => false,
  );
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Progress goes where logs go, so that standard output holds only what a script may read. */
function note(options: { readonly quiet: boolean }, text: string): void {
  if (!options.quiet) {
    process.stderr.write(`${text}\n`);
  }
}

async function untilReady(mesh: Mesh): Promise<void> {
  const untilMs = Date.now() + READY_WITHIN_MS;
  while (!mesh.ready()) {
    if (Date.now() > untilMs) {
      throw new Unavailable(
        "The mesh did not become ready; the log above says what it waits for.",
        {
          reason: ErrorReason.MODEL_NOT_READY,
          retryAfterMs: 1000,
        },
      );
    }
    await sleep(10);
  }
}
