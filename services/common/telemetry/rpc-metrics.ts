// Rate, errors and duration of RPCs, served and made, under the OpenTelemetry semantic-convention
// names. Series are bound once for each method and status, so a call costs some tens of
// nanoseconds.

import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_CLIENT_CALL_DURATION,
  METRIC_RPC_SERVER_CALL_DURATION,
  RPC_SYSTEM_NAME_VALUE_GRPC,
} from "@opentelemetry/semantic-conventions";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { LATENCY_BOUNDARIES_S } from "./buckets.ts";
import {
  type GaugeSeries,
  gauge,
  type HistogramSeries,
  histogram,
  type Instrument,
} from "./instruments.ts";

/** Codes that are a server's own failure; with the others it answered as it should. */
export const SERVER_FAULTS: ReadonlySet<number> = new Set([
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]);

/** One method's figures; got once when the method is bound, used for each call. */
export interface RpcMethodMetrics {
  /** A call began. */
  begin(): void;
  /** That call ended with a gRPC status code (0 to 16) after this time. */
  end(statusCode: number, durationMs: number): void;
}

export interface RpcMetrics {
  /**
   * `path`: "/package.Service/Method" of a known method: callers could invent any number of others.
   */
  method(path: string): RpcMethodMetrics;
}

/** The figures of one side, shared by all servers or clients of the process. */
export function createRpcMetrics(side: "server" | "client"): RpcMetrics {
  const server = side === "server";
  const duration = histogram({
    name: server ? METRIC_RPC_SERVER_CALL_DURATION : METRIC_RPC_CLIENT_CALL_DURATION,
    description: server ? "Duration of RPCs served." : "Duration of RPCs made.",
    unit: "s",
    boundaries: LATENCY_BOUNDARIES_S,
  });
  const active = gauge({
    name: `plinth.rpc.${side}.active_calls`,
    description: `RPCs in progress, ${server ? "served" : "made"} by this process.`,
    unit: "{call}",
  });
  const isFault = (code: number): boolean => (server ? SERVER_FAULTS.has(code) : code !== Code.OK);
  const methods = new Map<string, RpcMethodMetrics>();
  return {
    method(path) {
      let method = methods.get(path);
      if (method === undefined) {
        method = methodMetrics(path.replace(/^\//, ""), duration, active, isFault);
        methods.set(path, method);
      }
      return method;
    },
  };
}

function methodMetrics(
  method: string,
  duration: Instrument<HistogramSeries>,
  active: Instrument<GaugeSeries>,
  isFault: (code: number) => boolean,
): RpcMethodMetrics {
  const attributes = {
    [ATTR_RPC_SYSTEM_NAME]: RPC_SYSTEM_NAME_VALUE_GRPC,
    [ATTR_RPC_METHOD]: method,
  };
  const activeCalls = active.bind(attributes);
  // Bound when a code first occurs: most methods see three of the seventeen.
  const byCode: (HistogramSeries | undefined)[] = [];
  const bindCode = (statusCode: number): HistogramSeries => {
    const known = Code[statusCode] === undefined ? Code.UNKNOWN : statusCode;
    const name = Code[known]!;
    const failed = isFault(known) ? { [ATTR_ERROR_TYPE]: name } : {};
    byCode[known] ??= duration.bind({ ...attributes, [ATTR_RPC_STATUS_CODE]: name, ...failed });
    return byCode[known];
  };
  return {
    begin: () => activeCalls.add(1),
    end(statusCode, durationMs) {
      activeCalls.add(-1);
      (byCode[statusCode] ?? bindCode(statusCode)).record(durationMs / 1000);
    },
  };
}
