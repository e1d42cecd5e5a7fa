// Puts the registry together from its stores; the mesh and the tests all start it here.

import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { ApiKeys } from "../common/auth/keys.ts";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import { Reachability } from "../common/documents/reachability.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import { bindService } from "../common/rpc/context.ts";
import { createLogger, type Logger } from "../common/telemetry/log.ts";
import { apiKeyHandlers } from "./api-key-service.ts";
import { artifactHandlers } from "./artifact-handlers.ts";
import { circuitHandlers } from "./circuit-handlers.ts";
import type { RegistryConfig } from "./config.ts";
import { deploymentHandlers } from "./deployment-service.ts";
import type { RegistryDeps } from "./deps.ts";
import { createEvents } from "./events.ts";
import { healthHandlers } from "./health-handlers.ts";
import { modelHandlers } from "./model-handlers.ts";
import { openRegistryStore } from "./store.ts";
import { Sweeper } from "./sweeper.ts";
import { ValidationQueue } from "./validation-queue.ts";
import { versionHandlers } from "./version-handlers.ts";
import { ensureDefaultWorkspace, workspaceHandlers } from "./workspace-service.ts";

export interface CreateRegistryDeps {
  readonly config: RegistryConfig;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /**
   * Shared with the authenticator, so that it learns of new and revoked keys. Absent: opened here.
   */
  readonly keys?: ApiKeys;
  /** Absent: nothing is logged. */
  readonly log?: Logger;
}

/**
 * A registry over these stores, which stay the caller's to close. It serves calls at once;
 * validation and sweeping begin with `start`.
 */
export async function createRegistry(given: CreateRegistryDeps): Promise<ServiceModule> {
  const { config, documents, blobs, clock } = given;
  const store = await openRegistryStore(documents);
  const events = createEvents(given.log ?? createLogger({ service: "registry", level: "off" }));
  const validations = new ValidationQueue({ config, store, blobs, clock, events });
  const stopping = new AbortController();
  const deps: RegistryDeps = {
    config,
    store,
    blobs,
    clock,
    events,
    keys: given.keys ?? (await ApiKeys.open(documents, clock)),
    validateSoon: (name) => validations.add(name),
  };
  const sweeper = new Sweeper(deps);
  const reachability = new Reachability(documents);
  await ensureDefaultWorkspace(deps);
  const stop = async (): Promise<void> => {
    stopping.abort();
    reachability[Symbol.dispose]();
    await Promise.all([sweeper[Symbol.asyncDispose](), validations[Symbol.asyncDispose]()]);
  };
  return {
    name: "registry",
    bindings: [
      bindService(WorkspaceService, workspaceHandlers(deps)),
      bindService(ModelService, {
        ...modelHandlers(deps),
        ...artifactHandlers(deps),
        ...versionHandlers(deps),
        ...healthHandlers(deps),
        ...circuitHandlers(deps),
      }),
      bindService(DeploymentService, deploymentHandlers(deps, stopping.signal)),
      bindService(ApiKeyService, apiKeyHandlers(deps)),
    ],
    async start() {
      validations.start();
      sweeper.start();
      reachability.start();
    },
    ready: () => reachability.isReachable,
    drain: stop,
    [Symbol.asyncDispose]: stop,
  };
}
