// What DuckDB's errors mean to callers. Its own texts name paths, SQL and settings, so none of them
// leaves the engine but for the log; a handful of kinds is told apart by how the text begins.

import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument, ResourceExhausted } from "../../../common/errors/domain-error.ts";

const RETRY_AFTER_MS = 30_000;

/**
 * The error to report in place of one that a task threw: memory and disk that do not suffice are
 * ResourceExhausted, everything else stays as it is.
 */
export function engineFault(error: unknown): unknown {
  const text = error instanceof Error ? error.message : "";
  if (/No space left on device|max_temp_directory_size|ENOSPC/i.test(text)) {
    return new ResourceExhausted(
      "The offline engine ran out of disk for what does not fit in memory. Take fewer rows at " +
        "once, or ask the operator to raise PLINTH_FEATURES_ENGINE_SPILL_MAX or free disk.",
      { reason: ErrorReason.STORAGE_FULL, retryAfterMs: RETRY_AFTER_MS, cause: error },
    );
  }
  if (/^Out of Memory Error|bad_alloc/i.test(text)) {
    return new ResourceExhausted(
      "The offline engine ran out of memory. Take fewer rows or columns at once, or ask the " +
        "operator to raise PLINTH_FEATURES_ENGINE_MEMORY_MAX.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS, cause: error },
    );
  }
  return error;
}

/** A fault of the caller's file: what is wrong with it, and what to do. */
export function tableFault(description: string, cause?: unknown): InvalidArgument {
  return new InvalidArgument(description, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "table", description }],
    ...(cause === undefined ? {} : { cause }),
  });
}
