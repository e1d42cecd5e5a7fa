// Starts any set of services in one process, on one gRPC port: all of them on a laptop, one of them
// in a container. Services call each other by gRPC here as they do across machines.

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { openBlobStore } from "../common/blobs/open.ts";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import { openPlatform, type Platform, type ServedModules } from "../common/platform.ts";
import { Channel } from "../common/rpc/client.ts";
import { createLogger, type Logger } from "../common/telemetry/log.ts";
import { createServerObserver } from "../common/telemetry/rpc-observer.ts";
import { startTelemetry } from "../common/telemetry/start.ts";
import { PLINTH_VERSION } from "../common/version.ts";
import { createFeatures } from "../features/app.ts";
import { type Gateway, startGateway } from "../gateway/app.ts";
import { createInference } from "../inference/app.ts";
import { createMonitoring } from "../monitoring/app.ts";
import { createProofs } from "../proofs/app.ts";
import { createRegistry } from "../registry/app.ts";
import type { MeshConfig } from "./config.ts";
import { UpstreamHealth } from "./upstream-health.ts";

/** The services a mesh can run. */
export const SERVICES = [
  "registry",
  "features",
  "monitoring",
  "proofs",
  "inference",
  "gateway",
] as const;

export type ServiceName = (typeof SERVICES)[number];

export interface Mesh extends AsyncDisposable {
  readonly platform: Platform;
  readonly log: Logger;
  /** "127.0.0.1:50051"; undefined where only a gateway runs. */
  readonly grpcAddress: string | undefined;
  /** The same for calls from this process: plain text, also behind TLS. */
  readonly innerAddress: string | undefined;
  /** "127.0.0.1:8080"; undefined where no gateway runs. */
  readonly webAddress: string | undefined;
  /** Whether every service can do its work. */
  ready(): boolean;
  /** The orderly half of stopping: takes no new work, finishes what is under way. */
  drain(): Promise<void>;
}

/**
 * Starts the services; resolves when they listen, which may be before they are ready.
 * @throws FailedPrecondition when a listener is reachable from outside and no key exists;
 *   InvalidArgument when the address of a service that is elsewhere is not set.
 */
