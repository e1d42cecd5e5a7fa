// What the gateway tells of each request: a server span whose parent is the caller's, and a
// duration under OpenTelemetry's names for HTTP servers. Without an SDK all of it does nothing.

import {
  type Context,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { extractTrace } from "../common/telemetry/propagation.ts";
import type { WebRequest } from "./web-port.ts";

const SCOPE = "plinth.gateway";

/** Methods that stand as they are in a metric; a caller could invent any number of others. */
const METHODS = new Set(["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"]);

/** Seconds; the boundaries that the semantic conventions advise. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export interface RequestEvent {
  /** The trace that calls made for the request belong to. */
  readonly trace: Context;
  /** The request was answered with `status`; `route` is absent for paths that lead nowhere. */
  end(answer: { readonly route: string | undefined; readonly status: number }): void;
}

/** Begins the events of requests; made once the telemetry is started. */
export function requestEvents(): (request: WebRequest) => RequestEvent {
  const tracer = trace.getTracer(SCOPE);
  const duration = metrics.getMeter(SCOPE).createHistogram("http.server.request.duration", {
    description: "Duration of HTTP server requests.",
    unit: "s",
    advice: { explicitBucketBoundaries: BOUNDARIES },
  });
  return (request) => {
    const startMs = performance.now();
    const method = METHODS.has(request.method ?? "") ? String(request.method) : "_OTHER";
    const parent = extractTrace((name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    });
    const span: Span = tracer.startSpan(method, { kind: SpanKind.SERVER }, parent);
    return {
      trace: trace.setSpan(parent, span),
      end({ route, status }) {
        const attributes = {
          "http.request.method": method,
          "http.response.status_code": status,
          "url.scheme": "http",
          ...(route === undefined ? {} : { "http.route": route }),
        };
        duration.record((performance.now() - startMs) / 1000, attributes);
        span.setAttributes(attributes);
        span.updateName(route === undefined ? method : `${method} ${route}`);
        if (status >= 500) {
          span.setStatus({ code: SpanStatusCode.ERROR });
        }
        span.end();
      },
    };
  };
}
