// What every handler and job of the features service works with.

import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import type { JobStore } from "../common/jobs/job-store.ts";
import type { Channel } from "../common/rpc/client.ts";
import type { FeaturesConfig } from "./config.ts";
import type { DefinitionStore } from "./definitions/definition-store.ts";
import type { ViewHealthStore } from "./definitions/view-health.ts";
import type { FeaturesEvents } from "./events.ts";
import type { Job } from "./jobs/job.ts";
import type { TableStore } from "./jobs/table-store.ts";
import type { OfflineEngine } from "./offline/engine-tasks.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import type { OnlineStore } from "./online/online-store.ts";

export interface FeaturesDeps {
  readonly config: FeaturesConfig;
  readonly clock: Clock;
  readonly documents: DocumentStore;
  /** Offline files, tables and training sets; nobody else's. */
  readonly blobs: BlobStore;
  readonly definitions: DefinitionStore;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly engine: OfflineEngine;
  readonly jobs: JobStore<Job>;
  readonly tables: TableStore;
  /** What monitoring says of the views. */
  readonly viewHealth: ViewHealthStore;
  readonly events: FeaturesEvents;
  /**
   * To the registry, with the credential of a service; absent where none is reachable from here.
   */
  readonly registry: Channel | undefined;
}
