import { createRegistry } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createGrpcTransport,
  createConnectTransport as createNodeTransport,
} from "@connectrpc/connect-node";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { describe, expect, it, onTestFinished } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { GRPCInferenceService } from "../../gen/inference/grpc_service_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { Channel, createClient as createGrpcClient } from "../common/rpc/client.ts";
import { useGateway } from "./testing.ts";

const TRANSPORTS: readonly (readonly [string, (baseUrl: string) => Transport])[] = [
  ["Connect JSON", (baseUrl) => createConnectTransport({ baseUrl })],
  ["Connect binary", (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true })],
  ["Connect GET", (baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true })],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl })],
  ["Connect on HTTP/2", (baseUrl) => createNodeTransport({ baseUrl, httpVersion: "2" })],
  ["gRPC on HTTP/2", (baseUrl) => createGrpcTransport({ baseUrl })],
];

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}

describe.each(TRANSPORTS)("gateway over %s", (_name, transportOf) => {
  it("carries a unary call there and back", async () => {
    const { url, seen } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const rows = [{ radius: 17.5, tags: ["a", null, true] }];
    const response = await client.predict({ deployment: "echo", id: "a", rows });
    expect(response.id).toBe("a");
    expect(response.predictions.map((p) => p.outputs)).toEqual(rows);
    expect(seen.context?.path).toBe("/plinth.inference.v1.InferenceService/Predict");
  });

  it("carries a server stream", async () => {
    const { url } = await useGateway();
    const client = createClient(DeploymentService, transportOf(url));
    const events = await collect(client.watchDeployments({ resumeToken: "t" }));
    expect(events.map((e) => e.resumeToken)).toEqual(["t1", "t2", "t3"]);
  });

  it("brings errors with their google.rpc details", async () => {
    const { url } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const error = ConnectError.from(
      await client.predict({ deployment: "bad" }).catch((e: unknown) => e),
    );
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toBe("rows must not be empty");
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "INVALID_FIELD", domain: "plinth", metadata: { rows: "0" } },
    ]);
    expect(error.findDetails(BadRequestSchema)).toMatchObject([
      { fieldViolations: [{ field: "rows", description: "at least 1" }] },
    ]);
  });

  it("hands credentials, workspace and trace on, and nothing else", async () => {
    const { url, seen } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const headers = {
      authorization: "Bearer k.s",
      "plinth-workspace": "w",
      traceparent,
      tracestate: "a=b",
      "x-secret": "1",
      cookie: "c=1",
    };
    await client.predict({ deployment: "echo" }, { headers });
    const header = (name: string): string | undefined => seen.context?.header(name);
    expect(header("authorization")).toBe("Bearer k.s");
    expect(header("plinth-workspace")).toBe("w");
    expect(header("traceparent")).toBe(traceparent);
    expect(header("tracestate")).toBe("a=b");
    expect(header("x-secret")).toBeUndefined();
    expect(header("cookie")).toBeUndefined();
  });

  it("hands the deadline on, and says when it passed", async () => {
    const { url, seen } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const before = Date.now();
    await client.predict({ deployment: "echo" }, { timeoutMs: 5_000_000 });
    const deadlineMs = seen.context?.deadlineMs ?? 0;
    expect(deadlineMs).toBeGreaterThan(before + 4_900_000);
    expect(deadlineMs).toBeLessThan(Date.now() + 5_000_001);
    await expect(client.predict({ deployment: "wait" }, { timeoutMs: 100 })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
    await expect.poll(() => seen.waiting).toBe(0);
  });

  it("cancels the call behind when the caller leaves", async () => {
    const { url, seen } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const caller = new AbortController();
    const call = client.predict({ deployment: "wait" }, { signal: caller.signal });
    await expect.poll(() => seen.waiting).toBe(1);
    caller.abort();
    await expect(call).rejects.toMatchObject({ code: Code.Canceled });
    await expect.poll(() => seen.aborted).toEqual(["Cancelled"]);
  });

  it("cancels the stream behind when the caller leaves", async () => {
    const { url, seen } = await useGateway();
    const client = createClient(DeploymentService, transportOf(url));
    const caller = new AbortController();
    const stream = client.watchDeployments({ resumeToken: "stay" }, { signal: caller.signal });
    const read = collect(stream);
    await expect.poll(() => seen.waiting).toBe(1);
    caller.abort();
    await expect(read).rejects.toMatchObject({ code: Code.Canceled });
    await expect.poll(() => seen.aborted).toEqual(["Cancelled"]);
  });

  it("tells nothing of what nobody foresaw", async () => {
    const { url } = await useGateway();
    const client = createClient(GRPCInferenceService, transportOf(url));
    const call = client.modelMetadata({ name: "broken" });
    await expect(call).rejects.toMatchObject({ code: Code.Internal });
    await expect(call).rejects.not.toThrow(/secret/);
  });
});

