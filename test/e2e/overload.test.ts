// More than the server can do: it says so at once, bounds what it holds, forgets those who left,
// and serves everybody else meanwhile and afterwards.

import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { beforeAll, describe, expect, it } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.js";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { encodeModel } from "../../services/common/testing/onnx-writer.ts";
import { loop } from "../../services/inference/testing/graphs.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import {
  answerOf,
  begin,
  framed,
  inferBytes,
  MODEL_INFER,
  MODEL_STREAM_INFER,
  useConnection,
} from "./raw-call.ts";
import { shareMesh } from "./use-mesh.ts";
import {
  type Clients,
  clientsOn,
  firstOutput,
  rowsOf,
  serveModel,
  statisticsOf,
  turnsOf,
} from "./use-models.ts";

const CALLS_MAX = 500;
const QUEUE_MAX = 8;
const shared = shareMesh({ PLINTH_CALLS_MAX: `${CALLS_MAX}` });
let clients: Clients;

beforeAll(async () => {
  clients = clientsOn(shared.current.channel);
  await serveModel(clients, "linear", linearModel());
  await serveModel(clients, "slow", encodeModel(loop()), {
    config: {
      batching: { maxQueueRequests: QUEUE_MAX },
      instances: { count: 1 },
    },
  });
  await serveModel(clients, "one-by-one", encodeModel(loop()), {
    config: { batching: { maxBatchRows: 1 }, instances: { count: 1 } },
  });
});

/** Half a second or more of work for the one instance of "slow". */
const LONG = 1_000_000n;

async function expectServing(): Promise<void> {
  const response = await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
  expect(firstOutput(response)).toEqual([10.5]);
}

/** Requests that wait for "slow", as /metrics says it. */
async function queued(): Promise<number> {
  return metric(/^plinth_inference_queue_depth\{[^}]*slow[^}]*\} (\S+)/m);
}

async function running(): Promise<number> {
  return metric(/^plinth_inference_requests_in_flight\{[^}]*slow[^}]*\} (\S+)/m);
}

async function dropped(reason: string): Promise<number> {
  const line = String.raw`^plinth_inference_requests_dropped_total\{[^}]*slow[^}]*"${reason}"[^}]*\} (\S+)`;
  return metric(new RegExp(line, "m"));
}

async function metric(line: RegExp): Promise<number> {
  const text = await (await fetch(`${shared.current.webUrl}/metrics`)).text();
  return Number(line.exec(text)?.[1] ?? 0);
}

async function executions(name = "slow"): Promise<bigint> {
  return (await statisticsOf(clients, name)).executionCount;
}

describe("10,000 streams", () => {
  it("are refused past the limit, at once, with the time to come back", async () => {
    // One connection carries four times the limit; a stock client waits for a stream above that.
    const sessions: ClientHttp2Session[] = [];
    for (let index = 0; index < 5; index += 1) {
      sessions.push(await useConnection(shared.current.grpcAddress));
    }
    const streams: ClientHttp2Stream[] = [];
    const refused: Awaited<ReturnType<typeof answerOf>>[] = [];
    for (const session of sessions) {
      for (let index = 0; index < 2000; index += 1) {
        const stream = begin(session, MODEL_STREAM_INFER);
        void answerOf(stream).then((answer) => refused.push(answer));
        streams.push(stream);
      }
    }
    const few = streams.length - CALLS_MAX;
    await expect.poll(() => refused.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(few);
    // The calls of the mesh among its own services count too.
    expect(refused.length).toBeLessThan(few + 20);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set([Code.RESOURCE_EXHAUSTED]));
    expect(refused.every(({ reason, retryInfo }) => reason === "OVERLOADED" && retryInfo)).toBe(
      true,
    );
    // Those that were let in are served.
    const kept = streams.find((stream) => !stream.closed)!;
    const answered = once(kept, "data");
    kept.write(framed(inferBytes(rowsOf("linear", [[1, 1, 1, 1]]))));
    expect((await answered)[0].length).toBeGreaterThan(5);
    for (const session of sessions) {
      session.destroy();
    }
    await expect
      .poll(() =>
        expectServing().then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
  });
});

describe("a full queue", () => {
  it("refuses with RetryInfo at once, and answers what it took", async () => {
    const session = await useConnection(shared.current.grpcAddress);
    const calls = Array.from({ length: 30 }, () => {
      const stream = begin(session, MODEL_INFER);
      stream.end(framed(inferBytes(turnsOf("slow", 20_000n))));
      return answerOf(stream);
    });
    const answers = await Promise.all(calls);
    const refused = answers.filter(({ code }) => code !== Code.OK);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(QUEUE_MAX);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expect(answer).toMatchObject({
        code: Code.RESOURCE_EXHAUSTED,
        reason: "OVERLOADED",
        retryInfo: true,
      });
    }
    await expectServing();
  });
});

