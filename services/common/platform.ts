// What every process of the mesh stands on, whichever services it runs: the stores, the keys,
// telemetry and one gRPC server. A service adds its bindings and knows nothing of the rest.

import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { createAuthenticator, serviceAuthorization } from "./auth/authenticator.ts";
import { ApiKeys } from "./auth/keys.ts";
import { assertListenAllowed, isLoopback } from "./auth/listen.ts";
import { openBlobStore } from "./blobs/open.ts";
import type { BlobStore } from "./blobs/port.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { ConfigOf } from "./config.ts";
import { openDocumentStore } from "./documents/open.ts";
import type { DocumentStore } from "./documents/port.ts";
import { FailedPrecondition } from "./errors/domain-error.ts";
import type { ServiceModule } from "./lifecycle.ts";
import type { RpcObserver } from "./rpc/observer.ts";
import { type RpcServer, startRpcServer } from "./rpc/server.ts";
import { bytes, duration, hostPort, integer, text, uri } from "./setting.ts";

/** The settings of a process, besides those of its services. */
export const platformSettings = {
  dataDir: text({
    env: "PLINTH_DATA_DIR",
    about: "Folder of the embedded store and of artifacts.",
    default: ".plinth",
  }),
  store: text({
    env: "PLINTH_STORE",
    about: "Where documents live: sqlite, sqlite:<path> or mongodb://...",
    default: "sqlite",
    secret: true,
  }),
  blobs: uri({
    env: "PLINTH_BLOBS",
    about: "Where artifacts live: file:<folder>. Default: the folder blobs of the data folder.",
    schemes: ["file"],
  }),
  listen: hostPort({
    env: "PLINTH_GRPC_LISTEN",
    about: "Address of the gRPC server.",
    default: "127.0.0.1:50051",
  }),
  meshSecret: text({
    env: "PLINTH_MESH_SECRET",
    about:
      "By which the services of a mesh know each other. Needed where they run as several " +
      "processes.",
    secret: true,
    // It travels in a header, which is limited and splits at spaces.
    must: { match: /^[\x21-\x7e]{16,256}$/, be: "16 to 256 ASCII characters without spaces" },
  }),
  tlsCert: text({
    env: "PLINTH_TLS_CERT",
    about: "PEM file of the gRPC server's certificate chain.",
  }),
  tlsKey: text({ env: "PLINTH_TLS_KEY", about: "PEM file of its private key." }),
  messageBytesMax: bytes({
    env: "PLINTH_MESSAGE_MAX",
    about: "Largest gRPC message in either direction.",
    default: "64MiB",
    min: "64KiB",
    max: "1GiB",
  }),
  callsMax: integer({
    env: "PLINTH_CALLS_MAX",
    about: "gRPC calls under way at once; one more is refused.",
    default: 4096,
    min: 1,
    max: 100_000,
  }),
  drainGraceMs: duration({
    env: "PLINTH_DRAIN_GRACE",
    about: "How long calls under way may take to finish when the process is told to stop.",
    default: "10s",
    min: "0s",
    max: "10m",
  }),
};

export type PlatformConfig = ConfigOf<typeof platformSettings>;

export interface Platform extends AsyncDisposable {
  readonly config: PlatformConfig;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly keys: ApiKeys;
  readonly clock: Clock;
  /** True while calls without credentials pass: loopback only, and no key was ever made. */
  open(): Promise<boolean>;
  /** The credential by which this process calls other services. */
  readonly serviceToken: string;
  /** Serves the modules' bindings, tells the address, then starts the modules. */
  serve(
    modules: readonly ServiceModule[],
    onListening?: (address: string) => void,
  ): Promise<ServedModules>;
}

export interface ServedModules extends AsyncDisposable {
  readonly server: RpcServer;
  /** Where this process reaches its own services: plain text on loopback, also behind TLS. */
  readonly innerAddress: string;
  /** Whether each module can do its work, by name. */
  state(): Readonly<Record<string, boolean>>;
  /** Whether all can. */
  ready(): boolean;
  /** Finishes what is under way: the orderly half of stopping. */
  drain(): Promise<void>;
}

export interface PlatformOptions {
  readonly config: PlatformConfig;
  readonly observer: RpcObserver;
  /**
   * Other addresses the process will listen on; none may be reachable from outside without keys.
   */
  readonly otherHosts: readonly string[];
}

/** How often modules are asked whether they are ready, for grpc.health. */
const HEALTH_INTERVAL_MS = 250;

/**
 * Opens the stores.
 * @throws FailedPrecondition when a listener is reachable from outside and no key exists;
 *   Unavailable when a store cannot be reached.
 */
