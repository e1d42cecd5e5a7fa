// What the rpc layer tells of calls, turned into spans, RED metrics and log records. A span is only
// made where a tracer provider is registered or the caller's trace goes on.

import {
  type Context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  RPC_SYSTEM_NAME_VALUE_GRPC,
} from "@opentelemetry/semantic-conventions";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import type { RpcObserver } from "../rpc/observer.ts";
import type { Logger } from "./log.ts";
import { extractTrace } from "./propagation.ts";
import { createRpcMetrics, SERVER_FAULTS } from "./rpc-metrics.ts";

const TRACER = "plinth.rpc";

const noSpan = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/** The observer of a process's gRPC server. */
export function createServerObserver(log: Logger): RpcObserver {
  const metrics = createRpcMetrics("server");
  return {
    begin(path, header) {
      metrics.method(path).begin();
      const parent = extractTrace(header);
      const span = startSpan(path, SpanKind.SERVER, parent);
      return { span, trace: span === noSpan ? parent : trace.setSpan(parent, span) };
    },
    end({ path, span, code, durationMs }) {
      metrics.method(path).end(code, durationMs);
      endSpan(span, code, { failed: SERVER_FAULTS.has(code) });
    },
    unforeseen(path, error, context) {
      log.error("A call failed in a way nobody foresaw", { path, error }, context);
    },
  };
}

export interface ClientCall {
  /** The context whose headers go with the call. */
  readonly trace: Context;
  end(code: number): void;
}

const clientMetrics = createRpcMetrics("client");

/** To be called when a client begins a call; `end` when it is answered. */
export function beginClientCall(path: string, parent: Context = ROOT_CONTEXT): ClientCall {
  const method = clientMetrics.method(path);
  const startMs = performance.now();
  const span = startSpan(path, SpanKind.CLIENT, parent);
  method.begin();
  let ended = false;
  return {
    trace: span === noSpan ? parent : trace.setSpan(parent, span),
    end(code) {
      if (!ended) {
        ended = true;
        method.end(code, performance.now() - startMs);
        endSpan(span, code, { failed: code !== Code.OK });
      }
    },
  };
}

function startSpan(path: string, kind: SpanKind, parent: Context): Span {
  const span = trace.getTracer(TRACER).startSpan(
    path.slice(1),
    {
      kind,
      attributes: {
        [ATTR_RPC_SYSTEM_NAME]: RPC_SYSTEM_NAME_VALUE_GRPC,
        [ATTR_RPC_METHOD]: path.slice(1),
      },
    },
    parent,
  );
  return span.isRecording() ? span : noSpan;
}

function endSpan(span: Span, code: number, { failed }: { readonly failed: boolean }): void {
  if (span === noSpan) {
    return;
  }
  const name = Code[code] ?? String(code);
  span.setAttribute(ATTR_RPC_STATUS_CODE, name);
  if (failed) {
    span.setAttribute(ATTR_ERROR_TYPE, name);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
