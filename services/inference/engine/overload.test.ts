// What the batcher does when callers are many, late or gone, and when instances crash or hang.

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { InferRequest, InferResult } from "../engine.ts";
import { loop } from "../testing/graphs.ts";
import { loadServable, requestOf, tensorOf, valuesOf } from "../testing/test-servable.ts";
import { countLiveThreads } from "./instance.ts";
import type { LoadedServable } from "./servable.ts";

/** Turns of the loop model that take long enough to act meanwhile: some tens of milliseconds. */
const BUSY = 100_000n;

/** Long past the run timeout of the test, short enough for the abandoned thread to end soon. */
const HANGING = 4_000_000n;

function loopRequest(
  servable: LoadedServable,
  value: number,
  turns = 1n,
  fields: Partial<InferRequest> = {},
): InferRequest {
  const inputs = [
    tensorOf("x", "FP32", [1, 1], [value]),
    tensorOf("turns", "INT64", [1, 1], [turns]),
  ];
  return requestOf(servable, inputs, fields);
}

function firstOf(result: InferResult): unknown {
  return valuesOf(result.outputs[0]!)[0];
}

/** Fills the one instance; resolves when the batch is on its way, not when it is answered. */
async function occupy(servable: LoadedServable): Promise<{ readonly answer: Promise<unknown> }> {
  const answer = servable.infer(loopRequest(servable, 0, BUSY));
  answer.catch(() => undefined);
  await untilLoad(servable, { running: 1, queued: 0 });
  return { answer };
}

async function untilLoad(
  servable: LoadedServable,
  load: { readonly running: number; readonly queued: number },
): Promise<void> {
  while (servable.load.running !== load.running || servable.load.queued !== load.queued) {
    await sleep(1);
  }
}

async function outcome(servable: LoadedServable): Promise<"answered" | "refused"> {
  return await servable.infer(loopRequest(servable, 1)).then(
    () => "answered",
    () => "refused",
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await sleep(5);
  }
}

/** As the engine does: expiries and hangs are looked for now and then. */
function tickOften(servable: LoadedServable): void {
  const timer = setInterval(() => servable.tick(), 10);
  onTestFinished(() => clearInterval(timer));
}

