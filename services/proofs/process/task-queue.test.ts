// A queue and its process, whatever the tasks are: what fails alone, and what takes the process
// with it. Time, memory and many tasks are tested with the prover and the workshop.

import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { TaskQueue, type TaskQueueOptions } from "./task-queue.ts";
import type { OddTasks } from "./testing/odd-tasks.ts";

const MIB = 1024 * 1024;
const main = fileURLToPath(new URL("./testing/odd-tasks.ts", import.meta.url));

function useQueue(
  onFailure: "kill" | "keep",
  options: Partial<TaskQueueOptions<OddTasks>> = {},
): TaskQueue<OddTasks> {
  const program = { who: "oddity", main, heapMiB: 256 };
  const queue = new TaskQueue<OddTasks>({
    program,
    memoryBytesMax: 1024 * MIB,
    idleMs: 60_000,
    onFailure,
    ...options,
  });
  onTestFinished(async () => await queue[Symbol.asyncDispose]());
  return queue;
}

const rest = (signal = new AbortController().signal) => ({
  timeoutMs: 30_000,
  signal,
  onProgress: () => undefined,
});

describe("task-queue", { timeout: 60_000 }, () => {
  it("runs a process without its owner's environment, first to go when memory runs out", async () => {
    vi.stubEnv("PLINTH_SECRET", "secret");
    onTestFinished(() => void vi.unstubAllEnvs());
    const { environment, oomScore } = await useQueue("kill").run("describe", null, rest());
    expect(environment).not.toContain("PLINTH_SECRET");
    expect(
      environment.filter(
        (name) => !/^(TZ|MALLOC_ARENA_MAX|NODE_CHANNEL_\w+|PWD|SHLVL|_|OLDPWD)$/.test(name),
      ),
    ).toEqual([]);
    expect(oomScore).toBe(800);
  });

  it("hands values over as they are", async () => {
    const value = { big: 2n ** 250n, list: Float64Array.of(1.5, -0), none: undefined };
    expect(await useQueue("kill").run("echo", value, rest())).toEqual(value);
  });

  it("keeps a process after a foreseen failure where it is to be kept", async () => {
    for (const onFailure of ["keep", "kill"] as const) {
      const queue = useQueue(onFailure);
      await queue.run("echo", 1, rest());
      const pid = queue.processId;
      await expect(queue.run("refuse", "too wide", rest())).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: "too wide",
        violations: [{ field: "rows[3]", description: "too wide" }],
      });
      expect(queue.processId === pid).toBe(onFailure === "keep");
    }
  });

  it("never keeps one that failed in a way that nobody foresaw, and tells nobody how", async () => {
    const queue = useQueue("keep");
    await queue.run("echo", 1, rest());
    const pid = queue.processId;
    const error: Error = await queue.run("stumble", null, rest()).catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: "Internal" });
    expect(error.message).not.toContain("secret");
    expect(String(error.cause)).toContain("a secret of the process");
    expect(await queue.run("echo", 2, rest())).toBe(2);
    expect(queue.processId).not.toBe(pid);
  });

  it("says so when the heap is full", async () => {
    const queue = useQueue("keep", { program: { who: "oddity", main, heapMiB: 40 } });
    await expect(queue.run("fill-heap", null, rest())).rejects.toMatchObject({
      kind: "ResourceExhausted",
    });
    expect(await queue.run("echo", 2, rest())).toBe(2);
  });

  it("does a cancelled task to its end where its process is kept, and says when that was", async () => {
    const queue = useQueue("keep");
    const stop = new AbortController();
    const words: string[] = [];
    const cancelled = queue.run("wait", 300, {
      ...rest(stop.signal),
      onProgress: () => stop.abort(),
      onSettled: async () => void words.push("settled"),
    });
    await cancelled.catch(({ kind }) => words.push(kind));
    const pid = queue.processId;
    const next = queue.run("echo", 3, rest()).then(() => words.push("next"));
    await next;
    expect(words).toEqual(["Cancelled", "settled", "next"]);
    expect(queue.processId).toBe(pid);
  });

  it("replaces a process after so many tasks, and after the last of its kind", async () => {
    const queue = useQueue("kill", { tasksMax: 2, lastKinds: new Set(["describe"] as const) });
    const pids: (number | undefined)[] = [];
    for (let i = 0; i < 3; i += 1) {
      await queue.run("echo", i, rest());
      pids.push(queue.processId);
    }
    expect(pids[1]).toBe(pids[0]);
    expect(pids[2]).not.toBe(pids[0]);
    await queue.run("describe", null, rest());
    expect(queue.processId).toBeUndefined();
  });

  it("stops what runs and what waits when it is disposed", async () => {
    for (const onFailure of ["keep", "kill"] as const) {
      const queue = useQueue(onFailure);
      const begun = Promise.withResolvers<void>();
      const running = queue.run("wait", 600_000, { ...rest(), onProgress: () => begun.resolve() });
      const waiting = queue.run("echo", 1, rest());
      const all = Promise.allSettled([running, waiting]);
      await begun.promise;
      await queue[Symbol.asyncDispose]();
      for (const one of await all) {
        expect(one).toMatchObject({ status: "rejected", reason: { kind: "Unavailable" } });
      }
    }
  });
});
