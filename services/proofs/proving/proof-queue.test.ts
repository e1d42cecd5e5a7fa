import { randomUUID } from "node:crypto";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Stored } from "../../common/documents/port.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { openProofJobs, type ProofJob } from "./proof-job.ts";
import { ProofQueue } from "./proof-queue.ts";

interface Given {
  readonly rows?: number;
  readonly priority?: number;
  /** Uid of its circuit. */
  readonly circuit?: string;
  /** Blob of its inputs. */
  readonly inputs?: string;
}

async function useQueue(rowsMax = 100) {
  const clock = new FakeClock();
  const documents = await useStore({ clock });
  const jobs = await openProofJobs(documents, { clock, ttlMs: 60_000 });
  const failures: unknown[] = [];
  const freed: string[] = [];
  const events = { backgroundFailed: (...failure: unknown[]) => void failures.push(failure) };
  const open = async () => {
    const queue = await ProofQueue.open({
      jobs,
      clock,
      events,
      rowsMax,
      freed: (digest, job) => void freed.push(`${job} ${digest}`),
    });
    onTestFinished(async () => await queue[Symbol.asyncDispose]());
    return queue;
  };
  let count = 0;
  /** A job of a workspace; its name tells which one it is. */
  const add = async (workspace: string, given: Given = {}) => {
    const { rows = 1, priority = 5 } = given;
    clock.advance(1);
    const job = await jobs.create({
      name: `${workspace}${++count}`,
      uid: randomUUID(),
      workspace,
      actor: "anonymous",
      stamp: requestStamp({ method: "m", parent: "p", requestId: "", bytes: Buffer.of() }),
      priority,
      circuit: "c",
      answeredBy: {
        circuitUid: given.circuit ?? "c",
        modelCommitment: "",
        circuitHash: "",
        zkey: "",
      },
      modelVersion: "v",
      deployment: "",
      inferenceId: "",
      rowCount: rows,
      rowsDone: 0,
      proofs: Array.from({ length: rows }, () => null),
      development: true,
      schemaHash: "h",
      inputs: given.inputs === undefined ? null : { digest: given.inputs },
      answers: { bytes: new Uint8Array() },
    });
    return job;
  };
  return { clock, jobs, open, add, failures, freed };
}

describe("proof-queue", () => {
  it("gives the workspaces turns within a priority, and each its oldest job first", async () => {
    const { add, open } = await useQueue();
    for (const workspace of ["a", "a", "a", "b", "c", "b"]) {
      await add(workspace);
    }
    await add("a", { priority: 9 });
    await add("c", { priority: 1 });
    const queue = await open();
    expect(await queue.waiting(20)).toEqual(["c8", "a1", "b4", "c5", "a2", "b6", "a3", "a7"]);
    expect(await queue.waiting(3)).toEqual(["c8", "a1", "b4"]);
    queue.hadTurn("a");
    queue.hadTurn("c");
    expect(await queue.waiting(20)).toEqual(["c8", "b4", "a1", "c5", "b6", "a2", "a3", "a7"]);
    expect(queue.best()).toMatchObject({ workspace: "c", priority: 1 });
  });

  it("puts first whose worker fell silent", async () => {
    const { add, clock, jobs, open } = await useQueue();
    await add("a", { priority: 1 });
    const { _id } = await add("b", { priority: 9 });
    await jobs.take(_id, { owner: "o", leaseMs: 1_000 });
    const queue = await open();
    expect(await queue.waiting(5)).toEqual(["a1"]);
    clock.advance(1_000);
    expect(await queue.waiting(5)).toEqual(["b2", "a1"]);
  });

  it("counts rows that wait, also those of other replicas, and none twice", async () => {
    const { add, jobs, open } = await useQueue(10);
    const first = await add("a", { rows: 4 });
    const queue = await open();
    expect(queue.rowsWaiting("a")).toBe(4);
    const second = await add("a", { rows: 3 });
    await expect.poll(() => queue.rowsWaiting("a")).toBe(7);
    queue.noticed(second);
    expect(queue.rowsWaiting("a")).toBe(7);
    expect(() => queue.reserve("a", 4)).toThrow(/7 rows of workspace "a"/);
    queue.reserve("b", 10)[Symbol.dispose]();
    {
      using _ = queue.reserve("a", 3);
      expect(() => queue.reserve("a", 1)).toThrow(/10 rows/);
    }
    const claim = { owner: "o", leaseMs: 60_000 };
    const held = (await jobs.take(first._id, claim)) as Stored<ProofJob>;
    await jobs.update(held, claim, { rowsDone: 3 });
    await expect.poll(() => queue.rowsWaiting("a")).toBe(4);
    await jobs.cancel(second._id);
    await expect.poll(() => queue.rowsWaiting("a")).toBe(1);
    // News from before its end.
    queue.noticed(second);
    expect(queue.rowsWaiting("a")).toBe(1);
    expect(await queue.waiting(5)).toEqual([]);
  });

  it("counts the rows that wait for a circuit, whatever its name", async () => {
    const { add, jobs, open } = await useQueue();
    await add("a", { rows: 4, circuit: "old" });
    const second = await add("b", { rows: 3, circuit: "old" });
    await add("a", { rows: 2, circuit: "new" });
    const queue = await open();
    expect(["old", "new", "none"].map((uid) => queue.rowsOf(uid))).toEqual([7, 2, 0]);
    queue.noticed(await jobs.cancel(second._id));
    expect(queue.rowsOf("old")).toBe(4);
  });

  it("tells of the inputs of a job that has ended, once, also of other replicas'", async () => {
    const { add, freed, jobs, open } = await useQueue();
    const first = await add("a", { inputs: "x" });
    const second = await add("a", { inputs: "y" });
    const inline = await add("a");
    const queue = await open();
    await jobs.cancel(inline._id);
    await jobs.cancel(second._id);
    await expect.poll(() => freed).toEqual(["a2 y"]);
    const ended = await jobs.cancel(first._id);
    queue.noticed(ended);
    queue.noticed(ended);
    await expect.poll(() => queue.rowsWaiting("a")).toBe(0);
    expect(freed).toEqual(["a2 y", "a1 x"]);
  });

  it("tells who takes jobs up of each that waits", async () => {
    const { add, open } = await useQueue();
    const queue = await open();
    let told = 0;
    queue.listen(() => void told++);
    await add("a");
    await expect.poll(() => told).toBe(1);
  });
});