describe("overload", () => {
  it("collects what comes while the instance is busy into the next batch", async () => {
    const servable = await loadServable(loop());
    await occupy(servable);
    const results = await Promise.all(
      [1, 2, 3].map((value) => servable.infer(loopRequest(servable, value))),
    );
    expect(results.map((result) => result.batchRows)).toEqual([3, 3, 3]);
    expect(results.map(firstOf)).toEqual([1, 2, 3]);
  });

  it("serves lower priority numbers first", async () => {
    const servable = await loadServable(loop(), { maxBatchRows: 1 });
    await occupy(servable);
    const atHand = servable.infer(loopRequest(servable, 0));
    await untilLoad(servable, { running: 2, queued: 0 });
    const answered: number[] = [];
    const ask = (value: number, priority: number): Promise<unknown> =>
      servable
        .infer(loopRequest(servable, value, 1n, { priority }))
        .then((result) => answered.push(Number(firstOf(result))));
    await Promise.all([ask(9, 9), ask(5, 5), ask(1, 0), atHand]);
    expect(answered).toEqual([1, 5, 9]);
  });

  it("refuses at once what does not fit in the queue, and says when to come back", async () => {
    const servable = await loadServable(loop(), { maxQueueRequests: 2 });
    const { answer } = await occupy(servable);
    const queued = [1, 2].map((value) => servable.infer(loopRequest(servable, value)));
    await expect(servable.infer(loopRequest(servable, 3))).rejects.toMatchObject({
      kind: "ResourceExhausted",
      reason: ErrorReason.OVERLOADED,
      retryAfterMs: 50,
    });
    expect((await Promise.all(queued)).map(firstOf)).toEqual([1, 2]);
    await answer;
    expect(servable.meter.dropped("overloaded")).toBe(1);
  });

  it("bounds the bytes that wait", async () => {
    const servable = await loadServable(loop(), { maxQueueBytes: 20 });
    await occupy(servable);
    const queued = servable.infer(loopRequest(servable, 1));
    await expect(servable.infer(loopRequest(servable, 2))).rejects.toMatchObject({
      reason: ErrorReason.OVERLOADED,
    });
    expect(firstOf(await queued)).toBe(1);
  });

  it("frees the place of a caller that leaves at that moment", async () => {
    const servable = await loadServable(loop(), { maxQueueRequests: 1 });
    await occupy(servable);
    const caller = new AbortController();
    const left = servable.infer(loopRequest(servable, 1, 1n, { signal: caller.signal }));
    caller.abort();
    const next = servable.infer(loopRequest(servable, 2));
    await expect(left).rejects.toMatchObject({ reason: ErrorReason.CANCELLED });
    expect(firstOf(await next)).toBe(2);
    expect(servable.meter.dropped("cancelled")).toBe(1);
    expect(servable.statistics().inferenceCount).toBe(2);
  });

  it("answers a caller that leaves while its request runs, and drops the result", async () => {
    const servable = await loadServable(loop());
    const caller = new AbortController();
    const left = servable.infer(loopRequest(servable, 1, BUSY, { signal: caller.signal }));
    await untilLoad(servable, { running: 1, queued: 0 });
    caller.abort();
    await expect(left).rejects.toMatchObject({ reason: ErrorReason.CANCELLED });
    expect(servable.meter.dropped("cancelled")).toBe(0);
    await servable.idle();
  });

  it("drops a request whose deadline passes before it reaches the model", async () => {
    const servable = await loadServable(loop());
    const { answer } = await occupy(servable);
    const late = servable.infer(loopRequest(servable, 1, 1n, { deadlineMs: Date.now() + 1 }));
    await expect(late).rejects.toMatchObject({ reason: ErrorReason.DEADLINE_EXCEEDED });
    expect(servable.meter.dropped("expired")).toBe(1);
    await answer;
    expect(servable.statistics().inferenceCount).toBe(1);
    const past = servable.infer(loopRequest(servable, 1, 1n, { deadlineMs: Date.now() - 1 }));
    await expect(past).rejects.toMatchObject({ reason: ErrorReason.DEADLINE_EXCEEDED });
  });

  it("lets an idle instance wait for more rows only when told to", async () => {
    const servable = await loadServable(loop(), { maxQueueDelayMs: 150 });
    const first = servable.infer(loopRequest(servable, 1));
    await sleep(20);
    const second = servable.infer(loopRequest(servable, 2));
    expect((await Promise.all([first, second])).map((result) => result.batchRows)).toEqual([2, 2]);
  });

  it("does not wait once the batch is full", async () => {
    const servable = await loadServable(loop(), { maxQueueDelayMs: 60_000, maxBatchRows: 2 });
    const results = await Promise.all(
      [1, 2].map((value) => servable.infer(loopRequest(servable, value))),
    );
    expect(results.map(firstOf)).toEqual([1, 2]);
  });

  it("replaces a crashed instance; what had not begun is run by the new one", async () => {
    const servable = await loadServable(loop(), { maxBatchRows: 1 });
    servable.crashInstance();
    // Nobody has noticed yet: the first is given to the dying thread, the second put at hand there.
    const [first, ...others] = [1, 2, 3, 4].map((value) =>
      servable.infer(loopRequest(servable, value)),
    );
    expect(servable.load).toEqual({ running: 2, queued: 2 });
    await expect(first).rejects.toMatchObject({
      kind: "Unavailable",
      reason: ErrorReason.INSTANCE_LOST,
      retryAfterMs: 500,
    });
    expect((await Promise.all(others)).map(firstOf)).toEqual([2, 3, 4]);
  });

  it("refuses at once while instances crash again and again", async () => {
    const servable = await loadServable(loop(), { maxBatchRows: 1 });
    for (let crashes = 0; crashes < 3; crashes += 1) {
      servable.crashInstance();
      // A full batch is given away at once, so that it is with the dying thread.
      const lost = servable.infer(loopRequest(servable, 1));
      await expect(lost).rejects.toMatchObject({ reason: ErrorReason.INSTANCE_LOST });
      if (crashes < 2) {
        await until(async () => (await outcome(servable)) === "answered");
      }
    }
    expect(await outcome(servable)).toBe("refused");
    await until(async () => (await outcome(servable)) === "answered");
  });

  it("gives up a run that takes too long while the other instance goes on", async () => {
    const servable = await loadServable(loop(), { count: 2, runTimeoutMs: 150 });
    tickOften(servable);
    const hung = servable.infer(loopRequest(servable, 1, HANGING));
    await untilLoad(servable, { running: 1, queued: 0 });
    const others = [2, 3].map((value) => servable.infer(loopRequest(servable, value)));
    expect((await Promise.all(others)).map(firstOf)).toEqual([2, 3]);
    await expect(hung).rejects.toMatchObject({ reason: ErrorReason.INSTANCE_LOST });
    expect(firstOf(await servable.infer(loopRequest(servable, 4)))).toBe(4);
    // The abandoned run goes on beside the two instances and ends by itself.
    await until(async () => countLiveThreads() === 2);
  });

  it("answers each request exactly once while callers leave and instances crash", async () => {
    const troubles: string[] = [];
    const servable = await loadServable(loop(), {
      count: 2,
      maxBatchRows: 8,
      maxQueueRequests: 3000,
      onTrouble: (text) => troubles.push(text),
    });
    tickOften(servable);
    const outcomes = { answered: 0, CANCELLED: 0, INSTANCE_LOST: 0, DEADLINE_EXCEEDED: 0 };
    const askOne = async (value: number): Promise<void> => {
      const caller = new AbortController();
      const isLate = value % 50 === 7;
      const deadlineMs = Date.now() + (isLate ? 0 : 60_000);
      const fields = { signal: caller.signal, deadlineMs, priority: value % 10 };
      const answer = servable.infer(loopRequest(servable, value, 20n, fields)).then(
        (result) => {
          expect(firstOf(result)).toBe(value);
          outcomes.answered += 1;
        },
        (error) => {
          outcomes[ErrorReason[error.reason] as keyof typeof outcomes] += 1;
        },
      );
      if (value % 10 === 3) {
        caller.abort();
      }
      await answer;
    };
    const requests: Promise<void>[] = [];
    for (let value = 0; value < 3000; value += 1) {
      requests.push(askOne(value));
      if (value % 100 === 99) {
        await sleep(1);
      }
      if (value === 1500) {
        await servable.idle();
        servable.crashInstance();
      }
    }
    await Promise.all(requests);
    expect(outcomes.CANCELLED).toBe(300);
    expect(outcomes.DEADLINE_EXCEEDED).toBe(60);
    expect(outcomes.answered + outcomes.INSTANCE_LOST).toBe(2640);
    expect(outcomes.INSTANCE_LOST).toBeLessThanOrEqual(8);
    expect(troubles).toEqual(["one crashed and is being replaced"]);
    expect(servable.load).toEqual({ queued: 0, running: 0 });
    expect(servable.statistics().success.count).toBe(outcomes.answered);
  });

  it("answers everything that waits when it is disposed", async () => {
    const servable = await loadServable(loop());
    const running = servable.infer(loopRequest(servable, 1, BUSY));
    await untilLoad(servable, { running: 1, queued: 0 });
    const queued = servable.infer(loopRequest(servable, 2));
    const results = Promise.allSettled([running, queued]);
    await servable[Symbol.asyncDispose]();
    expect((await results).map((result) => result.status)).toEqual(["rejected", "rejected"]);
    await expect(servable.infer(loopRequest(servable, 3))).rejects.toMatchObject({
      reason: ErrorReason.MODEL_NOT_READY,
    });
  });
});
