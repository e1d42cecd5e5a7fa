// The errors of the blob port, and what the file system's errors become.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Aborted,
  DataLoss,
  DomainError,
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  Unavailable,
} from "../errors/domain-error.ts";
import type { Digest } from "./port.ts";

const RETRY_UNAVAILABLE_MS = 1_000;

/** A full disk does not empty itself soon. */
const RETRY_FULL_MS = 30_000;

/** There is no such blob. */
export function blobNotFound(digest: Digest): NotFound {
  return new NotFound(`no blob ${digest} is stored`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
}

/** There is no such staging area. */
export function stageNotFound(id: string): NotFound {
  return new NotFound(`nothing was uploaded as "${id}"`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
  });
}

/** A staging area is in use. */
export function stageBusy(id: string): Aborted {
  return new Aborted(`"${id}" is being written by someone else; try again when they are done`, {
    reason: ErrorReason.RESOURCE_IN_USE,
  });
}

/** Bytes are not those that the digest names. */
export function digestMismatch(
  expected: { readonly digest: Digest; readonly sizeBytes: number | undefined },
  actual: { readonly digest: string | undefined; readonly sizeBytes: number },
): DataLoss {
  const size = expected.sizeBytes === undefined ? "" : ` of ${expected.sizeBytes} bytes`;
  const found = actual.digest === undefined ? "" : ` with SHA-256 ${actual.digest}`;
  return new DataLoss(
    `expected SHA-256 ${expected.digest}${size}, got ${actual.sizeBytes} bytes${found}; ` +
      "the bytes are not the ones that were named: send them again",
    { reason: ErrorReason.DIGEST_MISMATCH },
  );
}

/** An argument outside its pattern. */
export function invalidBlobArgument(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field}: ${description}`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}

/** The store was closed. */
export function blobStoreClosed(): Unavailable {
  return new Unavailable("the blob store is closed", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: RETRY_UNAVAILABLE_MS,
  });
}

/** Any error of the file system as the port's; others as they are. */
export function mapFileError(error: unknown): unknown {
  if (error instanceof DomainError || typeof errorCode(error) !== "string") return error;
  if (["ENOSPC", "EDQUOT", "EFBIG"].includes(errorCode(error) ?? "")) {
    return new ResourceExhausted("the blob store's disk is full: free some space and go on", {
      reason: ErrorReason.STORAGE_FULL,
      retryAfterMs: RETRY_FULL_MS,
      cause: error,
    });
  }
  return new Unavailable("the blob store's folder could not be read or written; try again", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: RETRY_UNAVAILABLE_MS,
    cause: error,
  });
}

/** True when the error says that the file is not there. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
