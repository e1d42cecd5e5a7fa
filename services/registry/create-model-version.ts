// Makes a model version from a complete upload. Everything is in place before the version is
// stored, in one write, so a crash before it leaves nothing to be seen, and one after it loses
// nothing: validation of a stored version is taken up by whoever looks next.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { findReplayed, type RequestStamp } from "../common/documents/request-stamp.ts";
import { getDocument, updateDocument } from "../common/documents/resource.ts";
import {
  AlreadyExists,
  FailedPrecondition,
  NotFound,
  Unavailable,
} from "../common/errors/domain-error.ts";
import { now, type RegistryDeps } from "./deps.ts";
import type { ModelVersion, VersionDetails } from "./model-version.ts";
import { keepIfParentStays } from "./parents.ts";
import { recordProgress } from "./receive-upload.ts";
import { versionNameOf } from "./resolve-version.ts";
import type { RegisteredModel, Upload } from "./store.ts";
import type { VersionNames } from "./version-metadata.ts";

export interface NewModelVersion extends VersionDetails, VersionNames {
  readonly workspace: string;
  /** The model's resource name. */
  readonly model: string;
  /** The upload's resource name. */
  readonly upload: string;
  readonly fileName: string;
  /** With its version; empty: none. */
  readonly featureService: string;
  readonly stamp: RequestStamp;
}

const RETRY_AFTER_MS = 1000;

/**
 * Makes the version with the next number, or returns the one made before from the same request or
 * the same upload.
 * @throws NotFound for the model or the upload; FailedPrecondition when the model is archived or
 * the
 *   upload is not complete or became another model's version.
 */
export async function createModelVersion(
  deps: RegistryDeps,
  request: NewModelVersion,
): Promise<Stored<ModelVersion>> {
  const { store } = deps;
  const replayed = await findEarlier(deps, request);
  if (replayed !== undefined) {
    return replayed;
  }
  requireActive(await getDocument(store.models, request.model));
  const upload = await requireComplete(deps, request);
  const model = await updateDocument(store.models, { name: request.model }, (current) => {
    requireActive(current);
    return { ...current, latestNumber: current.latestNumber + 1 };
  });
  let stored: Stored<ModelVersion>;
  try {
    stored = await store.versions.insertOne(newVersion(deps, { request, upload, model }));
  } catch (error) {
    const first = error instanceof AlreadyExists ? await findEarlier(deps, request) : undefined;
    if (first === undefined) {
      throw error;
    }
    return first;
  }
  await keepIfParentStays(store.models, { name: model._id, uid: model.uid }, () =>
    store.versions.deleteOne(stored._id, { ifVersion: stored.version }),
  );
  await requireBytes(deps, stored);
  await store.uploads.deleteOne(upload._id);
  deps.events.modelVersionRegistered(stored._id);
  deps.validateSoon(stored._id);
  return stored;
}

async function findEarlier(
  { store }: RegistryDeps,
  request: NewModelVersion,
): Promise<Stored<ModelVersion> | undefined> {
  const replayed = await findReplayed(store.versions, request.stamp);
  if (replayed !== undefined) {
    return replayed;
  }
  const made = await store.versions.findOne({ upload: request.upload });
  if (made === undefined) {
    return undefined;
  }
  if (made.model === request.model && !made.deleting) {
    return made;
  }
  throw forbidden(request.upload, `became ${made._id} already; upload the file again`);
}

async function requireComplete(deps: RegistryDeps, request: NewModelVersion): Promise<Upload> {
  const upload = await getDocument(deps.store.uploads, request.upload);
  if (!upload.complete) {
    const { receivedBytes, sizeBytes } = upload;
    const rest = `holds ${receivedBytes} of ${sizeBytes} bytes; send the rest with UploadArtifact`;
    throw forbidden(upload._id, rest);
  }
  // It refers to the bytes until the version does: it must not expire in between.
  return recordProgress(deps, upload._id, {});
}

function newVersion(
  deps: RegistryDeps,
  parts: {
    readonly request: NewModelVersion;
    readonly upload: Upload;
    readonly model: RegisteredModel;
  },
): ModelVersion {
  const { request, upload, model } = parts;
  const { workspace, stamp, ...details } = request;
  const createTime = now(deps);
  return {
    ...details,
    ...stamp,
    _id: versionNameOf(model._id, model.latestNumber),
    uid: randomUUID(),
    workspace,
    number: model.latestNumber,
    createTime,
    updateTime: createTime,
    state: "VALIDATING",
    failure: null,
    approval: "PENDING",
    approvalRecord: null,
    signature: null,
    graph: null,
    sha256: upload.sha256,
    sizeBytes: upload.sizeBytes,
    archived: false,
    archiveTime: null,
    deleting: false,
  };
}

/** The last line of defence: a version that is acknowledged has its bytes. */
async function requireBytes(deps: RegistryDeps, version: Stored<ModelVersion>): Promise<void> {
  if ((await deps.blobs.size(version.sha256)) !== undefined) {
    return;
  }
  try {
    await deps.store.versions.deleteOne(version._id, { ifVersion: version.version });
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
  }
  await deps.store.uploads.deleteOne(version.upload);
  throw new Unavailable(`The bytes of ${version.upload} are gone. Upload the file again.`, {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function requireActive(model: RegisteredModel): void {
  if (model.archived) {
    throw forbidden(model._id, "is archived and takes no new versions; restore it first");
  }
}

function forbidden(subject: string, why: string): FailedPrecondition {
  return new FailedPrecondition(`${subject} ${why}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: subject },
    violations: [{ type: "STATE", subject, description: why }],
  });
}
