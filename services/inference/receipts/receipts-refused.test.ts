import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { createLogger, type Logger } from "../../common/telemetry/log.ts";
import { ByteBudget } from "../capture/byte-budget.ts";
import { classifier, identity } from "../testing/graphs.ts";
import { fp32 } from "../testing/test-models.ts";
import { TestReceiptLog } from "../testing/test-receipt-log.ts";
import { requestOf, signatureOf, tensorOf } from "../testing/test-servable.ts";
import { DEPLOYMENT, target, until } from "../testing/use-capture.ts";
import { makeReceipts, useReceipts } from "../testing/use-receipts.ts";
import { HashThread, type SealedReceipts } from "./hash-thread.ts";

const config = { targets: [target(1)], proofs: { receipts: true } };

const inferRequest = (id: string) => ({
  modelName: DEPLOYMENT,
  id,
  inputs: [{ name: "x", datatype: "FP32", shape: [1n, 3n] }],
  rawInputContents: [fp32(1, 2, 4)],
});

const away = () => new Unavailable("The log breaks off.", { reason: 19, retryAfterMs: 1 });

describe("receipts whose log is away", () => {
  it("wait up to the limit; then nothing is run until it is back, and none is lost", async () => {
    const { open, named, log, receipts, engine, registry } = await useReceipts({
      graphs: [identity("FP32", ["N", 3])],
      config,
      receipts: { queueBytesMax: 2 ** 20 },
    });
    registry.deploy("free", { targets: [target(1)] });
    await log.stop();
    // Ids are what a receipt mostly takes.
    const padding = "x".repeat(900);
    const answered: string[] = [];
    let refused: unknown;
    let refusals = 0;
    let peak = 0;
    // What is hashed takes less than before: there may be room again for a moment.
    for (let i = 0; refusals < 20; i++) {
      const id = `${i} ${padding}`;
      await open.modelInfer(inferRequest(id)).then(
        () => {
          refusals = 0;
          answered.push(id);
        },
        async (error: unknown) => {
          refusals += 1;
          refused = error;
          await sleep(5);
        },
      );
      peak = Math.max(peak, receipts.waitingBytes);
    }
    expect(refused).toMatchObject({
      kind: "ResourceExhausted",
      message: expect.stringMatching(/PLINTH_INFERENCE_RECEIPTS_QUEUE_MAX/),
    });
    // One chunk more than the limit at most.
    expect(peak).toBeLessThanOrEqual(2 ** 21);
    const ran = () => engine.statistics("w", "d", "1").executionCount;
    const before = ran();
    for (let i = 0; i < 20; i++) {
      await expect(open.modelInfer(inferRequest("no"))).rejects.toMatchObject({
        kind: "ResourceExhausted",
      });
    }
    await expect(
      named.predict({ deployment: DEPLOYMENT, rows: [{ x: [1, 2, 3] }] }),
    ).rejects.toMatchObject({ kind: "ResourceExhausted" });
    expect(ran()).toBe(before);
    // Others go on.
    await until(() => engine.deployments("w").length === 2 && engine.ready());
    const modelName = "workspaces/w/deployments/free";
    await until(() => engine.deployment("w", "free").versions[0]?.state === "READY");
    await open.modelInfer({ ...inferRequest("free"), modelName });
    await log.comeBack();
    await until(() => log.receipts.length >= answered.length);
    expect(log.ids).toEqual(answered.sort());
    await until(() => receipts.waitingBytes < 2 ** 20);
    await open.modelInfer(inferRequest("back"));
    await until(() => log.ids.includes("back"));
  });

  it("are sent again with the same number, whatever of a stream was heard", async () => {
    const { open, log } = await useReceipts({ graphs: [classifier()], config });
    let count = 0;
    log.beforeAnswer = async () => {
      count += 1;
      // Every other batch is logged and its answer lost, some after others were answered.
      if (count % 2 === 0) throw away();
    };
    const ids = Array.from({ length: 60 }, (_, i) => `r${i}`);
    for (const [i, id] of ids.entries()) {
      await open.modelInfer(inferRequest(id));
      if (i % 6 === 0) await sleep(15);
      if (i === 30) {
        await log.stop();
        await log.comeBack();
      }
    }
    await until(() => log.receipts.length === ids.length);
    expect(log.ids).toEqual(ids.sort());
    const bySequence = new Map<bigint, string>();
    for (const { sequence, inferenceIds } of log.batches) {
      const known = bySequence.get(sequence);
      if (known !== undefined) expect(inferenceIds.join()).toBe(known);
      bySequence.set(sequence, inferenceIds.join());
    }
    expect(log.batches.length).toBeGreaterThan(bySequence.size);
  });
});

