import { metrics, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { createLogger } from "./log.ts";
import { extractTrace, injectTrace } from "./propagation.ts";
import { startTelemetry } from "./start.ts";
import { telemetryConfig, useOtlpReceiver } from "./testing.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const named = { serviceName: "plinth-test", serviceVersion: "1.2.3" };

describe("telemetry", () => {
  it.each(["http/protobuf", "grpc"] as const)(
    "sends spans with parents and links, and metrics, over %s",
    async (protocol) => {
      const receiver = await useOtlpReceiver(protocol);
      const env = {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=ci",
      };
      const telemetry = await startTelemetry({ ...named, config: telemetryConfig(env) });
      const tracer = trace.getTracer("plinth.test");
      const caller = extractTrace((name) => (name === "traceparent" ? PARENT : undefined));
      const rpc = tracer.startSpan("rpc", { kind: SpanKind.SERVER }, caller);
      const queue = tracer.startSpan("queue", {}, trace.setSpan(ROOT_CONTEXT, rpc));
      const other = tracer.startSpan("other", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
      const links = [rpc, other].map((span) => ({ context: span.spanContext() }));
      const batch = tracer.startSpan("batch", { links, attributes: { rows: 2 } }, ROOT_CONTEXT);
      batch.setStatus({ code: SpanStatusCode.ERROR });
      for (const span of [batch, queue, other, rpc]) {
        span.end();
      }
      metrics.getMeter("plinth.test").createCounter("plinth.test.events").add(1);
      await telemetry[Symbol.asyncDispose]();

      expect(receiver.spans.map((span) => span.name)).toEqual(["batch", "queue", "other", "rpc"]);
      const rpcSpan = await receiver.span("rpc");
      expect(rpcSpan).toMatchObject({
        service: "plinth-test",
        scope: "plinth.test",
        kind: 2,
        traceId: "0af7651916cd43dd8448eb211c80319c",
        parentSpanId: "b7ad6b7169203331",
      });
      const { traceId, spanId } = rpcSpan;
      expect(await receiver.span("queue")).toMatchObject({
        traceId,
        parentSpanId: spanId,
        kind: 1,
      });
      const otherSpan = await receiver.span("other");
      expect(otherSpan.parentSpanId).toBe("");
      expect(otherSpan.traceId).not.toBe(traceId);
      expect(await receiver.span("batch")).toMatchObject({
        parentSpanId: "",
        attributes: { rows: 2 },
        statusCode: 2,
        links: [
          { traceId, spanId },
          { traceId: otherSpan.traceId, spanId: otherSpan.spanId },
        ],
      });
      expect([...receiver.metricNames]).toEqual(
        expect.arrayContaining(["plinth.test.events", "process.memory.usage"]),
      );
    },
  );

  it("records no spans without an endpoint, yet passes a caller's trace on", async () => {
    await using _telemetry = await startTelemetry({ ...named, config: telemetryConfig() });
    const tracer = trace.getTracer("plinth.silent");
    expect(tracer.startSpan("root", {}, ROOT_CONTEXT).isRecording()).toBe(false);
    const caller = extractTrace((name) => (name === "traceparent" ? PARENT : undefined));
    const span = tracer.startSpan("rpc", {}, caller);
    expect(injectTrace(trace.setSpan(caller, span))).toEqual({ traceparent: PARENT });
  });

  it("follows the sampling decision of the caller and its own share", async () => {
    const receiver = await useOtlpReceiver();
    const env = {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.endpoint}/v1/traces`,
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0",
    };
    const telemetry = await startTelemetry({ ...named, config: telemetryConfig(env) });
    const tracer = trace.getTracer("plinth.sampled");
    tracer.startSpan("own", {}, ROOT_CONTEXT).end();
    const caller = extractTrace((name) => (name === "traceparent" ? PARENT : undefined));
    tracer.startSpan("asked for", {}, caller).end();
    await telemetry[Symbol.asyncDispose]();
    expect(receiver.spans.map((span) => span.name)).toEqual(["asked for"]);
    expect(receiver.metricNames.size).toBe(0);
  });

  it("renders Prometheus text with latency buckets and the process's figures", async () => {
    await using telemetry = await startTelemetry({ ...named, config: telemetryConfig() });
    const meter = metrics.getMeter("plinth.test");
    meter.createHistogram("plinth.test.duration", { unit: "s" }).record(0.0003, { model: 'a"b' });
    meter.createHistogram("plinth.test.rows", { unit: "{row}" }).record(3);
    const text = await telemetry.metricsText();
    expect(text).toContain('target_info{service_instance_id="');
    expect(text).toContain('plinth_test_duration_bucket{model="a\\"b",le="0.00025"} 0\n');
    expect(text).toContain('plinth_test_duration_bucket{model="a\\"b",le="0.0005"} 1\n');
    expect(text).toContain('plinth_test_duration_bucket{model="a\\"b",le="10"} 1\n');
    expect(text).toContain('plinth_test_rows_bucket{le="5"} 1\n');
    const resident = Number(/^process_memory_usage (\S+)$/m.exec(text)?.[1]);
    expect(resident).toBeGreaterThan(10_000_000);
    expect(text).toMatch(/^nodejs_eventloop_delay_p99 \d/m);
    expect(text).toMatch(/^process_cpu_time_total\{cpu_mode="user"\} \d/m);
    expect(text.endsWith("\n")).toBe(true);
  });

  it("is shared by two starts and ends with the last", async () => {
    const first = await startTelemetry({ ...named, config: telemetryConfig() });
    const second = await startTelemetry({
      ...named,
      serviceName: "ignored",
      config: telemetryConfig(),
    });
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    metrics.getMeter("plinth.test").createCounter("plinth.test.shared").add(7);
    expect(await second.metricsText()).toContain("plinth_test_shared_total 7\n");
    await second[Symbol.asyncDispose]();
    await using third = await startTelemetry({ ...named, config: telemetryConfig() });
    expect(await third.metricsText()).not.toContain("plinth_test_shared");
  });

  it("names every OTEL_ variable at fault", () => {
    const env = { OTEL_TRACES_SAMPLER: "sometimes", OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" };
    expect(() => telemetryConfig(env)).toThrow(
      /OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318"[\s\S]*OTEL_TRACES_SAMPLER is "sometimes"/,
    );
  });

  it("ends though no collector answers, and logs that", async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const log = createLogger({ service: "test", level: "info", pretty: false, write });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
    const telemetry = await startTelemetry({ ...named, config: telemetryConfig(env), log });
    trace.getTracer("plinth.lost").startSpan("lost", {}, ROOT_CONTEXT).end();
    await telemetry[Symbol.asyncDispose]();
    expect(lines.join("")).toMatch(/"level":"warn".*it is lost.*no answer within 3000 ms/);
  });
});