export async function startMesh(
  config: MeshConfig,
  services: readonly ServiceName[] = SERVICES,
): Promise<Mesh> {
  await using stack = new AsyncDisposableStack();
  const name = services.length === 1 ? `plinth-${services[0]}` : "plinth";
  const log = createLogger({ service: name, level: config.log.level });
  const telemetry = stack.use(
    await startTelemetry({
      serviceName: name,
      serviceVersion: PLINTH_VERSION,
      config: config.telemetry,
      log,
    }),
  );
  const observer = createServerObserver(log);
  const platform = stack.use(
    await openPlatform({
      config: config.platform,
      observer,
      otherHosts: services.includes("gateway") ? [config.gateway.listen.host] : [],
    }),
  );
  const addresses = new Addresses(config, services);
  const modules = await createModules({ config, services, platform, addresses, log, stack });
  let served: ServedModules | undefined;
  if (modules.length > 0) {
    served = stack.use(await platform.serve(modules, (address) => addresses.setOwn(address)));
  }
  let gateway: Gateway | undefined;
  if (services.includes("gateway")) {
    const registry = stack.use(new Channel({ address: addresses.of("registry") }));
    const inference = stack.use(new Channel({ address: addresses.of("inference") }));
    const optional = (["features", "monitoring", "proofs"] as const).flatMap((service) => {
      const address = addresses.find(service);
      return address === undefined ? [] : [[service, stack.use(new Channel({ address }))] as const];
    });
    const channels = { registry, inference, ...Object.fromEntries(optional) };
    const upstream = served === undefined ? stack.use(new UpstreamHealth(channels)) : undefined;
    gateway = stack.use(
      await startGateway({
        config: config.gateway,
        channels,
        metricsText: () => telemetry.metricsText(),
        ready: () => served?.state() ?? upstream?.state() ?? false,
        anyKey: await platform.keys.any(),
        observer,
      }),
    );
  }
  const owned = stack.move();
  return {
    platform,
    log,
    grpcAddress: served?.server.address,
    innerAddress: served?.innerAddress,
    webAddress: gateway?.address,
    ready: () => served?.ready() ?? true,
    async drain() {
      await gateway?.drain();
      await served?.drain();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Where services are: in this process once it listens, else where the configuration says. */
class Addresses {
  readonly #config: MeshConfig;
  readonly #own: readonly ServiceName[];
  #ownAddress: string | undefined;

  constructor(config: MeshConfig, own: readonly ServiceName[]) {
    this.#config = config;
    this.#own = own;
  }

  setOwn(address: string): void {
    this.#ownAddress = address;
  }

  /** @throws InvalidArgument at once when the service is elsewhere and its address is not set. */
  of(service: ServiceName): () => string {
    const address = this.find(service);
    if (address === undefined) {
      const setting = `PLINTH_${service.toUpperCase()}_ADDRESS`;
      throw new InvalidArgument(
        `${setting} is not set, and the ${service} is not in this process. Set it to host:port.`,
        { reason: ErrorReason.INVALID_FIELD },
      );
    }
    return address;
  }

  /** Undefined when the service is elsewhere and its address is not set. */
  find(service: ServiceName): (() => string) | undefined {
    if (this.#own.includes(service)) {
      return () => this.#ownAddress ?? "";
    }
    const address = service === "gateway" ? undefined : this.#config[`${service}Address`];
    return address === undefined ? undefined : () => address;
  }
}

/** Where a server listens tells it apart from others; one on a free port is new each time. */
function serverIdOf({ platform }: MeshConfig): string {
  const { host, port } = platform.listen;
  return port === 0 ? randomUUID() : `${hostname()}/${host}:${port}`;
}

interface ModuleDeps {
  readonly config: MeshConfig;
  readonly services: readonly ServiceName[];
  readonly platform: Platform;
  readonly addresses: Addresses;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

async function createModules(deps: ModuleDeps): Promise<ServiceModule[]> {
  const { config, services, platform, log } = deps;
  const { documents, blobs, clock, keys } = platform;
  const modules: ServiceModule[] = [];
  if (services.includes("registry")) {
    const parts = { config: config.registry, documents, blobs, clock, keys, log };
    modules.push(await createRegistry(parts));
  }
  if (services.includes("features")) {
    modules.push(await featuresModule(deps));
  }
  if (services.includes("monitoring")) {
    modules.push(await monitoringModule(deps));
  }
  if (services.includes("proofs")) {
    modules.push(await proofsModule(deps));
  }
  if (services.includes("inference")) {
    modules.push(inferenceModule(deps));
  }
  return modules;
}

async function featuresModule(deps: ModuleDeps): Promise<ServiceModule> {
  const { config, platform, log, stack } = deps;
  const { documents, clock } = platform;
  const folder = join(config.platform.dataDir, "features");
  const blobs = stack.use(await openBlobStore(config.features.blobs ?? `file:${folder}`));
  const registry = serviceChannel(deps, "registry");
  const scratchDir = join(config.platform.dataDir, "scratch");
  const parts = { config: config.features, documents, blobs, clock, log, scratchDir };
  return createFeatures({ ...parts, registry });
}

async function monitoringModule(deps: ModuleDeps): Promise<ServiceModule> {
  const { config, platform, log, stack } = deps;
  const { documents, clock } = platform;
  const folder = join(config.platform.dataDir, "monitoring");
  const blobs = stack.use(await openBlobStore(config.monitoring.blobs ?? `file:${folder}`));
  const scratchDir = join(config.platform.dataDir, "scratch");
  const parts = { config: config.monitoring, documents, blobs, clock, log, scratchDir };
  const registry = serviceChannel(deps, "registry");
  return createMonitoring({ ...parts, registry, features: serviceChannel(deps, "features") });
}

async function proofsModule(deps: ModuleDeps): Promise<ServiceModule> {
  const { config, platform, log, stack } = deps;
  const { documents, clock } = platform;
  const { dataDir } = config.platform;
  const blobs = stack.use(
    await openBlobStore(config.proofs.blobs ?? `file:${join(dataDir, "proofs")}`),
  );
  return createProofs({
    config: config.proofs,
    documents,
    blobs,
    clock,
    log,
    scratchDir: join(dataDir, "scratch"),
    receiptKeysDir: config.proofs.receiptKeys ?? join(dataDir, "receipt-keys"),
    registry: serviceChannel(deps, "registry"),
  });
}

function inferenceModule(deps: ModuleDeps): ServiceModule {
  const { config, services, platform, addresses, log, stack } = deps;
  if (!services.includes("registry") && config.platform.meshSecret === undefined) {
    throw new InvalidArgument(
      "PLINTH_MESH_SECRET is not set: the registry would not let this server in. Set it to the " +
        "same secret (16 to 256 characters) in every process of the mesh.",
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
  const address = addresses.of("registry");
  return createInference({
    serverId: serverIdOf(config),
    config: config.inference,
    registry: stack.use(new Channel({ address, token: platform.serviceToken })),
    features: serviceChannel(deps, "features"),
    monitoring: serviceChannel(deps, "monitoring"),
    proofs: serviceChannel(deps, "proofs"),
    blobs: platform.blobs,
    clock: platform.clock,
    log,
    version: PLINTH_VERSION,
  });
}

/** To another service with the rights of one; undefined where none is known. */
function serviceChannel(
  { addresses, platform, stack }: ModuleDeps,
  service: ServiceName,
): Channel | undefined {
  const address = addresses.find(service);
  return address === undefined
    ? undefined
    : stack.use(new Channel({ address, token: platform.serviceToken }));
}
