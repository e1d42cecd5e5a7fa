// The one family of errors that domain code throws. A class says what kind of failure it is, a
// reason from the proto enum says which one exactly; how that looks on the wire is decided in
// status.ts and nowhere else.

import type { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";

/** The kinds; each maps to one gRPC code in status.ts. */
export type ErrorKind =
  | "InvalidArgument"
  | "NotFound"
  | "AlreadyExists"
  | "FailedPrecondition"
  | "Aborted"
  | "ResourceExhausted"
  | "Unavailable"
  | "DeadlineExceeded"
  | "Cancelled"
  | "Unauthenticated"
  | "PermissionDenied"
  | "DataLoss"
  | "Unimplemented"
  | "Internal";

/** Which field is wrong, in the request's own terms ("rows[3].radius"), and what was expected. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/**
 * Which condition does not hold: its type ("STATE"), its subject (a resource name) and what to do.
 */
export interface PreconditionViolation {
  readonly type: string;
  readonly subject: string;
  readonly description: string;
}

export interface DomainErrorOptions {
  readonly reason: ErrorReason;
  /** Extra facts for programs; never paths, secrets or driver text. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Kept for the log, never sent. */
  readonly cause?: unknown;
}

export abstract class DomainError extends Error {
  abstract readonly kind: ErrorKind;
  readonly reason: ErrorReason;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(message: string, options: DomainErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
  }
}

export class InvalidArgument extends DomainError {
  readonly kind = "InvalidArgument";
  readonly violations: readonly FieldViolation[];

  constructor(
    message: string,
    options: DomainErrorOptions & { readonly violations?: readonly FieldViolation[] },
  ) {
    super(message, options);
    this.violations = options.violations ?? [];
  }
}

export class NotFound extends DomainError {
  readonly kind = "NotFound";
}

export class AlreadyExists extends DomainError {
  readonly kind = "AlreadyExists";
}

export class FailedPrecondition extends DomainError {
  readonly kind = "FailedPrecondition";
  readonly violations: readonly PreconditionViolation[];

  constructor(
    message: string,
    options: DomainErrorOptions & { readonly violations?: readonly PreconditionViolation[] },
  ) {
    super(message, options);
    this.violations = options.violations ?? [];
  }
}

export class Aborted extends DomainError {
  readonly kind = "Aborted";
}

/** A limit is full; retryAfterMs says when it is worth coming back. */
export class ResourceExhausted extends DomainError {
  readonly kind = "ResourceExhausted";
  readonly retryAfterMs: number;

  constructor(message: string, options: DomainErrorOptions & { readonly retryAfterMs: number }) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Nothing was done, or what was done is safe to repeat after retryAfterMs. */
export class Unavailable extends DomainError {
  readonly kind = "Unavailable";
  readonly retryAfterMs: number;

  constructor(message: string, options: DomainErrorOptions & { readonly retryAfterMs: number }) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

export class DeadlineExceeded extends DomainError {
  readonly kind = "DeadlineExceeded";
}

export class Cancelled extends DomainError {
  readonly kind = "Cancelled";
}

export class Unauthenticated extends DomainError {
  readonly kind = "Unauthenticated";
}

export class PermissionDenied extends DomainError {
  readonly kind = "PermissionDenied";
}

export class DataLoss extends DomainError {
  readonly kind = "DataLoss";
}

export class Unimplemented extends DomainError {
  readonly kind = "Unimplemented";
}

/** A failure that is ours or the model's; the message is fit for the caller. */
export class Internal extends DomainError {
  readonly kind = "Internal";
}
