// What of a caller's request goes on to the service behind: credentials, workspace, trace and
// deadline, as they came. The gateway adds nothing but its span; it has no rights of its own.

import type { IncomingHttpHeaders } from "node:http";
import type { Context } from "@opentelemetry/api";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { injectTrace } from "../common/telemetry/propagation.ts";

/** The only request headers that services see. */
const FORWARDED = ["authorization", "plinth-workspace", "traceparent", "tracestate"] as const;

const GRPC_UNIT_MS: Readonly<Record<string, number>> = {
  n: 1e-6,
  u: 1e-3,
  m: 1,
  S: 1000,
  M: 60_000,
  H: 3_600_000,
};

/**
 * Headers for the service. Under telemetry the trace is the gateway's span, a child of the
 * caller's.
 */
export function forwardedHeaders(
  header: (name: string) => string | undefined,
  trace: Context,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = header(name);
    if (value !== undefined) {
      headers[name] = value;
    }
  }
  return { ...headers, ...injectTrace(trace) };
}

/**
 * The deadline that a REST caller set with `connect-timeout-ms` or `grpc-timeout`, in milliseconds.
 * @throws InvalidArgument when it cannot be read.
 */
export function callerTimeoutMs(headers: IncomingHttpHeaders): number | undefined {
  const connect = headers["connect-timeout-ms"];
  if (connect !== undefined) {
    if (typeof connect === "string" && /^\d{1,10}$/.test(connect)) {
      return Number(connect);
    }
    throw badTimeout("connect-timeout-ms", connect, 'up to 10 digits, in milliseconds ("1500")');
  }
  const grpc = headers["grpc-timeout"];
  if (grpc === undefined) {
    return undefined;
  }
  const parts = typeof grpc === "string" ? /^(\d{1,8})([HMSmun])$/.exec(grpc) : null;
  if (parts === null) {
    throw badTimeout(
      "grpc-timeout",
      grpc,
      'up to 8 digits and a unit of H, M, S, m, u, n ("1500m")',
    );
  }
  return Math.ceil(Number(parts[1]) * GRPC_UNIT_MS[parts[2] ?? ""]!);
}

function badTimeout(name: string, value: string | string[], expected: string): InvalidArgument {
  const description = `is ${JSON.stringify(String(value).slice(0, 100))}; expected ${expected}`;
  return new InvalidArgument(`The header ${name} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: name, description }],
  });
}
