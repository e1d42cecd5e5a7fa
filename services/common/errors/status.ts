// The one table between domain errors and google.rpc.Status, both ways. Transports call toStatus
// when a handler threw and fromStatus when a server answered with an error; nothing else knows gRPC
// codes.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { durationOf } from "../duration.ts";
import * as domain from "./domain-error.ts";

/** The `domain` of every ErrorInfo that Plinth sends. */
const ERROR_DOMAIN = "plinth";

/** What a caller is told of a failure that nobody foresaw; the cause is in the log. */
const INTERNAL_TEXT =
  "The server failed in a way it did not foresee. The log has the details under this call's trace id.";

const CODES: Readonly<Record<domain.ErrorKind, Code>> = {
  InvalidArgument: Code.INVALID_ARGUMENT,
  NotFound: Code.NOT_FOUND,
  AlreadyExists: Code.ALREADY_EXISTS,
  FailedPrecondition: Code.FAILED_PRECONDITION,
  Aborted: Code.ABORTED,
  ResourceExhausted: Code.RESOURCE_EXHAUSTED,
  Unavailable: Code.UNAVAILABLE,
  DeadlineExceeded: Code.DEADLINE_EXCEEDED,
  Cancelled: Code.CANCELLED,
  Unauthenticated: Code.UNAUTHENTICATED,
  PermissionDenied: Code.PERMISSION_DENIED,
  DataLoss: Code.DATA_LOSS,
  Unimplemented: Code.UNIMPLEMENTED,
  Internal: Code.INTERNAL,
};

/** Whether the failure was foreseen; one that was not is logged with its cause. */
export function isForeseen(error: unknown): error is domain.DomainError {
  return error instanceof domain.DomainError;
}

/** The wire form of anything thrown. Unforeseen errors say nothing but INTERNAL. */
export function toStatus(error: unknown): Status {
  if (!isForeseen(error)) {
    return create(StatusSchema, { code: Code.INTERNAL, message: INTERNAL_TEXT });
  }
  return create(StatusSchema, {
    code: CODES[error.kind],
    message: error.message,
    details: details(error),
  });
}

/** `grpc-status-details-bin` of an error. */
export function statusBytes(status: Status): Uint8Array {
  return toBinary(StatusSchema, status);
}

/** The name of the reason as ErrorInfo carries it: "ETAG_MISMATCH". */
export function reasonName(reason: ErrorReason): string {
  return ErrorReason[reason];
}

