// What the registry keeps: its collections, their indexes and the few queries that several use
// cases share. A field `revision` or `version` of its own is what no document here may have: the
// store's are.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  Collection,
  Document,
  DocumentStore,
  IndexSpec,
  Stored,
} from "../common/documents/port.ts";
import {
  Aborted,
  AlreadyExists,
  InvalidArgument,
  NotFound,
} from "../common/errors/domain-error.ts";
import { etagOf, requireEtag } from "../common/etag.ts";
import type { Deployment, ServerReport } from "./deployment.ts";
import type { ModelVersion, Pairs } from "./model-version.ts";

export interface Workspace extends Document {
  readonly uid: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly displayName: string;
  readonly labels: Pairs<string>;
  readonly deleting: boolean;
  readonly requestKey?: string;
  readonly requestDigest: string;
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
  readonly models: Collection<RegisteredModel>;
  readonly versions: Collection<ModelVersion>;
  readonly uploads: Collection<Upload>;
  readonly artifacts: Collection<Artifact>;
  readonly leases: Collection<ValidationLease>;
  readonly deployments: Collection<Deployment>;
  readonly reports: Collection<ServerReport>;
  ping(): Promise<void>;
}

/** A server that has not reported for this long is taken for gone. */
export const REPORT_TTL_SECONDS = 30;

/** With the pauses below enough for a hundred writers of one document at once. */
const UPDATE_TRIES = 50;
/** The longest pause of a writer that lost; a random part of it keeps the losers apart. */
const BACKOFF_MS_MAX = 100;

const REQUEST_KEY: IndexSpec = { keys: { requestKey: 1 }, unique: true };

/** Opens the collections, making what is missing. */
export async function openRegistryStore(documents: DocumentStore): Promise<RegistryStore> {
  return {
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
    ping: () => documents.ping(),
  };
}

/** The document with that name, unless it is being removed. @throws NotFound */
export async function getDocument<T extends Document>(
  collection: Collection<T>,
  name: string,
): Promise<Stored<T>> {
  const found = await findDocument(collection, name);
  if (found === undefined) {
    throw notFound(name);
  }
  return found;
}

/** The document with that name, or undefined when there is none or it is being removed. */
export async function findDocument<T extends Document>(
  collection: Collection<T>,
  name: string,
): Promise<Stored<T> | undefined> {
  const found = await collection.findOne({ _id: name });
  const isLeaving = found !== undefined && "deleting" in found && found.deleting === true;
  return isLeaving ? undefined : found;
}

/**
 * Reads, changes and writes a document; begins again when another writer was faster, unless the
 * caller's etag says which state was meant. `change` may be called several times and returns the
 * document itself when nothing is to be written.
 * @throws NotFound; Aborted (ETAG_MISMATCH)
 */
export async function updateDocument<T extends Document & { readonly uid: string }>(
  collection: Collection<T>,
  target: { readonly name: string; readonly etag?: string },
  change: (current: T) => T | Promise<T>,
): Promise<Stored<T>> {
  for (let tries = 1; ; tries++) {
    const current = await getDocument(collection, target.name);
    requireEtag(target.etag ?? "", etagOf(current.uid, current.version), target.name);
    const body = withoutStamps(current);
    const next = await change(body);
    if (next === body) {
      return current;
    }
    try {
      return await collection.replaceOne(next, { ifVersion: current.version });
    } catch (error) {
      if (!(error instanceof Aborted) || tries === UPDATE_TRIES) {
        throw error;
      }
      await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
    }
  }
}

/** A stored document as it was given to the store. */
export function withoutStamps<T extends Document>(stored: Stored<T>): T {
  const { version: _version, revision: _revision, ...body } = stored;
  return body as unknown as T;
}

/** All items of a bounded query. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) {
    list.push(item);
  }
  return list;
}

/** Stored with a resource, so that a replay finds the first answer however the first call ended. */
export interface RequestStamp {
  readonly requestKey?: string;
  readonly requestDigest: string;
}

/** The stamp of a Create call. `bytes` is the whole request. */
export function requestStamp(call: {
  readonly method: string;
  readonly parent: string;
  readonly requestId: string;
  readonly bytes: Uint8Array;
}): RequestStamp {
  const requestDigest = createHash("sha256").update(call.bytes).digest("hex");
  if (call.requestId === "") {
    return { requestDigest };
  }
  const key = JSON.stringify([call.method, call.parent, call.requestId]);
  return { requestKey: createHash("sha256").update(key).digest("hex"), requestDigest };
}

/**
 * The resource that an earlier call with the same request_id made, or undefined.
 * @throws InvalidArgument when that call asked for something else.
 */
export async function findReplayed<T extends Document & { readonly requestDigest: string }>(
  collection: Collection<T>,
  stamp: RequestStamp,
): Promise<Stored<T> | undefined> {
  if (stamp.requestKey === undefined) {
    return undefined;
  }
  const first = await collection.findOne({ requestKey: stamp.requestKey });
  if (first !== undefined && first.requestDigest !== stamp.requestDigest) {
    throw new InvalidArgument(
      `request_id was used before, for another request that made ${first._id}. Use a fresh one.`,
      {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "request_id", description: "was used for another request" }],
      },
    );
  }
  return first;
}

/**
 * Stores a new resource, or returns the one that a call with the same request_id made first.
 * @throws AlreadyExists when the name is taken.
 */
export async function insertOnce<T extends Document & RequestStamp>(
  collection: Collection<T>,
  document: T,
): Promise<{ readonly stored: Stored<T>; readonly isReplay: boolean }> {
  const earlier = await findReplayed(collection, document);
  if (earlier !== undefined) {
    return { stored: earlier, isReplay: true };
  }
  try {
    return { stored: await collection.insertOne(document), isReplay: false };
  } catch (error) {
    if (!(error instanceof AlreadyExists)) {
      throw error;
    }
    const first = await findReplayed(collection, document);
    if (first !== undefined) {
      return { stored: first, isReplay: true };
    }
    throw new AlreadyExists(`${document._id} exists already. Choose another id, or update it.`, {
      reason: ErrorReason.RESOURCE_EXISTS,
      metadata: { resource: document._id },
      cause: error,
    });
  }
}

/** There is no such resource. */
export function notFound(name: string): NotFound {
  return new NotFound(`There is no ${name}. List what is there, or create it first.`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { resource: name },
  });
}
