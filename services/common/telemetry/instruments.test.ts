import { AssertionError } from "node:assert";
import { describe, expect, it } from "vitest";
import { collectInstruments, counter, gauge, histogram } from "./instruments.ts";
import { startTelemetry } from "./start.ts";
import { telemetryConfig, useOtlpReceiver } from "./testing.ts";

const named = { serviceName: "plinth-test", serviceVersion: "1" };

function spec(name: string) {
  return { name, description: "For a test.", unit: "1" };
}

function seriesOf(name: string): readonly unknown[] {
  const found = collectInstruments().find((one) => one.spec.name === name);
  return (found?.series ?? []).map(({ attributes, value }) => ({ attributes, value }));
}

describe("instruments", () => {
  it("puts a value on a boundary into the bucket below it", () => {
    const sizes = histogram({ ...spec("test.sizes"), boundaries: [1, 2, 4] }).bind({ m: "a" });
    for (const value of [0, 1, 1.5, 2, 4, 5, 100]) {
      sizes.record(value);
    }
    const value = {
      boundaries: [1, 2, 4],
      counts: [2, 2, 1, 2],
      count: 7,
      sum: 113.5,
      min: 0,
      max: 100,
    };
    expect(seriesOf("test.sizes")).toEqual([{ attributes: { m: "a" }, value }]);
  });

  it("binds equal attributes to one series and forgets it on release", () => {
    const events = counter(spec("test.events"));
    events.bind({ a: 1, b: "x" }).add(2);
    counter(spec("test.events")).bind({ b: "x", a: 1 }).add(3);
    events.bind({ a: 1, b: "y" }).add(1);
    expect(seriesOf("test.events")).toEqual([
      { attributes: { a: 1, b: "x" }, value: 5 },
      { attributes: { a: 1, b: "y" }, value: 1 },
    ]);
    events.release({ a: 1, b: "x" });
    expect(seriesOf("test.events")).toEqual([{ attributes: { a: 1, b: "y" }, value: 1 }]);
    events.bind({ a: 2, b: "y" }).add(1);
    events.release({ a: 1 });
    expect(seriesOf("test.events")).toEqual([{ attributes: { a: 2, b: "y" }, value: 1 }]);
  });

  it("keeps at most 2000 series and one for all others", () => {
    const many = counter(spec("test.many"));
    for (let index = 0; index < 2500; index += 1) {
      many.bind({ index }).add(1);
    }
    many.bind({ index: 0 }).add(1);
    const series = seriesOf("test.many");
    expect(series).toHaveLength(2001);
    expect(series[0]).toEqual({ attributes: { index: 0 }, value: 2 });
    expect(series.at(-1)).toEqual({ attributes: { "otel.metric.overflow": true }, value: 500 });
  });

  it("refuses a name that is another kind, and boundaries that do not ascend", () => {
    counter(spec("test.kind"));
    expect(() => gauge(spec("test.kind"))).toThrow(AssertionError);
    const tangled = histogram({ ...spec("test.tangled"), boundaries: [1, 1] });
    expect(() => tangled.bind({})).toThrow(AssertionError);
  });

  it("is served and sent with the rest, also what was recorded before the start", async () => {
    const receiver = await useOtlpReceiver();
    const depth = gauge({ ...spec("test.depth"), unit: "{request}" }).bind({ q: "main" });
    depth.set(5);
    depth.add(-2);
    histogram({ ...spec("test.wait"), boundaries: [0.5, 1] })
      .bind({})
      .record(0.75);
    counter(spec("test.drops")).bind({ reason: "deadline" }).add(4);
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
    const telemetry = await startTelemetry({ ...named, config: telemetryConfig(env) });
    const text = await telemetry.metricsText();
    await telemetry[Symbol.asyncDispose]();
    expect(text).toContain('# TYPE test_depth gauge\ntest_depth{q="main"} 3\n');
    expect(text).toContain(
      '# TYPE test_drops_total counter\ntest_drops_total{reason="deadline"} 4',
    );
    expect(text).toContain('test_wait_count 1\ntest_wait_sum 0.75\ntest_wait_bucket{le="0.5"} 0\n');
    expect(text).toContain('test_wait_bucket{le="1"} 1\ntest_wait_bucket{le="+Inf"} 1\n');
    expect([...receiver.metricNames]).toEqual(
      expect.arrayContaining(["test.depth", "test.wait", "test.drops", "v8js.memory.heap.used"]),
    );
  });
});