describe.each(TRANSPORTS.filter(([name]) => name !== "Connect GET"))(
  "gateway limits over %s",
  (_name, transportOf) => {
    it("refuses a body beyond the limit in words, and forgets the request", async () => {
      const { url, unforeseen } = await useGateway({ bodyBytesMax: 10_000, requestsMax: 1 });
      const client = createClient(InferenceService, transportOf(url));
      const call = client.predict({ deployment: "echo", id: "x".repeat(300_000) });
      await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
      await expect(call).rejects.toThrow(/10000/);
      const again = () =>
        client.predict({ deployment: "echo", id: "after" }).catch(() => ({ id: "" }));
      await expect.poll(async () => (await again()).id).toBe("after");
      expect(unforeseen).toEqual([]);
    });
  },
);

describe.each(TRANSPORTS.slice(4))("gateway streams over %s", (_name, transportOf) => {
  it("carries both directions at once", async () => {
    const { url } = await useGateway();
    const client = createClient(InferenceService, transportOf(url));
    const gate = Promise.withResolvers<void>();
    async function* requests() {
      yield { request: { id: "1" } };
      await gate.promise;
      yield { request: { id: "2", deployment: "bad" } };
    }
    const got: string[] = [];
    for await (const { id } of client.streamPredict(requests())) {
      got.push(id);
      gate.resolve();
    }
    expect(got).toEqual(["1", "2"]);
  });

  it("carries a client stream", async () => {
    const { url } = await useGateway();
    const client = createClient(ModelService, transportOf(url));
    async function* requests() {
      for (let i = 0; i < 20; i += 1) {
        yield { payload: { case: "chunk" as const, value: new Uint8Array(100_000) } };
      }
    }
    expect((await client.uploadArtifact(requests())).name).toBe("2000000");
  });
});

describe("gateway", () => {
  it("serves a grpc-js client on the same port", async () => {
    const { gateway } = await useGateway();
    const channel = new Channel({ address: gateway.address });
    onTestFinished(() => channel[Symbol.dispose]());
    const client = createGrpcClient(GRPCInferenceService, channel);
    expect((await client.serverMetadata({})).name).toBe("plinth");
    async function* requests() {
      yield { modelName: "echo", id: "1" };
      yield { modelName: "echo", id: "2" };
    }
    const answers = await collect(client.modelStreamInfer(requests()));
    expect(answers.map((a) => a.inferResponse?.id)).toEqual(["1", "2"]);
  });

  it("writes the details of a stream's errors in JSON", async () => {
    const { url } = await useGateway();
    const transport = createNodeTransport({
      baseUrl: url,
      httpVersion: "2",
      useBinaryFormat: false,
      jsonOptions: { registry: createRegistry(ErrorInfoSchema) },
    });
    const client = createClient(InferenceService, transport);
    async function* requests() {
      yield { request: { id: "1", deployment: "bad" } };
    }
    const [answer] = await collect(client.streamPredict(requests()));
    const details = answer?.result.case === "error" ? answer.result.value.details : [];
    expect(details.map((any) => anyUnpack(any, ErrorInfoSchema)?.reason)).toEqual([
      "INVALID_FIELD",
    ]);
  });

  it("answers curl in plain JSON, and GET without a body", async () => {
    const { url } = await useGateway();
    const path = "/plinth.inference.v1.InferenceService/Predict";
    const body = JSON.stringify({ deployment: "echo", id: "c", rows: [{ a: 1 }] });
    const posted = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(await posted.json()).toEqual({ id: "c", predictions: [{ outputs: { a: 1 } }] });
    const query = new URLSearchParams({ connect: "v1", encoding: "json", message: body });
    const got = await fetch(`${url}${path}?${query}`);
    expect(await got.json()).toEqual({ id: "c", predictions: [{ outputs: { a: 1 } }] });
    expect(got.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("says which service is away when nothing answers behind it", async () => {
    const { url, server } = await useGateway();
    await server[Symbol.asyncDispose]();
    const transport = createConnectTransport({ baseUrl: url });
    const call = createClient(InferenceService, transport).predict({}, { timeoutMs: 3000 });
    const error = ConnectError.from(await call.catch((e: unknown) => e));
    expect([Code.Unavailable, Code.DeadlineExceeded]).toContain(error.code);
  });
});
