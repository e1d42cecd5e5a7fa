// For tests: the features service on a real store, a real engine and a real RPC server, in a
// folder.

import { join } from "node:path";
import { anonymous } from "../../common/auth/principal.ts";
import { openBlobStore } from "../../common/blobs/open.ts";
import type { BlobStore } from "../../common/blobs/port.ts";
import { type Clock, systemClock } from "../../common/clock.ts";
import { parseSettings } from "../../common/config.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { openSqliteStore } from "../../common/documents/sqlite.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { createFeatures } from "../app.ts";
import { type FeaturesConfig, featuresSettings } from "../config.ts";

export interface StartOptions {
  /** Holds the store, the blobs and what is on its way. */
  readonly folder: string;
  readonly clock?: Clock;
  readonly config?: Partial<FeaturesConfig>;
  /** False: jobs wait, and nothing is flushed or swept. */
  readonly isStarted?: boolean;
}

export interface StartedFeatures extends AsyncDisposable {
  readonly address: string;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly config: FeaturesConfig;
}

/** Small and quick, for tests. */
const SETTINGS = {
  PLINTH_FEATURES_ENGINE_MEMORY_MAX: "512MiB",
  PLINTH_FEATURES_JOB_LEASE: "2s",
  PLINTH_FEATURES_JOB_POLL: "200ms",
};

/** Starts the service on a free port. */
export async function startFeatures(options: StartOptions): Promise<StartedFeatures> {
  const { folder, clock = systemClock } = options;
  const config = { ...parseSettings(SETTINGS, featuresSettings), ...options.config };
  await using stack = new AsyncDisposableStack();
  const documents = stack.use(await openSqliteStore({ path: join(folder, "store.db"), clock }));
  const blobs = stack.use(await openBlobStore(`file:${join(folder, "blobs")}`));
  const features = stack.use(
    await createFeatures({
      config,
      documents,
      blobs,
      clock,
      scratchDir: join(folder, "scratch"),
      registry: undefined,
      // Whoever debugs a test sees what the service complains of.
      log: createLogger({ service: "features", level: "warn" }),
    }),
  );
  const server = stack.use(
    await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      authenticate: () => anonymous,
      bindings: features.bindings,
    }),
  );
  if (options.isStarted !== false) {
    await features.start();
  }
  const owned = stack.move();
  return {
    address: server.address,
    documents,
    blobs,
    config,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
