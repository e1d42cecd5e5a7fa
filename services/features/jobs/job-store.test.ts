import { describe, expect, it } from "vitest";
import type { Stored } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import type { Job } from "./job.ts";
import { openJobs, referencedDigests } from "./job-store.ts";
import { keepTable } from "./run-kinds.ts";
import { TableStore } from "./table-store.ts";
import { newJob } from "./testing.ts";

const TTL_MS = 60_000;

async function useJobs() {
  const clock = new FakeClock();
  const documents = await useStore({ clock });
  const jobs = await openJobs(documents, { clock, ttlMs: TTL_MS });
  return { clock, jobs, tables: await TableStore.open(documents, clock) };
}

const claim = (owner: string) => ({ owner, leaseMs: 10_000 });

describe("jobs of the features service", () => {
  it("go some time after their end, but for a training set that was made", async () => {
    const { clock, ...stores } = await useJobs();
    const { jobs } = stores;
    const end = async (job: Parameters<typeof newJob>[0], state: "SUCCEEDED" | "FAILED") => {
      const { _id: name } = await jobs.create(newJob(job));
      const held = (await jobs.take(name, claim("a"))) as Stored<Job>;
      return (await jobs.end(held, "a", { state })) as Stored<Job>;
    };
    const done = await end({ digests: ["a"] }, "SUCCEEDED");
    const failed = await end({ kind: "training_set" }, "FAILED");
    const made = await end({ kind: "training_set", digests: ["b"] }, "SUCCEEDED");
    expect(done.expireTime).toEqual(new Date(clock.now() + TTL_MS));
    expect(made.expireTime).toBeNull();
    clock.advance(TTL_MS);
    for (const { _id } of [done, failed]) {
      await expect(jobs.get(_id)).rejects.toMatchObject({ kind: "NotFound" });
    }
    expect(await jobs.get(made._id)).toMatchObject({ state: "SUCCEEDED" });
    expect(await Array.fromAsync(referencedDigests(stores))).toEqual(["b"]);
  });

  it("keep the blob of their result alone when they end, and their table for a while", async () => {
    const { clock, jobs, tables } = await useJobs();
    const table = `workspaces/w/tables/${"ab".repeat(32)}`;
    const expireTime = new Date(clock.now() + 10);
    const digest = "ab".repeat(32);
    const content = { format: "csv", rows: 1, columns: [] } as const;
    const stored = { _id: table, workspace: "w", digest, sizeBytes: 1, expireTime, content };
    await tables.put(stored);
    const job = await jobs.create(newJob({ work: { table }, digests: [digest, "result"] }));
    const onEnd = keepTable(tables, TTL_MS);
    expect(await onEnd(job, "FAILED")).toEqual({ digests: [] });
    expect(await onEnd(job, "SUCCEEDED")).toEqual({ digests: ["result"] });
    expect((await tables.find(table))?.expireTime).toEqual(new Date(clock.now() + TTL_MS));
  });

  it("names the blobs of jobs and of tables until these expire", async () => {
    const { clock, ...stores } = await useJobs();
    const { jobs, tables } = stores;
    await jobs.create(newJob({ digests: ["job"] }));
    const table = { _id: "workspaces/w/tables/t", workspace: "w", digest: "t", sizeBytes: 1 };
    const expireTime = new Date(clock.now() + 1000);
    await tables.put({ ...table, expireTime, content: null });
    expect(await Array.fromAsync(referencedDigests(stores))).toEqual(["t", "job"]);
    const content = { format: "csv", rows: 1, columns: [] } as const;
    await tables.put({ ...table, expireTime: new Date(clock.now() + 500), content });
    expect(await tables.find(table._id)).toMatchObject({ expireTime, content });
    await tables.drop(table._id);
    expect(await tables.keep(table._id, 2000)).toBe(true);
    clock.advance(1500);
    expect(await Array.fromAsync(referencedDigests(stores))).toEqual(["t", "job"]);
    clock.advance(600);
    expect(await Array.fromAsync(referencedDigests(stores))).toEqual(["job"]);
    expect(await tables.keep(table._id, 2000)).toBe(false);
  });
});
