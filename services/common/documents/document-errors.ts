// The errors of the documents port, made in one place so that both drivers say the same.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  NotFound,
  ResourceExhausted,
  Unavailable,
} from "../errors/domain-error.ts";

/** How long a caller should wait before it tries a database that was away again. */
const RETRY_UNAVAILABLE_MS = 1_000;

/** A full disk does not empty itself soon. */
const RETRY_FULL_MS = 30_000;

/** `_id` or a unique key is taken. `index` is "_id" or the index's fields joined by commas. */
export function alreadyExists(collection: string, index: string): AlreadyExists {
  return new AlreadyExists(`another document in ${collection} has the same ${index}`, {
    reason: ErrorReason.RESOURCE_EXISTS,
    metadata: { collection, index },
  });
}

/** There is no such document. */
export function notFound(collection: string, id: string): NotFound {
  return new NotFound(`no document "${id}" in ${collection}`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { collection },
  });
}

/** The stored version is not the expected one. */
export function versionMismatch(
  collection: string,
  id: string,
  versions: { readonly expected: number; readonly stored: number | undefined },
): Aborted {
  const stored = versions.stored === undefined ? "another" : `version ${versions.stored}`;
  return new Aborted(
    `document "${id}" in ${collection} is at ${stored}, not ${versions.expected}; read it again`,
    { reason: ErrorReason.ETAG_MISMATCH, metadata: { collection } },
  );
}

/** The changes asked for are no longer kept, or were never made here. */
export function resumeExpired(
  collection: string,
  range: { readonly after: number; readonly oldest: number; readonly newest: number },
): FailedPrecondition {
  return new FailedPrecondition(
    `changes of ${collection} after revision ${range.after} cannot be read: revisions ` +
      `${range.oldest} to ${range.newest} are kept; read the collection and follow from there`,
    { reason: ErrorReason.RESUME_TOKEN_EXPIRED, metadata: { collection } },
  );
}

/** Asked for revisions of a collection that was opened without a feed. */
export function noFeed(collection: string): FailedPrecondition {
  return new FailedPrecondition(`collection ${collection} was opened without a feed`, {
    reason: ErrorReason.UNSUPPORTED,
    metadata: { collection },
  });
}

/** The database does not answer. */
export function unavailable(what: string, cause?: unknown): Unavailable {
  return new Unavailable(`the document store is not available: ${what}; try again`, {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: RETRY_UNAVAILABLE_MS,
    cause,
  });
}

/** The database has no room left. */
export function storageFull(cause?: unknown): ResourceExhausted {
  return new ResourceExhausted(
    "the document store's disk is full: free some space; nothing was written",
    { reason: ErrorReason.STORAGE_FULL, retryAfterMs: RETRY_FULL_MS, cause },
  );
}

/** Too many writes wait for the disk. */
export function writesQueueFull(limit: number): ResourceExhausted {
  return new ResourceExhausted(`${limit} writes are already waiting for the document store`, {
    reason: ErrorReason.OVERLOADED,
    retryAfterMs: RETRY_UNAVAILABLE_MS,
  });
}
