// What the registry keeps: its collections and their indexes. A field `revision` or `version` of its own is what no document here may have: the
// store's are.

import type { Collection, Document, DocumentStore } from "../common/documents/port.ts";
import { REQUEST_KEY } from "../common/documents/request-stamp.ts";
import type { Deployment, ServerReport } from "./deployment.ts";
import type { CircuitReport } from "./model-circuits.ts";
import { HEALTH_TTL_SECONDS, type HealthReport } from "./model-health.ts";
import type { ModelVersion, Pairs } from "./model-version.ts";

/** What a workspace is for. */
export type WorkspaceEnvironment = "DEVELOPMENT" | "PRODUCTION";

export interface Workspace extends Document {
  readonly uid: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly displayName: string;
  readonly labels: Pairs<string>;
  /** Absent in documents of before there was one: DEVELOPMENT. */
  readonly environment?: WorkspaceEnvironment;
  readonly deleting: boolean;
  readonly requestKey?: string;
  readonly requestDigest: string;
}

/** `_id` is the name of a workspace that was removed: it is not given out again. */
export interface RemovedWorkspace extends Document {
  readonly removeTime: Date;
}

export interface RegisteredModel extends Document {
  readonly uid: string;
  readonly workspace: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly description: string;
  readonly tags: Pairs<string>;
  /** Alias to version number. */
  readonly aliases: Pairs<number>;
  /** The highest number given out. */
  readonly latestNumber: number;
  readonly archived: boolean;
  readonly archiveTime: Date | null;
  readonly deleting: boolean;
  readonly requestKey?: string;
  readonly requestDigest: string;
}

export interface Upload extends Document {
  readonly workspace: string;
  /** The last part of its name. */
  readonly uploadId: string;
  readonly createTime: Date;
  readonly expireTime: Date;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** As of the last sync; the staging area knows better. */
  readonly receivedBytes: number;
  readonly complete: boolean;
}

/** Bytes in the blob store that are ours. `_id` is the digest. See collect-garbage.ts. */
export interface Artifact extends Document {
  /** Set while a collector is about to delete the bytes. */
  readonly deletingUntil: Date | null;
}

/** Who validates a version. `_id` is the version's name. */
export interface ValidationLease extends Document {
  readonly owner: string;
  readonly until: Date;
}

export interface RegistryStore {
  readonly workspaces: Collection<Workspace>;
  readonly removedWorkspaces: Collection<RemovedWorkspace>;
  readonly models: Collection<RegisteredModel>;
  readonly versions: Collection<ModelVersion>;
  readonly uploads: Collection<Upload>;
  readonly artifacts: Collection<Artifact>;
  readonly leases: Collection<ValidationLease>;
  readonly deployments: Collection<Deployment>;
  readonly reports: Collection<ServerReport>;
  readonly health: Collection<HealthReport>;
  readonly circuits: Collection<CircuitReport>;
}

/** A server that has not reported for this long is taken for gone. */
export const REPORT_TTL_SECONDS = 30;

/** Opens the collections, making what is missing. */
export async function openRegistryStore(documents: DocumentStore): Promise<RegistryStore> {
  return {
    removedWorkspaces: await documents.collection<RemovedWorkspace>({
      name: "removed_workspaces",
      indexes: [],
    }),
    workspaces: await documents.collection<Workspace>({
      name: "workspaces",
      indexes: [REQUEST_KEY],
    }),
    models: await documents.collection<RegisteredModel>({
      name: "models",
      indexes: [{ keys: { workspace: 1, createTime: 1 } }, REQUEST_KEY],
    }),
    versions: await documents.collection<ModelVersion>({
      name: "model_versions",
      feed: true,
      indexes: [
        { keys: { model: 1, number: 1 }, unique: true },
        { keys: { workspace: 1, createTime: 1 } },
        { keys: { sha256: 1 } },
        { keys: { state: 1 } },
        { keys: { upload: 1 }, unique: true },
        REQUEST_KEY,
      ],
    }),
    uploads: await documents.collection<Upload>({
      name: "uploads",
      indexes: [
        { keys: { workspace: 1 } },
        { keys: { uploadId: 1 } },
        { keys: { sha256: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
      ],
    }),
    artifacts: await documents.collection<Artifact>({ name: "model_artifacts", indexes: [] }),
    leases: await documents.collection<ValidationLease>({ name: "validation_leases", indexes: [] }),
    deployments: await documents.collection<Deployment>({
      name: "deployments",
      feed: true,
      indexes: [{ keys: { workspace: 1 } }, REQUEST_KEY],
    }),
    reports: await documents.collection<ServerReport>({
      name: "serving_reports",
      indexes: [{ keys: { reportTime: 1 }, expireAfterSeconds: REPORT_TTL_SECONDS }],
    }),
    health: await documents.collection<HealthReport>({
      name: "model_health",
      indexes: [
        { keys: { versionUid: 1 } },
        { keys: { reportTime: 1 }, expireAfterSeconds: HEALTH_TTL_SECONDS },
      ],
    }),
    circuits: await documents.collection<CircuitReport>({ name: "model_circuits", indexes: [] }),
  };
}
