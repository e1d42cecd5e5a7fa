import {
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  type TimeInput,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { describe, expect, it, onTestFinished } from "vitest";
import { lookUp } from "../testing/graphs.ts";
import { loadServable, requestOf, tensorOf } from "../testing/test-servable.ts";

interface Recorded {
  readonly name: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly links: readonly string[];
  readonly options: SpanOptions;
  end: TimeInput | undefined;
  isError: boolean;
}

/** Records what is traced; the SDK lives in common/telemetry alone. */
function recordSpans(): { readonly spans: Recorded[]; readonly tracer: Tracer } {
  const spans: Recorded[] = [];
  const startSpan = (name: string, options: SpanOptions = {}, context: Context = ROOT_CONTEXT) => {
    const recorded: Recorded = {
      name,
      id: String(spans.length + 1).padStart(16, "0"),
      parent: trace.getSpanContext(context)?.spanId,
      links: (options.links ?? []).map((link: Link) => link.context.spanId),
      options,
      end: undefined,
      isError: false,
    };
    spans.push(recorded);
    const own: SpanContext = {
      traceId: "1".padStart(32, "0"),
      spanId: recorded.id,
      traceFlags: TraceFlags.SAMPLED,
    };
    const span: Partial<Span> = {
      isRecording: () => true,
      spanContext: () => own,
      end: (time) => {
        recorded.end = time;
      },
      setStatus: () => {
        recorded.isError = true;
        return span as Span;
      },
    };
    return span as Span;
  };
  const tracer = { startSpan } as Tracer;
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  onTestFinished(() => trace.disable());
  return { spans, tracer };
}

describe("batch-spans", () => {
  it("puts a queue span under each request, a batch linked to all, and a run in it", async () => {
    const { spans, tracer } = recordSpans();
    const servable = await loadServable(lookUp());
    const startMs = Date.now();
    const ask = (name: string): Promise<unknown> => {
      const context = trace.setSpan(ROOT_CONTEXT, tracer.startSpan(name));
      const inputs = [tensorOf("x", "INT64", [1, 1], [1n])];
      return servable.infer(requestOf(servable, inputs, { trace: context }));
    };
    const untraced = requestOf(servable, [tensorOf("x", "INT64", [1, 1], [1n])]);
    await Promise.all([ask("first"), servable.infer(untraced), ask("second")]);
    const shown = spans.map(({ name, parent, links }) => ({ name, parent, links }));
    const [first, second, , , batch] = spans.map((span) => span.id);
    expect(shown).toEqual([
      { name: "first", parent: undefined, links: [] },
      { name: "second", parent: undefined, links: [] },
      { name: "queue", parent: first, links: [] },
      { name: "queue", parent: second, links: [] },
      { name: "batch", parent: first, links: [first, second] },
      { name: "run", parent: batch, links: [] },
    ]);
    expect(spans[4]?.options.attributes).toEqual({
      "plinth.deployment": "test",
      "plinth.model_version": "workspaces/w/models/m/versions/1",
      "plinth.batch.rows": 3,
      "plinth.batch.requests": 3,
    });
    const times = spans
      .slice(2)
      .flatMap((span) => [span.options.startTime, span.end])
      .map(Number);
    const [queueStart, queueEnd, , , batchStart, batchEnd, runStart, runEnd] = times;
    // The epoch is derived from two clocks, of which one counts whole milliseconds.
    const ordered = [startMs - 2, queueStart, queueEnd, runStart, runEnd, batchEnd, Date.now() + 2];
    expect(ordered).toEqual(ordered.toSorted((a, b) => a! - b!));
    expect(batchStart).toBe(queueEnd);
  });

  it("marks a failed run and traces the attempts alone that follow", async () => {
    const { spans, tracer } = recordSpans();
    const servable = await loadServable(lookUp());
    const ask = (index: bigint): Promise<unknown> => {
      const context = trace.setSpan(ROOT_CONTEXT, tracer.startSpan("request"));
      const inputs = [tensorOf("x", "INT64", [1, 1], [index])];
      return servable.infer(requestOf(servable, inputs, { trace: context }));
    };
    await Promise.allSettled([ask(1n), ask(9n)]);
    const batches = spans.filter((span) => span.name === "batch");
    expect(batches.map((span) => [span.links.length, span.isError])).toEqual([
      [2, true],
      [1, false],
      [1, true],
    ]);
  });
});
