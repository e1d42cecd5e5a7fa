// W3C trace context to and from headers. Contexts are handed from function to function, so nothing
// here looks at an ambient "active" one. Uses no SDK: it also works, cheaply, when tracing is off,
// so that a caller's trace passes through a mesh that exports none.

import {
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from "@opentelemetry/api";
import { TRACE_PARENT_HEADER, W3CTraceContextPropagator } from "@opentelemetry/core";

const propagator = new W3CTraceContextPropagator();

type GetHeader = (name: string) => string | undefined;

const getter: TextMapGetter<GetHeader> = {
  get: (getHeader, name) => getHeader(name),
  // Only asked for by propagators of variable header names, which this one is not.
  keys: () => [],
};

const setter: TextMapSetter<Record<string, string>> = {
  set: (headers, name, value) => {
    headers[name] = value;
  },
};

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * The context of the caller's span, from `traceparent` and `tracestate`. Without them, or when they
 * are malformed, the root context: the call begins a trace of its own.
 */
export function extractTrace(getHeader: GetHeader): Context {
  return getHeader(TRACE_PARENT_HEADER) === undefined
    ? ROOT_CONTEXT
    : propagator.extract(ROOT_CONTEXT, getHeader, getter);
}

/**
 * The headers that make the context's span the parent of what the callee does; none without one.
 */
export function injectTrace(context: Context): Readonly<Record<string, string>> {
  const span = trace.getSpanContext(context);
  if (span === undefined || !isSpanContextValid(span)) {
    return NO_HEADERS;
  }
  const headers: Record<string, string> = {};
  propagator.inject(context, headers, setter);
  return headers;
}
