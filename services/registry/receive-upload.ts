// Takes a model file in, chunk by chunk. A chunk is awaited before the next is asked for, so the
// sender is slowed to the disk's pace and memory stays at one chunk; what was synced survives a
// crash, and the staging area, not the document, knows how much that is.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  UploadArtifactRequest,
  UploadStart,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { getDocument, notFound, withoutStamps } from "../common/documents/resource.ts";
import {
  Aborted,
  type DomainError,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
} from "../common/errors/domain-error.ts";
import { claimArtifact, stageIdOf } from "./collect-garbage.ts";
import type { RegistryDeps } from "./deps.ts";
import type { Upload } from "./store.ts";

/** What a crash may cost a sender. */
const SYNC_EVERY_BYTES = 16 * 1024 * 1024;
const CHUNK_BYTES_MAX = 1024 * 1024;
const RECORD_TRIES = 5;

/** The rest of an upload's stream, after the first message. */
export interface IncomingUpload {
  readonly start: UploadStart;
  readonly chunks: AsyncIterable<UploadArtifactRequest>;
}

/**
 * Appends the chunks to the upload. With the last byte the whole is checked and kept.
 * @throws FailedPrecondition (UPLOAD_OFFSET_MISMATCH) when the sender is not where the server is;
 *   Aborted while another stream writes the same upload; DataLoss (DIGEST_MISMATCH) when the bytes
 *   are not the promised ones, which begins the upload anew.
 */
export async function receiveUpload(deps: RegistryDeps, incoming: IncomingUpload): Promise<Upload> {
  const upload = await getDocument(deps.store.uploads, incoming.start.name);
  if (upload.complete) {
    return upload;
  }
  const stageId = stageIdOf(upload.uploadId);
  const received = await append(deps, { upload, stageId, incoming });
  if (received < upload.sizeBytes) {
    return recordProgress(deps, upload._id, { receivedBytes: received });
  }
  await claimArtifact(deps, upload.sha256);
  await deps.blobs.commit(stageId, { digest: upload.sha256, sizeBytes: upload.sizeBytes });
  return recordProgress(deps, upload._id, { receivedBytes: received, complete: true });
}

/** The upload as it is, with what the staging area holds. */
export async function readUpload(deps: RegistryDeps, name: string): Promise<Upload> {
  const upload = await getDocument(deps.store.uploads, name);
  if (upload.complete) {
    return upload;
  }
  try {
    await using writer = await deps.blobs.stage(stageIdOf(upload.uploadId));
    return { ...upload, receivedBytes: writer.receivedBytes };
  } catch (error) {
    if (error instanceof Aborted) {
      // A stream is writing it now.
      return upload;
    }
    throw error;
  }
}

/**
 * Moves the expiry of an upload and notes how far it is.
 * @throws NotFound when it expired or became a version.
 */
export async function recordProgress(
  deps: RegistryDeps,
  name: string,
  progress: Partial<Pick<Upload, "receivedBytes" | "complete">>,
): Promise<Stored<Upload>> {
  const { uploads } = deps.store;
  for (let tries = 1; ; tries++) {
    const current = await getDocument(uploads, name);
    const expireTime = new Date(deps.clock.now() + deps.config.uploadTtlMs);
    const next = { ...withoutStamps(current), ...progress, expireTime };
    try {
      return await uploads.replaceOne(next, { ifVersion: current.version });
    } catch (error) {
      if (error instanceof NotFound) {
        throw notFound(name);
      }
      if (!(error instanceof Aborted) || tries === RECORD_TRIES) {
        throw error;
      }
    }
  }
}

interface Append {
  readonly upload: Upload;
  readonly stageId: string;
  readonly incoming: IncomingUpload;
}

/** Writes what comes; how many bytes the staging area holds at the end. */
async function append(deps: RegistryDeps, work: Append): Promise<number> {
  const { upload, incoming } = work;
  await using writer = await deps.blobs.stage(work.stageId);
  const offset = Number(incoming.start.offset);
  if (offset !== writer.receivedBytes) {
    throw offsetMismatch(upload, { offset, receivedBytes: writer.receivedBytes });
  }
  let received = offset;
  let synced = offset;
  try {
    for await (const { payload } of incoming.chunks) {
      const chunk = payload.case === "chunk" ? payload.value : undefined;
      if (chunk === undefined || chunk.length > CHUNK_BYTES_MAX) {
        throw malformed("each message after the first holds a chunk of at most 1 MiB");
      }
      if (received + chunk.length > upload.sizeBytes) {
        throw malformed(`more than the promised ${upload.sizeBytes} bytes came`);
      }
      await writer.write(chunk);
      received += chunk.length;
      if (received - synced >= SYNC_EVERY_BYTES) {
        await writer.sync();
        synced = received;
        await recordProgress(deps, upload._id, { receivedBytes: received });
      }
    }
  } finally {
    deps.events.bytesUploaded(received - offset);
    // Also after a broken connection: the sender goes on from here.
    await writer.sync();
  }
  return received;
}

function malformed(description: string): InvalidArgument {
  return new InvalidArgument(`UploadArtifact: ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "payload", description }],
  });
}

function offsetMismatch(
  upload: Upload,
  at: { readonly offset: number; readonly receivedBytes: number },
): DomainError {
  const description = `the server holds ${at.receivedBytes} bytes; continue from there`;
  return new FailedPrecondition(
    `The stream begins at byte ${at.offset} of ${upload._id}, but ${description}.`,
    {
      reason: ErrorReason.UPLOAD_OFFSET_MISMATCH,
      metadata: { received_bytes: String(at.receivedBytes), size_bytes: String(upload.sizeBytes) },
      violations: [{ type: "OFFSET", subject: upload._id, description }],
    },
  );
}
