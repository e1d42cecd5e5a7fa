// One trace from a browser's call to the run of the model, as a real OTLP receiver gets it.

import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type ReceivedSpan, useOtlpReceiver } from "../../services/common/telemetry/testing.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { clientsOn, collect, rowsOf, serveModel } from "./use-models.ts";

const SERVER = 2;
const CLIENT = 3;
const PREDICT = "plinth.inference.v1.InferenceService/Predict";

async function useTracedMesh() {
  const receiver = await useOtlpReceiver();
  const mesh = await useChildMesh({
    dataDir: useFolder(),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: receiver.protocol,
      OTEL_BSP_SCHEDULE_DELAY: "200",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
    },
  });
  await serveModel(clientsOn(mesh.channel), "linear", linearModel());
  return { receiver, mesh };
}

function only(spans: readonly ReceivedSpan[], what: string): ReceivedSpan {
  expect(spans, what).toHaveLength(1);
  return spans[0]!;
}

describe("a trace", () => {
  it("goes from the web port through gateway, queue and batch to the run", async () => {
    const { receiver, mesh } = await useTracedMesh();
    const traceId = randomBytes(16).toString("hex");
    const callerSpan = randomBytes(8).toString("hex");
    const response = await fetch(`${mesh.webUrl}/${PREDICT}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${traceId}-${callerSpan}-01`,
      },
      body: JSON.stringify({ deployment: "linear", rows: [{ x: [1, 1, 1, 1] }] }),
    });
    expect(response.status).toBe(200);
    const mine = () => receiver.spans.filter((span) => span.traceId === traceId);
    await expect
      .poll(() => mine().map(({ name }) => name), { timeout: 10_000 })
      .toEqual(expect.arrayContaining(["run", "batch", "queue"]));
    await expect.poll(() => mine().length, { timeout: 10_000 }).toBeGreaterThanOrEqual(6);

    const spans = mine();
    const root = only(
      spans.filter(({ parentSpanId }) => parentSpanId === callerSpan),
      "the gateway's server span",
    );
    expect(root).toMatchObject({
      name: `POST /${PREDICT}`,
      kind: SERVER,
      attributes: {
        "http.request.method": "POST",
        "http.route": `/${PREDICT}`,
        "http.response.status_code": 200,
      },
    });
    const childOf = (parent: ReceivedSpan) =>
      spans.filter(({ parentSpanId }) => parentSpanId === parent.spanId);
    const client = only(childOf(root), "the gateway's client span");
    expect(client).toMatchObject({ name: PREDICT, kind: CLIENT });
    const server = only(childOf(client), "the inference server's span");
    expect(server).toMatchObject({
      name: PREDICT,
      kind: SERVER,
      attributes: { "rpc.system.name": "grpc", "rpc.method": PREDICT },
    });
    const inside = childOf(server);
    expect(inside.map(({ name }) => name).sort()).toEqual(["batch", "queue"]);
    const batch = inside.find(({ name }) => name === "batch")!;
    expect(batch.links).toEqual([{ traceId, spanId: server.spanId }]);
    expect(batch.attributes).toMatchObject({
      "plinth.batch.rows": 1,
      "plinth.batch.requests": 1,
      "plinth.model_version": "workspaces/default/models/linear/versions/1",
    });
    const model = only(childOf(batch), "the run");
    expect(model.name).toBe("run");
    for (const span of spans) {
      expect(span.statusCode, span.name).not.toBe(2);
    }
  }, 30_000);

  it("links a batch to every request in it, of other traces too", async () => {
    const { receiver, mesh } = await useTracedMesh();
    const { inference } = clientsOn(mesh.channel);
    const traces = Array.from({ length: 40 }, () => randomBytes(16).toString("hex"));
    await Promise.all(
      traces.map((traceId) =>
        inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]), {
          headers: { traceparent: `00-${traceId}-${randomBytes(8).toString("hex")}-01` },
        }),
      ),
    );
    const batches = () => receiver.spans.filter(({ name }) => name === "batch");
    const linked = () => new Set(batches().flatMap(({ links }) => links.map((l) => l.traceId)));
    await expect.poll(() => linked().size, { timeout: 10_000 }).toBe(traces.length);
    expect(linked()).toEqual(new Set(traces));
    expect(batches().some(({ links }) => links.length > 1)).toBe(true);
    for (const { links, attributes } of batches()) {
      expect(attributes["plinth.batch.requests"]).toBe(links.length);
    }
  }, 30_000);

  it("of a failed call says so, and RED metrics arrive", async () => {
    const { receiver, mesh } = await useTracedMesh();
    const { inference } = clientsOn(mesh.channel);
    async function* requests() {
      yield rowsOf("linear", [[1, 1, 1, 1]]);
    }
    await collect(inference.modelStreamInfer(requests()));
    const traceId = randomBytes(16).toString("hex");
    const headers = { traceparent: `00-${traceId}-${randomBytes(8).toString("hex")}-01` };
    await expect(inference.modelInfer({ modelName: "nobody" }, { headers })).rejects.toThrow();
    const failed = () => receiver.spans.find((span) => span.traceId === traceId);
    await expect.poll(failed, { timeout: 10_000 }).toBeDefined();
    expect(failed()?.attributes).toMatchObject({ "rpc.status_code": "NOT_FOUND" });
    await expect
      .poll(() => [...receiver.metricNames], { timeout: 10_000 })
      .toEqual(
        expect.arrayContaining([
          "rpc.server.call.duration",
          "plinth.inference.request.duration",
          "plinth.inference.queue.depth",
          "plinth.inference.batch.rows",
        ]),
      );
  }, 30_000);
});
