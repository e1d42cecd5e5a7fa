import { describe, expect, it } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import type { Job } from "./job.ts";
import { statusOf } from "./job-error.ts";
import { JobStore } from "./job-store.ts";
import { newJob } from "./testing.ts";

const TTL_MS = 60_000;

const signal = new AbortController().signal;

async function useJobs() {
  const clock = new FakeClock();
  const jobs = await JobStore.open(await useStore({ clock }), { clock, ttlMs: TTL_MS });
  return { clock, jobs };
}

const claim = (owner: string) => ({ owner, leaseMs: 10_000 });

describe("JobStore", () => {
  it("gives the first job to a replay of its request, and refuses the id to another", async () => {
    const { jobs } = await useJobs();
    const work = { featureView: "a" };
    const first = await jobs.create(newJob({ name: "workspaces/w/jobs/a", work, requestId: "r" }));
    const again = newJob({ name: "workspaces/w/jobs/a", work, requestId: "r" });
    expect(await jobs.create(again)).toEqual(first);
    expect(await jobs.findReplayed(again.stamp)).toEqual(first);
    const other = newJob({ name: "workspaces/w/jobs/b", work: {}, requestId: "r" });
    await expect(jobs.create(other)).rejects.toMatchObject({ kind: "InvalidArgument" });
    await expect(jobs.create(newJob({ name: "workspaces/w/jobs/a" }))).rejects.toMatchObject({
      kind: "AlreadyExists",
    });
  });

  it("is taken by one worker, and by the next once that one's lease is over", async () => {
    const { clock, jobs } = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    const [a, b] = await Promise.all([jobs.take(name, claim("a")), jobs.take(name, claim("b"))]);
    const [winner] = [a, b].filter((job) => job !== undefined);
    expect([a, b].filter((job) => job !== undefined)).toHaveLength(1);
    expect(winner).toMatchObject({ state: "RUNNING", attempt: 1, abandoned: 0 });
    clock.advance(9_999);
    expect(await jobs.take(name, claim("c"))).toBeUndefined();
    expect(await jobs.waiting(10, signal)).toEqual([]);
    clock.advance(1);
    expect(await jobs.waiting(10, signal)).toEqual([name]);
    const taken = await jobs.take(name, claim("c"));
    expect(taken).toMatchObject({ attempt: 2, abandoned: 1, startTime: winner?.startTime });
    const stale = winner as NonNullable<typeof winner>;
    expect(await jobs.update(stale, claim(stale.lease?.owner ?? ""), {})).toBeUndefined();
    expect(await jobs.end(stale, stale.lease?.owner ?? "", { state: "FAILED" })).toBeUndefined();
    expect((await jobs.get(name)).state).toBe("RUNNING");
  });

  it("goes some time after its end, but for a training set that was made", async () => {
    const { clock, jobs } = await useJobs();
    const end = async (job: Parameters<typeof newJob>[0], state: "SUCCEEDED" | "FAILED") => {
      const { _id: name } = await jobs.create(newJob(job));
      const held = (await jobs.take(name, claim("a"))) as Stored<Job>;
      return (await jobs.end(held, "a", { state })) as Stored<Job>;
    };
    const waiting = await jobs.create(newJob());
    const done = await end({ digests: ["a"] }, "SUCCEEDED");
    const failed = await end({ kind: "training_set" }, "FAILED");
    const made = await end({ kind: "training_set", digests: ["b"] }, "SUCCEEDED");
    const cancelled = await jobs.create(newJob());
    await jobs.cancel(cancelled._id);
    expect(done.expireTime).toEqual(new Date(clock.now() + TTL_MS));
    expect([waiting, made].map(({ expireTime }) => expireTime)).toEqual([null, null]);
    clock.advance(TTL_MS - 1);
    expect(await jobs.get(failed._id)).toMatchObject({ state: "FAILED" });
    clock.advance(1);
    for (const { _id } of [done, failed, cancelled]) {
      await expect(jobs.get(_id)).rejects.toMatchObject({ kind: "NotFound" });
    }
    const page = await jobs.list({ workspace: "w", pageSize: 0, pageToken: "", signal });
    expect(page.items.map(({ _id }) => _id).sort()).toEqual([waiting._id, made._id].sort());
    expect(await Array.fromAsync(jobs.referencedDigests())).toEqual(["b"]);
  });

  it("keeps what a cancel wrote when the worker writes", async () => {
    const { jobs } = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    const held = await jobs.take(name, claim("a"));
    expect(await jobs.cancel(name)).toMatchObject({ state: "RUNNING", cancelRequested: true });
    const written = await jobs.update(held as NonNullable<typeof held>, claim("a"), {
      checkpoint: 7,
    });
    expect(written).toMatchObject({ cancelRequested: true, checkpoint: 7 });
  });

  it("cancels a job at once that nobody works on", async () => {
    const { clock, jobs } = await useJobs();
    const waiting = await jobs.create(newJob());
    expect(await jobs.cancel(waiting._id)).toMatchObject({ state: "CANCELLED", lease: null });
    const silent = await jobs.create(newJob());
    await jobs.take(silent._id, claim("a"));
    clock.advance(10_000);
    expect(await jobs.cancel(silent._id)).toMatchObject({ state: "CANCELLED" });
    const asked = await jobs.create(newJob());
    await jobs.take(asked._id, claim("a"));
    await jobs.cancel(asked._id);
    clock.advance(10_000);
    expect(await jobs.take(asked._id, claim("b"))).toBeUndefined();
    const done = await jobs.get(asked._id);
    expect(done.state).toBe("CANCELLED");
    expect(await jobs.cancel(asked._id)).toEqual(done);
  });

  it("gives up on a job whose workers keep dying", async () => {
    const { clock, jobs } = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await jobs.take(name, claim(`${attempt}`))).toMatchObject({ attempt });
      clock.advance(10_000);
    }
    expect(await jobs.take(name, claim("last"))).toBeUndefined();
    const failed = await jobs.get(name);
    expect(failed).toMatchObject({ state: "FAILED", attempt: 5, lease: null });
    expect(statusOf(failed.error ?? {})).toMatchObject({ code: Code.INTERNAL });
  });

  it("hands a released job on with its checkpoint", async () => {
    const { jobs } = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    const held = await jobs.take(name, claim("a"));
    const written = await jobs.update(held as NonNullable<typeof held>, claim("a"), {
      checkpoint: { at: 3 },
    });
    await jobs.release(written as NonNullable<typeof written>, "a");
    expect(await jobs.waiting(10, signal)).toEqual([name]);
    expect(await jobs.take(name, claim("b"))).toMatchObject({ checkpoint: { at: 3 }, attempt: 2 });
  });

  it("deletes only what has ended", async () => {
    const { jobs } = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    await expect(jobs.delete(name)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.STATE_FORBIDS,
    });
    await jobs.cancel(name);
    await jobs.delete(name);
    await expect(jobs.get(name)).rejects.toMatchObject({ kind: "NotFound" });
    await expect(jobs.delete(name)).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("lists the newest first, page by page", async () => {
    const { clock, jobs } = await useJobs();
    for (const id of ["a", "b", "c"]) {
      await jobs.create(newJob({ name: `workspaces/w/jobs/${id}` }));
      clock.advance(1);
    }
    await jobs.create(newJob({ name: "workspaces/x/jobs/d", workspace: "x" }));
    const query = { workspace: "w", pageSize: 2, pageToken: "", signal };
    const page = await jobs.list(query);
    expect(page.items.map(({ _id }) => _id)).toEqual([
      "workspaces/w/jobs/c",
      "workspaces/w/jobs/b",
    ]);
    const rest = await jobs.list({ ...query, pageToken: page.nextPageToken });
    expect(rest.items.map(({ _id }) => _id)).toEqual(["workspaces/w/jobs/a"]);
    expect(rest.nextPageToken).toBe("");
  });

  it("names the blobs of jobs and of tables until these expire", async () => {
    const { clock, jobs } = await useJobs();
    await jobs.create(newJob({ digests: ["job"] }));
    const table = { _id: "workspaces/w/tables/t", workspace: "w", digest: "t", sizeBytes: 1 };
    const expireTime = new Date(clock.now() + 1000);
    await jobs.tables.put({ ...table, expireTime, content: null });
    expect(await Array.fromAsync(jobs.referencedDigests())).toEqual(["t", "job"]);
    const content = { format: "csv", rows: 1, columns: [] } as const;
    await jobs.tables.put({ ...table, expireTime: new Date(clock.now() + 500), content });
    expect(await jobs.tables.find(table._id)).toMatchObject({ expireTime, content });
    await jobs.tables.drop(table._id);
    expect(await jobs.tables.keep(table._id, 2000)).toBe(true);
    clock.advance(1500);
    expect(await Array.fromAsync(jobs.referencedDigests())).toEqual(["t", "job"]);
    clock.advance(600);
    expect(await Array.fromAsync(jobs.referencedDigests())).toEqual(["job"]);
    expect(await jobs.tables.keep(table._id, 2000)).toBe(false);
  });
});
