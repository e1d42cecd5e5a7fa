import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { sendWebhook, type WebhookOptions } from "./send-webhook.ts";
import {
  type Answer,
  close,
  dripBody,
  dripHead,
  flood,
  hang,
  isSigned,
  ok,
  status,
  useReceiver,
} from "./testing/receivers.ts";
import { newSecret, webhookHeaders } from "./webhook.ts";

const NOW = Date.UTC(2026, 0, 1);

function send(url: string, given: Partial<WebhookOptions> = {}) {
  return sendWebhook(
    { url, headers: { "webhook-id": "msg_1" }, body: '{"a":"ü"}' },
    {
      hosts: "any",
      timeoutMs: 5000,
      signal: new AbortController().signal,
      nowMs: NOW,
      ...given,
    },
  );
}

async function sendTo(answer: Answer, given: Partial<WebhookOptions> = {}) {
  const receiver = await useReceiver(answer);
  return { receiver, outcome: await send(receiver.url, given) };
}

describe("send-webhook", () => {
  it("sends the body with a signature that a receiver can check", async () => {
    const receiver = await useReceiver();
    const secret = newSecret();
    const body = '{"type":"alert.firing","text":"ü"}';
    const headers = webhookHeaders({ id: "msg_1", timestampSeconds: 7, body, secret });
    const options = {
      hosts: "any" as const,
      timeoutMs: 5000,
      signal: new AbortController().signal,
      nowMs: NOW,
    };
    const outcome = await sendWebhook({ url: receiver.url, headers, body }, options);
    expect(outcome).toEqual({ status: 200, error: "", isGone: false, retryAfterMs: 0 });
    const [received] = receiver.received;
    expect(received?.body).toBe(body);
    expect(received?.headers).toMatchObject({
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "webhook-id": "msg_1",
      "webhook-timestamp": "7",
    });
    expect(isSigned(received!, secret)).toBe(true);
    expect(isSigned(received!, newSecret())).toBe(false);
  });

  it.each([201, 202, 204, 299])("takes %s for taken", async (code) => {
    const { outcome } = await sendTo(status(code));
    expect(outcome).toEqual({ status: code, error: "", isGone: false, retryAfterMs: 0 });
  });

  it.each([400, 404, 429, 500, 503])("takes %s for a failure", async (code) => {
    const { outcome } = await sendTo(status(code));
    expect(outcome).toMatchObject({ status: code, error: `answered ${code}`, isGone: false });
  });

  it.each([301, 302, 303, 307, 308])("follows no redirect (%s)", async (code) => {
    const target = await useReceiver();
    const { outcome } = await sendTo(status(code, { location: target.url }));
    expect(outcome.status).toBe(code);
    expect(outcome.error).toContain("redirect");
    expect(target.received).toEqual([]);
  });

  it("gives up where it is gone", async () => {
    const { outcome } = await sendTo(status(410));
    expect(outcome).toMatchObject({ status: 410, isGone: true });
  });

  it("reads how long to wait, in seconds or as a date", async () => {
    const seconds = await sendTo(status(503, { "retry-after": "120" }));
    expect(seconds.outcome.retryAfterMs).toBe(120_000);
    const date = new Date(NOW + 60_000).toUTCString();
    const until = await sendTo(status(429, { "retry-after": date }));
    expect(until.outcome.retryAfterMs).toBe(60_000);
    const past = await sendTo(status(429, { "retry-after": new Date(NOW - 1000).toUTCString() }));
    expect(past.outcome.retryAfterMs).toBe(0);
    const nonsense = await sendTo(status(429, { "retry-after": "soon" }));
    expect(nonsense.outcome.retryAfterMs).toBe(0);
  });

  it.each([
    ["hangs", hang],
    ["drips its head", dripHead],
  ] as const)("ends in time where the endpoint %s", async (_, answer) => {
    const { outcome } = await sendTo(answer, { timeoutMs: 200 });
    expect(outcome).toMatchObject({ status: 0, error: "no answer within 200 ms" });
  });

  it("ends in time where nobody answers the connection's TLS", async () => {
    const silent = createTcpServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const outcome = await send(`https://127.0.0.1:${port}/`, { timeoutMs: 200 });
    expect(outcome).toMatchObject({ status: 0, error: "no answer within 200 ms" });
  });

  it("counts the head of an answer whose body never ends", async () => {
    const taken = await sendTo(dripBody(200), { timeoutMs: 300 });
    expect(taken.outcome).toMatchObject({ status: 200, error: "" });
    const refused = await sendTo(dripBody(500), { timeoutMs: 300 });
    expect(refused.outcome).toMatchObject({ status: 500, error: "answered 500" });
  });

  it("does not read a body without end", async () => {
    const { outcome, receiver } = await sendTo(flood, { timeoutMs: 60_000 });
    expect(outcome).toMatchObject({ status: 200, error: "" });
    expect(receiver.received).toHaveLength(1);
  });

  it("says what is wrong where there is no answer", async () => {
    expect((await sendTo(close)).outcome.error).toContain("closed before an answer");
    const gone = createTcpServer();
    await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    expect((await send(`http://127.0.0.1:${port}`)).error).toBe("the connection was refused");
    const noTls = await useReceiver();
    const broken = await send(noTls.url.replace("http:", "https:"));
    expect(broken).toMatchObject({ status: 0, isGone: false });
    expect(broken.error).toMatch(/^TLS failed|^the attempt failed|closed before/);
    const unknown = await send("http://no-such-host.invalid/", { timeoutMs: 4000 });
    expect(unknown.error).toMatch(/not known|no answer|cannot be reached/);
  });

  it("is cut off by its caller", async () => {
    const stop = new AbortController();
    const receiver = await useReceiver(() => stop.abort());
    const outcome = await send(receiver.url, { signal: stop.signal });
    expect(outcome.status).toBe(0);
  });

  it("reaches no private address where only public ones are allowed", async () => {
    const receiver = await useReceiver();
    const { port } = new URL(receiver.url);
    const hosts = "public";
    for (const url of [receiver.url, `http://localhost:${port}/`, `http://[::1]:${port}/`]) {
      const outcome = await send(url, { hosts });
      expect(outcome.status).toBe(0);
      expect(outcome.error).toContain("not on the public internet");
    }
    expect(receiver.received).toEqual([]);
    // The same name is reached where any host is allowed: it was the address that was refused.
    expect((await send(`http://localhost:${port}/`)).status).toBe(200);
  });

  it("sends to many at once without one waiting for another", async () => {
    const slow = await useReceiver(hang);
    const fast = await useReceiver(ok);
    const stop = new AbortController();
    const options = { timeoutMs: 300_000, signal: stop.signal };
    const hanging = Array.from({ length: 5 }, () => send(slow.url, options));
    await Promise.all(Array.from({ length: 20 }, () => send(fast.url)));
    expect(fast.received).toHaveLength(20);
    stop.abort();
    await Promise.all(hanging);
  });
});