describe("a request that is not wanted any more", () => {
  it("whose deadline passed in the queue never reaches the model", async () => {
    const before = await executions();
    const busy = clients.inference.modelInfer(turnsOf("slow", LONG));
    await expect.poll(running).toBe(1);
    const late = await Promise.all(
      Array.from({ length: 5 }, () =>
        clients.inference
          .modelInfer(turnsOf("slow", 1n), { timeoutMs: 30 })
          .catch((error) => error),
      ),
    );
    for (const error of late) {
      expect(error).toMatchObject({
        kind: "DeadlineExceeded",
        reason: ErrorReason.DEADLINE_EXCEEDED,
      });
    }
    await busy;
    await clients.inference.modelInfer(turnsOf("slow", 1n));
    expect((await executions()) - before).toBe(2n);
  });

  it("whose deadline passed never reaches a model that takes long and is not batched", async () => {
    await clients.inference.modelInfer(turnsOf("one-by-one", LONG));
    const before = await executions("one-by-one");
    const busy = clients.inference.modelInfer(turnsOf("one-by-one", LONG));
    await Promise.all(
      Array.from({ length: 5 }, () =>
        expect(
          clients.inference.modelInfer(turnsOf("one-by-one", 1n), { timeoutMs: 100 }),
        ).rejects.toMatchObject({ kind: "DeadlineExceeded" }),
      ),
    );
    await busy;
    await clients.inference.modelInfer(turnsOf("one-by-one", 1n));
    expect((await executions("one-by-one")) - before).toBe(2n);
  });

  it("because its client vanished frees its place", async () => {
    const [before, droppedBefore] = [await executions(), await dropped("cancelled")];
    const session = await useConnection(shared.current.grpcAddress);
    const busy = clients.inference.modelInfer(turnsOf("slow", LONG));
    await expect.poll(running).toBe(1);
    const stream = begin(session, MODEL_STREAM_INFER);
    for (let index = 0; index < QUEUE_MAX / 2; index += 1) {
      stream.write(framed(inferBytes(turnsOf("slow", 1n))));
      begin(session, MODEL_INFER).end(framed(inferBytes(turnsOf("slow", 1n))));
    }
    await expect.poll(queued).toBe(QUEUE_MAX);
    await expect(clients.inference.modelInfer(turnsOf("slow", 1n))).rejects.toMatchObject({
      kind: "ResourceExhausted",
    });
    session.socket?.destroy();
    await expect.poll(queued).toBe(0);
    // The places are free while the model is still at work.
    await clients.inference.modelInfer(turnsOf("slow", 1n));
    await busy;
    expect((await executions()) - before).toBe(2n);
    expect((await dropped("cancelled")) - droppedBefore).toBe(QUEUE_MAX);
  });

  it("because a browser left the gateway frees its place too", async () => {
    const [before, droppedBefore] = [await executions(), await dropped("cancelled")];
    const busy = clients.inference.modelInfer(turnsOf("slow", LONG));
    await expect.poll(running).toBe(1);
    const browser = new AbortController();
    const asked = Array.from({ length: 4 }, () =>
      fetch(`${shared.current.webUrl}/v2/models/slow/infer`, {
        method: "POST",
        signal: browser.signal,
        body: JSON.stringify({
          inputs: [
            { name: "x", datatype: "FP32", shape: [1, 1], data: [1] },
            { name: "turns", datatype: "INT64", shape: [1, 1], data: [1] },
          ],
        }),
      }).catch(() => "left"),
    );
    await expect.poll(queued).toBe(4);
    browser.abort();
    expect(await Promise.all(asked)).toEqual(["left", "left", "left", "left"]);
    await expect.poll(queued).toBe(0);
    await busy;
    expect((await executions()) - before).toBe(1n);
    expect((await dropped("cancelled")) - droppedBefore).toBe(4);
  });
});
