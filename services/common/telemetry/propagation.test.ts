import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { extractTrace, injectTrace } from "./propagation.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function from(headers: Record<string, string>) {
  return extractTrace((name) => headers[name]);
}

describe("propagation", () => {
  it("reads the caller's span and writes it again, trace state and all", () => {
    const context = from({ traceparent: PARENT, tracestate: "vendor=a,other=b" });
    expect(trace.getSpanContext(context)).toMatchObject({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      isRemote: true,
    });
    expect(injectTrace(context)).toEqual({ traceparent: PARENT, tracestate: "vendor=a,other=b" });
  });

  it.each([
    [{}],
    [{ tracestate: "vendor=a" }],
    [{ traceparent: "" }],
    [{ traceparent: "00-00000000000000000000000000000000-b7ad6b7169203331-01" }],
    [{ traceparent: PARENT.slice(0, -1) }],
  ])("begins a new trace with %o", (headers: Record<string, string>) => {
    expect(trace.getSpanContext(from(headers))).toBeUndefined();
    expect(injectTrace(from(headers))).toEqual({});
  });

  it("writes nothing for a context without a span", () => {
    expect(injectTrace(ROOT_CONTEXT)).toEqual({});
  });
});
