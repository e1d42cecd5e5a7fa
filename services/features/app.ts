// Puts the features service together from its stores; the mesh and the tests all start it here.

import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import { Reachability } from "../common/documents/reachability.ts";
import { JobRunner } from "../common/jobs/job-runner.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import type { Channel } from "../common/rpc/client.ts";
import { bindService } from "../common/rpc/context.ts";
import { createLogger, type Logger } from "../common/telemetry/log.ts";
import type { FeaturesConfig } from "./config.ts";
import { DefinitionStore } from "./definitions/definition-store.ts";
import { finishAllRemovals } from "./definitions/delete-definitions.ts";
import { featureRegistryHandlers } from "./definitions/registry-handlers.ts";
import { ViewHealthStore } from "./definitions/view-health.ts";
import type { FeaturesDeps } from "./deps.ts";
import { createEvents } from "./events.ts";
import { pushHandlers } from "./ingest/push-handlers.ts";
import type { Job } from "./jobs/job.ts";
import { jobHandlers } from "./jobs/job-handlers.ts";
import { jobKinds } from "./jobs/job-kinds.ts";
import { openJobs, referencedDigests } from "./jobs/job-store.ts";
import { keepTable, runKinds } from "./jobs/run-kinds.ts";
import { TableStore } from "./jobs/table-store.ts";
import { openOfflineEngine } from "./offline/engine.ts";
import { OfflineStore } from "./offline/offline-store.ts";
import { onlineCodecs, onlineHandlers } from "./online/online-handlers.ts";
import { OnlineStore } from "./online/online-store.ts";
import { ReadLog } from "./online/read-log.ts";

export interface CreateFeaturesDeps {
  readonly config: FeaturesConfig;
  readonly documents: DocumentStore;
  /** For files of this service alone. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** For files on their way; nothing in it outlives the process. */
  readonly scratchDir: string;
  /** To the registry, with the credential of a service; absent: not known here. */
  readonly registry: Channel | undefined;
  /** Absent: nothing is logged. */
  readonly log?: Logger;
}

/**
 * A features service over these stores, which stay the caller's to close. It serves calls at once;
 * flushes, jobs and sweeps begin with `start`.
 */
export async function createFeatures(given: CreateFeaturesDeps): Promise<ServiceModule> {
  const { documents } = given;
  await using stack = new AsyncDisposableStack();
  const deps = await openStores(given, stack);
  const { config, offline, events } = deps;
  const readLog = stack.use(new ReadLog({ offline, config, events }));
  const runner = stack.use(jobRunner(deps));
  const stopping = new AbortController();
  const reachability = stack.use(new Reachability(documents));
  const owned = stack.move();
  return {
    name: "features",
    bindings: [
      bindService(FeatureRegistryService, featureRegistryHandlers(deps)),
      bindService(
        FeatureStoreService,
        { ...pushHandlers(deps), ...onlineHandlers({ ...deps, readLog }) },
        onlineCodecs,
      ),
      bindService(JobService, jobHandlers(deps, stopping.signal)),
    ],
    async start() {
      void finishAllRemovals(deps, (workspace, error) =>
        events.backgroundFailed("removal", workspace, error),
      );
      reachability.start();
      readLog.start();
      offline.start(() => referencedDigests(deps));
      runner.start();
    },
    ready: () => reachability.isReachable,
    async drain() {
      stopping.abort();
      await runner.drain();
      await readLog.flush();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await owned.disposeAsync();
    },
  };
}

function jobRunner(deps: FeaturesDeps): JobRunner<Job> {
  const { clock, config, events, jobs, tables } = deps;
  return new JobRunner({
    jobs,
    run: runKinds(jobKinds(deps)),
    jobsMax: config.jobsMax,
    leaseMs: config.jobLeaseMs,
    pollMs: config.jobPollMs,
    clock,
    events: {
      ...events,
      jobEnded({ _id, kind, state }, durationMs) {
        events.jobEnded(_id, { kind, state, durationMs });
      },
    },
    onEnd: keepTable(tables, config.tableTtlMs),
  });
}

async function openStores(
  given: CreateFeaturesDeps,
  stack: AsyncDisposableStack,
): Promise<FeaturesDeps> {
  const { config, documents, blobs, clock, scratchDir, registry } = given;
  const events = createEvents(given.log ?? createLogger({ service: "features", level: "off" }));
  const definitions = stack.use(await DefinitionStore.open(documents, clock));
  const { cacheEntriesMax, cacheStalenessMs } = config;
  const online = await OnlineStore.open(documents, { cacheEntriesMax, cacheStalenessMs, clock });
  const engine = stack.use(openOfflineEngine({ config, scratchDir }));
  const offline = stack.use(
    await OfflineStore.open({ documents, blobs, engine, clock, config, events, scratchDir }),
  );
  const viewHealth = await ViewHealthStore.open(documents, clock);
  const jobs = await openJobs(documents, { clock, ttlMs: config.jobTtlMs });
  return {
    config,
    clock,
    documents,
    blobs,
    definitions,
    online,
    offline,
    engine,
    jobs,
    tables: await TableStore.open(documents, clock),
    viewHealth,
    events,
    registry,
  };
}