export async function openPlatform(options: PlatformOptions): Promise<Platform> {
  const { config } = options;
  const clock = systemClock;
  await using stack = new AsyncDisposableStack();
  await makeDataDir(config.dataDir);
  const documents = stack.use(await openDocumentStore(storeUri(config), { clock }));
  const blobs = stack.use(
    await openBlobStore(config.blobs ?? `file:${join(config.dataDir, "blobs")}`),
  );
  const keys = await ApiKeys.open(documents, clock);
  const hosts = [config.listen.host, ...options.otherHosts];
  const anyKey = await keys.any();
  for (const host of hosts) {
    assertListenAllowed({ host, anyKey });
  }
  const meshSecret = config.meshSecret ?? randomBytes(32).toString("base64url");
  const openAllowed = hosts.every(isLoopback);
  const authenticator = stack.use(createAuthenticator({ keys, meshSecret, clock, openAllowed }));
  const owned = stack.move();
  return {
    config,
    documents,
    blobs,
    keys,
    clock,
    open: async () => openAllowed && !(await keys.everMade()),
    serviceToken: serviceAuthorization(meshSecret).slice("Bearer ".length),
    serve: (modules, onListening = () => undefined) =>
      serveModules(modules, {
        onListening,
        config,
        observer: options.observer,
        authenticate: (header) => authenticator.authenticate(header),
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What is in it may be private: made for this user alone. One that is there keeps its mode. */
async function makeDataDir(path: string): Promise<void> {
  await mkdir(dirname(resolve(path)), { recursive: true });
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw error;
    }
  }
}

/** The store's URI; the bare word `sqlite` is a file in the data folder. */
export function storeUri(config: Pick<PlatformConfig, "store" | "dataDir">): string {
  return config.store === "sqlite" ? `sqlite:${join(config.dataDir, "plinth.db")}` : config.store;
}

async function serveModules(
  modules: readonly ServiceModule[],
  options: {
    readonly config: PlatformConfig;
    readonly onListening: (address: string) => void;
    readonly observer: RpcObserver;
    readonly authenticate: Parameters<typeof startRpcServer>[0]["authenticate"];
  },
): Promise<ServedModules> {
  const { config, observer, authenticate } = options;
  const common = {
    bindings: modules.flatMap((module) => module.bindings),
    authenticate,
    observer,
    limits: { messageBytesMax: config.messageBytesMax, callsMax: config.callsMax },
  };
  await using stack = new AsyncDisposableStack();
  const tls = tlsOptions(config);
  const server = stack.use(await startRpcServer({ ...common, ...config.listen, ...tls }));
  // The services of this process call each other without TLS, on loopback: a certificate is for a
  // name.
  const inner =
    tls.tls === undefined
      ? server
      : stack.use(await startRpcServer({ ...common, host: "127.0.0.1", port: 0 }));
  options.onListening(inner.address);
  const servers = new Set([server, inner]);
  const publish = (): void => {
    for (const { health } of servers) {
      for (const module of modules) {
        for (const { service } of module.bindings) {
          health.set(service.typeName, { serving: module.ready() });
        }
      }
      health.set("", { serving: modules.every((module) => module.ready()) });
    }
  };
  for (const module of modules) {
    await module.start();
  }
  publish();
  const timer = setInterval(publish, HEALTH_INTERVAL_MS);
  const owned = stack.move();
  return {
    server,
    innerAddress: inner.address,
    state: () => Object.fromEntries(modules.map((module) => [module.name, module.ready()])),
    ready() {
      // Whoever hears that all are ready must hear the same from grpc.health.
      publish();
      return modules.every((module) => module.ready());
    },
    async drain() {
      clearInterval(timer);
      await Promise.all(modules.map((module) => module.handOver?.()));
      await Promise.all([...servers].map((one) => one.drain(config.drainGraceMs)));
      await Promise.all(modules.map((module) => module.drain()));
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await owned.disposeAsync();
      for (const module of modules.toReversed()) {
        await module[Symbol.asyncDispose]();
      }
    },
  };
}

function tlsOptions(config: PlatformConfig): { tls?: { certFile: string; keyFile: string } } {
  if (config.tlsCert === undefined && config.tlsKey === undefined) {
    return {};
  }
  if (config.tlsCert === undefined || config.tlsKey === undefined) {
    throw new FailedPrecondition(
      "PLINTH_TLS_CERT and PLINTH_TLS_KEY go together; only one is set. Set both, or none for " +
        "plain text.",
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
  return { tls: { certFile: config.tlsCert, keyFile: config.tlsKey } };
}
