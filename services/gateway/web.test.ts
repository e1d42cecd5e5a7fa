import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { describe, expect, it, onTestFinished } from "vitest";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { parseSettings } from "../common/config.ts";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { Channel } from "../common/rpc/client.ts";
import { startGateway } from "./app.ts";
import { gatewaySettings } from "./config.ts";
import { useGateway } from "./testing.ts";

const PREDICT = "/plinth.inference.v1.InferenceService/Predict";

/** What a bare socket gets for its bytes until the server closes. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = open(port);
  socket.write(bytes);
  return await textOf(socket);
}

function open(port: number): Socket {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return socket;
}

async function textOf(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  await new Promise<void>((resolve) => {
    socket.once("end", resolve);
    socket.once("error", () => resolve());
  });
  return text;
}

describe("gateway pages", () => {
  it("says whether the process lives and whether every service is ready", async () => {
    let ready: boolean | Record<string, boolean> = { registry: true, inference: false };
    const { url } = await useGateway({}, { ready: () => ready });
    const health = await fetch(`${url}/healthz`);
    expect([health.status, await health.json()]).toEqual([200, { status: "alive" }]);
    const not = await fetch(`${url}/readyz`);
    const services = { registry: true, inference: false };
    expect([not.status, await not.json()]).toEqual([503, { status: "not ready", services }]);
    ready = { registry: true, inference: true };
    const is = await fetch(`${url}/readyz`);
    expect([is.status, await is.json()]).toEqual([200, { status: "ready", services: ready }]);
    ready = false;
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
  });

  it("gives the metrics as text, and tells nothing when it cannot", async () => {
    const { url } = await useGateway();
    const metrics = await fetch(`${url}/metrics`);
    expect(metrics.headers.get("content-type")).toContain("text/plain; version=0.0.4");
    expect(await metrics.text()).toContain("up 1");
    const metricsText = async (): Promise<string> => {
      throw new Error("secret path /var/lib");
    };
    const broken = await useGateway({}, { metricsText });
    const failed = await fetch(`${broken.url}/metrics`);
    expect(failed.status).toBe(500);
    expect(await failed.text()).not.toContain("secret");
    expect(broken.unforeseen).toHaveLength(1);
  });

  it("lists what is here, without a script, and hints where nothing is", async () => {
    const { url } = await useGateway();
    const index = await fetch(url);
    expect(index.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await index.text()).toContain("plinth.registry.v1.ModelService");
    for (const path of ["/nothing", "/v2/nothing", "/__proto__", "/v2/models/m/__proto__"]) {
      const missing = await fetch(url + path);
      expect(missing.status).toBe(404);
      expect(missing.headers.get("x-content-type-options")).toBe("nosniff");
      expect(((await missing.json()) as { error: string }).error).toContain(
        "GET / lists what is here",
      );
    }
    const wrong = await fetch(`${url}/v2/models/m/infer`);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await fetch(`${url}/v2/models/%zz`)).status).toBe(400);
    const head = await fetch(`${url}/healthz`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

describe("gateway and web pages", () => {
  const preflight = (url: string, origin: string) =>
    fetch(url + PREDICT, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });

  it("lets pages of this machine call, with the headers of every protocol", async () => {
    const { url } = await useGateway();
    const { status, headers } = await preflight(url, "http://localhost:5173");
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
    expect(headers.get("access-control-allow-methods")).toContain("POST");
    expect(headers.get("vary")).toBe("Origin");
    const allowed = headers.get("access-control-allow-headers")?.toLowerCase();
    for (const name of [
      "connect-protocol-version",
      "connect-timeout-ms",
      "x-grpc-web",
      "authorization",
      "plinth-workspace",
      "traceparent",
      "inference-header-content-length",
    ]) {
      expect(allowed).toContain(name);
    }
    const answer = await fetch(`${url}/v2`, { headers: { origin: "http://[::1]:1" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("http://[::1]:1");
    const exposed = answer.headers.get("access-control-expose-headers")?.toLowerCase();
    expect(exposed).toContain("grpc-status");
    expect(exposed).toContain("inference-header-content-length");
  });

  it("refuses pages of elsewhere until they are allowed", async () => {
    const origin = "https://app.example.com";
    const post = (url: string) =>
      fetch(url + PREDICT, {
        method: "POST",
        headers: { origin, "content-type": "application/json" },
        body: '{"id":"a"}',
      });
    const { url, seen } = await useGateway();
    const refused = await preflight(url, origin);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    expect((await post(url)).status).toBe(403);
    expect(seen.request).toBeUndefined();
    const open = await useGateway({ corsOrigins: [origin] });
    const allowed = await preflight(open.url, origin);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(origin);
    expect((await post(open.url)).status).toBe(200);
    const near = await preflight(open.url, "https://app.example.com.evil.example");
    expect(near.headers.get("access-control-allow-origin")).toBeNull();
    const any = await useGateway({ corsOrigins: ["*"] });
    expect((await post(any.url)).status).toBe(200);
  });

  it("refuses requests that a rebound name brought, and names that are none", async () => {
    const { gateway } = await useGateway();
    const ask = (host: string) =>
      exchange(gateway.port, `GET /v2 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(await ask(`localhost:${gateway.port}`)).toMatch(/^HTTP\/1.1 200/);
    for (const host of ["evil.example:8080", "localhost@evil.example", "[", "a b"]) {
      expect(await ask(host)).toMatch(/^HTTP\/1.1 40[03]/);
    }
    const rpc = await exchange(
      gateway.port,
      `POST ${PREDICT} HTTP/1.1\r\nHost: [\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(rpc).toMatch(/^HTTP\/1.1 403/);
    const named = await useGateway({ allowedHosts: ["plinth.example"] });
    const answer = await exchange(
      named.gateway.port,
      "GET /v2 HTTP/1.1\r\nHost: Plinth.Example:80\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1.1 200/);
  });
});

describe("gateway limits", () => {
  it("closes connections that send no headers, or send them drop by drop", async () => {
    const { gateway } = await useGateway({ headersTimeoutMs: 200 });
    expect(await textOf(open(gateway.port))).toBe("");
    expect(await exchange(gateway.port, "P")).toBe("");
    expect(await exchange(gateway.port, "GET / HTTP/1.1\r\nHost: loc")).toMatch(/^HTTP\/1.1 408/);
    const big = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`;
    expect(await exchange(gateway.port, big)).toMatch(/^HTTP\/1.1 431/);
  });

  it("gives a body that trickles in a time, in the middle of an RPC and of REST", async () => {
    const { gateway, seen } = await useGateway({ requestTimeoutMs: 200 });
    for (const path of [PREDICT, "/v2/models/echo/infer"]) {
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
      const answer = await exchange(gateway.port, `${head}Content-Length: 1000\r\n\r\n{`);
      expect(answer).toMatch(/^HTTP\/1.1 408|^$/);
    }
    expect(seen.request).toBeUndefined();
  });

  it("cuts callers that never read their answer", async () => {
    let asked = 0;
    const metricsText = async (): Promise<string> => {
      asked += 1;
      // More than the system's buffers take.
      return "x".repeat(40_000_000);
    };
    const limits = { requestTimeoutMs: 3000, requestsMax: 1 };
    const { gateway, url, seen } = await useGateway(limits, { metricsText });
    const body = '{"deployment":"big"}';
    const statusBecomes = (status: number) =>
      expect.poll(async () => (await fetch(`${url}/v2`)).status, { timeout: 10_000 }).toBe(status);
    for (const [line, begun] of [
      ["GET /metrics", () => asked === 1],
      [`POST ${PREDICT}`, () => seen.request !== undefined],
    ] as const) {
      const socket = open(gateway.port);
      socket.pause();
      const head = `${line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
      socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
      // The one place must be this request's, not that of a question about it.
      await expect.poll(begun).toBe(true);
      await statusBecomes(429);
      await statusBecomes(200);
    }
  });

  it("tells protocols apart whatever the size of the first pieces", async () => {
    const { gateway } = await useGateway();
    const socket = open(gateway.port);
    const text = textOf(socket);
    for (const piece of [
      "P",
      "O",
      "ST /v2 HTTP/1.1\r\nHost: localhost\r\n",
      "Connection: close\r\n\r\n",
    ]) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await text).toMatch(/^HTTP\/1.1 405/);
  });

  it("refuses requests above the limit at once, but answers probes", async () => {
    const { url, seen } = await useGateway({ requestsMax: 1 });
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: url }));
    const caller = new AbortController();
    const first = client.predict({ deployment: "wait" }, { signal: caller.signal });
    await expect.poll(() => seen.waiting).toBe(1);
    await expect(client.predict({})).rejects.toMatchObject({ code: 8 });
    const rest = await fetch(`${url}/v2`);
    expect([rest.status, rest.headers.get("retry-after")]).toEqual([429, "1"]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    caller.abort();
    await expect(first).rejects.toThrow();
    await expect.poll(async () => (await fetch(`${url}/v2`)).status).toBe(200);
  });

  it("gives up a REST call whose deadline passed, and one whose caller left", async () => {
    const { url, seen } = await useGateway();
    const wait = (headers: Record<string, string>, signal: AbortSignal | null = null) =>
      fetch(`${url}/v2/models/wait/infer`, {
        method: "POST",
        headers,
        body: '{"inputs":[]}',
        signal,
      });
    expect((await wait({ "connect-timeout-ms": "100" })).status).toBe(504);
    expect((await wait({ "grpc-timeout": "100m" })).status).toBe(504);
    await expect.poll(() => seen.waiting).toBe(0);
    const caller = new AbortController();
    const left = wait({}, caller.signal);
    await expect.poll(() => seen.waiting).toBe(1);
    caller.abort();
    await expect(left).rejects.toThrow();
    await expect.poll(() => seen.aborted.at(-1)).toBe("Cancelled");
  });
});

describe("gateway start and stop", () => {
  it("finishes what is under way, refuses what is new, and ends watches", async () => {
    const { gateway, url, seen } = await useGateway({ drainGraceMs: 600_000 });
    const transport = createConnectTransport({ baseUrl: url });
    const watch = Array.fromAsync(
      createClient(DeploymentService, transport).watchDeployments({ resumeToken: "stay" }),
    );
    watch.catch(() => undefined);
    const caller = new AbortController();
    const { signal } = caller;
    const client = createClient(InferenceService, transport);
    const call = client.predict({ deployment: "wait" }, { signal });
    call.catch(() => undefined);
    const session = connectHttp2(url);
    onTestFinished(() => session.destroy());
    await new Promise((resolve) => session.once("connect", resolve));
    await expect.poll(() => seen.waiting).toBe(2);
    let drained = false;
    const draining = gateway.drain().then(() => {
      drained = true;
    });
    await expect(watch).rejects.toMatchObject({ code: 14 });
    await expect.poll(() => session.closed).toBe(true);
    expect(await textOf(open(gateway.port))).toBe("");
    expect(drained).toBe(false);
    caller.abort();
    await draining;
    await expect(call).rejects.toThrow();
  });

  it("cuts what does not end within the grace, with a reason", async () => {
    const { gateway, url, seen } = await useGateway({ drainGraceMs: 100 });
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: url }));
    const call = client.predict({ deployment: "wait" });
    call.catch(() => undefined);
    await expect.poll(() => seen.waiting).toBe(1);
    await gateway.drain();
    await expect(call).rejects.toMatchObject({ code: 14 });
    await expect.poll(() => seen.aborted).toEqual(["Cancelled"]);
  });

  it("starts on other addresses only when a key exists, and with no rights", async () => {
    const config = parseSettings({ PLINTH_GATEWAY_LISTEN: "0.0.0.0:0" }, gatewaySettings);
    const channel = new Channel({ address: "127.0.0.1:1" });
    const channels = { registry: channel, inference: channel };
    const options = { config, channels, metricsText: async () => "", ready: () => true };
    await expect(startGateway(options)).rejects.toMatchObject({ kind: "FailedPrecondition" });
    const token = new Channel({ address: "127.0.0.1:1", token: "k.s" });
    await expect(
      startGateway({ ...options, anyKey: true, channels: { ...channels, registry: token } }),
    ).rejects.toThrow(/no rights/);
  });

  it("says which setting is wrong and what was expected", () => {
    const env = {
      PLINTH_GATEWAY_CORS_ORIGINS: "https://a.example, app.example.com",
      PLINTH_GATEWAY_BODY_MAX: "1",
      PLINTH_GATEWAY_BODY_MIN: "1",
    };
    expect(() => parseSettings(env, gatewaySettings)).toThrow(InvalidArgument);
    expect(() => parseSettings(env, gatewaySettings)).toThrow(
      /3 faults[\s\S]*CORS_ORIGINS[\s\S]*"loopback"/,
    );
    expect(parseSettings({}, gatewaySettings)).toMatchObject({
      listen: { host: "127.0.0.1", port: 8080 },
      corsOrigins: ["loopback"],
      allowedHosts: ["auto"],
    });
  });
});