describe("receipts of a server that stops", () => {
  it("are all logged before it ends, and nothing that needs one is run meanwhile", async () => {
    const { open, log, receipts, engine } = await useReceipts({
      graphs: [classifier()],
      config,
      receipts: { intervalMs: 10_000 },
    });
    // The log is slow, and breaks off once.
    let isFirst = true;
    log.beforeAnswer = async () => {
      await sleep(20);
      if (isFirst) {
        isFirst = false;
        throw away();
      }
    };
    const ids = Array.from({ length: 100 }, (_, i) => `r${i}`);
    const answers = Promise.all(ids.map((id) => open.modelInfer(inferRequest(id))));
    await until(() => engine.statistics("w", "d", "1").executionCount > 0);
    await answers;
    expect(log.receipts).toEqual([]);
    const handedOver = receipts.handOver(() => engine.receiptsSettled());
    await expect(open.modelInfer(inferRequest("late"))).rejects.toMatchObject({
      kind: "Unavailable",
    });
    await handedOver;
    expect(log.ids).toEqual(ids.sort());
    await receipts.drain();
    expect(receipts.waitingBytes).toBe(0);
  });

  it("are those of requests that were under way, too", async () => {
    const { open, log, receipts, engine } = await useReceipts({
      graphs: [classifier()],
      config: { ...config, batching: { maxQueueDelay: { seconds: 0n, nanos: 200_000_000 } } },
      receipts: { intervalMs: 10_000 },
    });
    const answer = open.modelInfer(inferRequest("under way"));
    await until(() => engine.receiptsSettled !== undefined && isWaiting(engine));
    await receipts.handOver(() => engine.receiptsSettled());
    expect(log.ids).toEqual(["under way"]);
    await answer;
  });

  it("are given up, and told, where the log does not come back in time", async () => {
    const log = await TestReceiptLog.start();
    await log.stop();
    const told: unknown[] = [];
    const receipts = makeReceipts(log, { drainMs: 50 }, tellingErrors(told));
    const version = receipts.version(identityOf());
    for (const id of ["a", "b", "c"]) version.record(request(id), result(), 1);
    await receipts.drain();
    expect(log.receipts).toEqual([]);
    expect(told).toMatchObject([{ receipts: 3 }]);
  });
});

describe("hash-thread", () => {
  it("says what is lost with a thread that ends, and goes on with another", async () => {
    const budget = new ByteBudget(2 ** 20);
    const batches: SealedReceipts[] = [];
    const lost: number[] = [];
    const thread = new HashThread({
      budget,
      onBatch: (batch) => batches.push(batch),
      onLost: (count) => lost.push(count),
    });
    onTestFinished(() => thread[Symbol.asyncDispose]());
    const version = thread.addVersion(Buffer.of());
    const chunkOf = (count: number) => {
      const chunk = thread.chunk(1_000);
      for (let i = 0; i < count; i++) {
        chunk.begin(1, 1);
        chunk.id("a");
        chunk.context(undefined);
        chunk.inputsFrom(chunk.at);
        chunk.outputsFrom(chunk.at);
      }
      return chunk;
    };
    thread.hash(version, chunkOf(2), { sequence: 1, count: 2 });
    await thread.idle();
    expect(batches).toMatchObject([{ sequence: 1, count: 2 }]);
    thread.hash(version, chunkOf(3));
    // A version that the thread was never told of.
    thread.hash(999, chunkOf(4));
    thread.hash(version, chunkOf(5), { sequence: 2, count: 8 });
    await thread.idle();
    expect(lost).toEqual([12]);
    expect(budget.used).toBe(0);
    thread.hash(version, chunkOf(1), { sequence: 3, count: 1 });
    await thread.idle();
    expect(batches.map(({ sequence }) => sequence)).toEqual([1, 3]);
  });
});

/** A logger of which only errors are heard. */
function tellingErrors(told: unknown[]): Logger {
  const off = createLogger({ service: "test", level: "off" });
  return { ...off, error: (_, fields) => told.push(fields) };
}

function isWaiting(engine: Awaited<ReturnType<typeof useReceipts>>["engine"]): boolean {
  const { load } = engine.route({ workspace: "w", deployment: "d" }, undefined) as unknown as {
    load: { queued: number };
  };
  return load.queued > 0;
}

function identityOf() {
  return {
    deployment: DEPLOYMENT,
    modelVersion: target(1).modelVersion,
    modelDigest: "00".repeat(32),
    signature: signatureOf(identity("FP32", ["N", 3])),
  };
}

const tensor = (name: string) => tensorOf(name, "FP32", [1, 3], [1, 2, 3]);

function request(id: string) {
  const servable = { signature: identityOf().signature, batched: true } as never;
  return requestOf(servable, [tensor("x")], { id });
}

function result() {
  return { outputs: [tensor("y")], queueMs: 0, computeMs: 0, batchRows: 1 };
}