function details(error: domain.DomainError): Any[] {
  const list = [
    anyPack(
      ErrorInfoSchema,
      create(ErrorInfoSchema, {
        reason: reasonName(error.reason),
        domain: ERROR_DOMAIN,
        metadata: { ...error.metadata },
      }),
    ),
  ];
  if (error instanceof domain.InvalidArgument && error.violations.length > 0) {
    const fieldViolations = error.violations.map((violation) => ({ ...violation }));
    list.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (error instanceof domain.FailedPrecondition && error.violations.length > 0) {
    const violations = error.violations.map((violation) => ({ ...violation }));
    list.push(
      anyPack(PreconditionFailureSchema, create(PreconditionFailureSchema, { violations })),
    );
  }
  if (error instanceof domain.NotFound || error instanceof domain.AlreadyExists) {
    const resourceName = error.metadata.resource;
    if (resourceName !== undefined) {
      list.push(anyPack(ResourceInfoSchema, create(ResourceInfoSchema, { resourceName })));
    }
  }
  if (error instanceof domain.ResourceExhausted || error instanceof domain.Unavailable) {
    const retryDelay = durationOf(error.retryAfterMs);
    list.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  return list;
}

/** What RetryInfo is taken to be where a server sent none. */
const RETRY_AFTER_DEFAULT_MS = 1000;

/**
 * The way back: a server's code, message and `grpc-status-details-bin` as the error its handler
 * threw. Details that cannot be read are left out, never fatal.
 */
export function fromStatus(
  code: number,
  message: string,
  detailBytes: Uint8Array | undefined,
): domain.DomainError {
  const found = readDetails(detailBytes);
  const options = {
    reason: found.reason ?? reasonOfCode(code),
    metadata: found.metadata,
  };
  const retryAfterMs = found.retryAfterMs ?? RETRY_AFTER_DEFAULT_MS;
  switch (code) {
    case Code.INVALID_ARGUMENT:
    case Code.OUT_OF_RANGE:
      return new domain.InvalidArgument(message, { ...options, violations: found.fields });
    case Code.NOT_FOUND:
      return new domain.NotFound(message, options);
    case Code.ALREADY_EXISTS:
      return new domain.AlreadyExists(message, options);
    case Code.FAILED_PRECONDITION:
      return new domain.FailedPrecondition(message, { ...options, violations: found.conditions });
    case Code.ABORTED:
      return new domain.Aborted(message, options);
    case Code.RESOURCE_EXHAUSTED:
      return new domain.ResourceExhausted(message, { ...options, retryAfterMs });
    case Code.UNAVAILABLE:
      return new domain.Unavailable(message, { ...options, retryAfterMs });
    case Code.DEADLINE_EXCEEDED:
      return new domain.DeadlineExceeded(message, options);
    case Code.CANCELLED:
      return new domain.Cancelled(message, options);
    case Code.UNAUTHENTICATED:
      return new domain.Unauthenticated(message, options);
    case Code.PERMISSION_DENIED:
      return new domain.PermissionDenied(message, options);
    case Code.DATA_LOSS:
      return new domain.DataLoss(message, options);
    case Code.UNIMPLEMENTED:
      return new domain.Unimplemented(message, options);
    default:
      return new domain.Internal(message, options);
  }
}

function reasonOfCode(code: number): ErrorReason {
  switch (code) {
    case Code.INVALID_ARGUMENT:
      return ErrorReason.INVALID_FIELD;
    case Code.NOT_FOUND:
      return ErrorReason.RESOURCE_NOT_FOUND;
    case Code.UNAVAILABLE:
      return ErrorReason.DEPENDENCY_UNAVAILABLE;
    case Code.RESOURCE_EXHAUSTED:
      return ErrorReason.OVERLOADED;
    case Code.DEADLINE_EXCEEDED:
      return ErrorReason.DEADLINE_EXCEEDED;
    case Code.CANCELLED:
      return ErrorReason.CANCELLED;
    case Code.UNAUTHENTICATED:
      return ErrorReason.UNAUTHENTICATED;
    case Code.PERMISSION_DENIED:
      return ErrorReason.PERMISSION_DENIED;
    case Code.UNIMPLEMENTED:
      return ErrorReason.UNSUPPORTED;
    default:
      return ErrorReason.UNSPECIFIED;
  }
}

interface FoundDetails {
  reason?: ErrorReason;
  metadata: Record<string, string>;
  fields: domain.FieldViolation[];
  conditions: domain.PreconditionViolation[];
  retryAfterMs?: number;
}

function readDetails(bytes: Uint8Array | undefined): FoundDetails {
  const found: FoundDetails = { metadata: {}, fields: [], conditions: [] };
  for (const any of statusDetails(bytes)) {
    const info = anyUnpack(any, ErrorInfoSchema);
    if (info !== undefined && info.domain === ERROR_DOMAIN) {
      found.reason = ErrorReason[info.reason as keyof typeof ErrorReason];
      found.metadata = { ...info.metadata };
    }
    for (const { field, description } of anyUnpack(any, BadRequestSchema)?.fieldViolations ?? []) {
      found.fields.push({ field, description });
    }
    const precondition = anyUnpack(any, PreconditionFailureSchema);
    for (const { type, subject, description } of precondition?.violations ?? []) {
      found.conditions.push({ type, subject, description });
    }
    const delay = anyUnpack(any, RetryInfoSchema)?.retryDelay;
    if (delay !== undefined) {
      found.retryAfterMs = durationMs(delay);
    }
  }
  return found;
}

function statusDetails(bytes: Uint8Array | undefined): readonly Any[] {
  if (bytes === undefined) {
    return [];
  }
  try {
    return fromBinary(StatusSchema, bytes).details;
  } catch {
    return [];
  }
}
