// How a failure looks on the web: as a Connect error whose details a browser can read, or as the
// `{"error": "..."}` of the inference protocol's REST form with an HTTP status. What the failure is
// was decided in common/errors; what nobody foresaw says nothing but that it happened.

import { createRegistry } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Code as StatusCode } from "../../gen/google/rpc/code_pb.js";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
import { DomainError } from "../common/errors/domain-error.ts";
import { isForeseen, toStatus } from "../common/errors/status.ts";

const registry = createRegistry(file_google_rpc_error_details);

/** What is not a code of its own in HTTP is 400 or 500. 499 is nginx's "client closed request". */
const HTTP_STATUS: Readonly<Record<number, number>> = {
  [StatusCode.CANCELLED]: 499,
  [StatusCode.INVALID_ARGUMENT]: 400,
  [StatusCode.OUT_OF_RANGE]: 400,
  [StatusCode.FAILED_PRECONDITION]: 400,
  [StatusCode.NOT_FOUND]: 404,
  [StatusCode.ALREADY_EXISTS]: 409,
  [StatusCode.ABORTED]: 409,
  [StatusCode.UNAUTHENTICATED]: 401,
  [StatusCode.PERMISSION_DENIED]: 403,
  [StatusCode.RESOURCE_EXHAUSTED]: 429,
  [StatusCode.UNIMPLEMENTED]: 501,
  [StatusCode.UNAVAILABLE]: 503,
  [StatusCode.DEADLINE_EXCEEDED]: 504,
};

/** A refusal that HTTP has its own status for: 404, 405, 408, 413, 415. */
export class HttpFailure extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export interface FailureResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: string;
  /** The lower-case name of the gRPC code, as Connect writes it; absent for an HttpFailure. */
  readonly code?: string;
}

/** Anything thrown as an HTTP answer. */
export function httpFailure(thrown: unknown): FailureResponse {
  if (thrown instanceof HttpFailure) {
    return thrown;
  }
  const status = toStatus(thrown);
  const headers: Record<string, string> = {};
  if (thrown instanceof DomainError && "retryAfterMs" in thrown) {
    headers["retry-after"] = String(Math.max(1, Math.ceil(Number(thrown.retryAfterMs) / 1000)));
  }
  if (status.code === StatusCode.UNAUTHENTICATED) {
    headers["www-authenticate"] = "Bearer";
  }
  return {
    status: HTTP_STATUS[status.code] ?? 500,
    headers,
    message: status.message,
    code: (StatusCode[status.code] ?? "UNKNOWN").toLowerCase(),
  };
}

/** Anything thrown as a Connect error, with the google.rpc details that gRPC clients get. */
export function connectFailure(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) {
    return thrown;
  }
  if (isAbort(thrown)) {
    return new ConnectError("The caller cancelled the call or went away.", Code.Canceled);
  }
  const status = toStatus(thrown);
  const details = status.details.flatMap((any) => {
    const value = anyUnpack(any, registry);
    const desc = value && registry.getMessage(value.$typeName);
    return value === undefined || desc === undefined ? [] : [{ desc, value }];
  });
  return new ConnectError(status.message, status.code as number as Code, undefined, details);
}

/** Whether this failure is to be logged: a fault of ours, not an answer. */
export function isUnforeseen(thrown: unknown): boolean {
  return !(
    isForeseen(thrown) ||
    thrown instanceof HttpFailure ||
    thrown instanceof ConnectError ||
    isAbort(thrown)
  );
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "AbortError";
}
