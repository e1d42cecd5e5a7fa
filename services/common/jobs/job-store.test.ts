import { describe, expect, it } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../documents/port.ts";
import { useStore } from "../documents/testing.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { statusOf } from "./job-error.ts";
import { newJob, openTestJobs, type TestJob, TTL_MS } from "./testing.ts";

const signal = new AbortController().signal;
const LIST = { call: ["ListJobs", "w"], where: { workspace: "w" }, signal };

async function useJobs() {
  const clock = new FakeClock();
  const jobs = await openTestJobs(await useStore({ clock }), clock);
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

  it("hands out jobs by priority, then by age; those of old count as in the middle", async () => {
    const { clock, jobs } = await useJobs();
    const add = async (id: string, priority?: number) => {
      await jobs.create(newJob({ name: id, ...(priority === undefined ? {} : { priority }) }));
      clock.advance(1);
    };
    await add("last", 9);
    await add("middle");
    await add("first of old");
    await add("below", 6);
    await add("of old");
    await add("above", 4);
    await add("first", 0);
    for (const id of ["first of old", "of old"]) {
      const { version, revision: _, priority: __, ...old } = await jobs.get(id);
      await jobs.collection.replaceOne(old as TestJob, { ifVersion: version });
    }
    const order = ["first", "above", "middle", "first of old", "of old", "below", "last"];
    expect(await jobs.waiting(10, signal)).toEqual(order);
    expect(await jobs.waiting(4, signal)).toEqual(order.slice(0, 4));
    // An abandoned one goes before all others: somebody saw it begin.
    await jobs.take("last", claim("dead"));
    clock.advance(10_000);
    expect(await jobs.waiting(2, signal)).toEqual(["last", "first", "above"]);
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

  it("goes some time after its end, but for one that is to stay", async () => {
    const { clock, jobs } = await useJobs();
    const end = async (job: Parameters<typeof newJob>[0], state: "SUCCEEDED" | "FAILED") => {
      const { _id: name } = await jobs.create(newJob(job));
      const held = (await jobs.take(name, claim("a"))) as Stored<TestJob>;
      return (await jobs.end(held, "a", { state })) as Stored<TestJob>;
    };
    const waiting = await jobs.create(newJob());
    const done = await end({}, "SUCCEEDED");
    const failed = await end({ stays: true }, "FAILED");
    const made = await end({ stays: true }, "SUCCEEDED");
    const cancelled = await jobs.create(newJob());
    await jobs.cancel(cancelled._id);
    expect(done).toMatchObject({ lastWords: "SUCCEEDED", lease: null });
    expect(done.expireTime).toEqual(new Date(clock.now() + TTL_MS));
    expect([waiting, made].map(({ expireTime }) => expireTime)).toEqual([null, null]);
    clock.advance(TTL_MS - 1);
    expect(await jobs.get(failed._id)).toMatchObject({ state: "FAILED" });
    clock.advance(1);
    for (const { _id } of [done, failed, cancelled]) {
      await expect(jobs.get(_id)).rejects.toMatchObject({ kind: "NotFound" });
    }
    const page = await jobs.list({ ...LIST, pageSize: 0, pageToken: "" });
    expect(page.items.map(({ _id }) => _id).sort()).toEqual([waiting._id, made._id].sort());
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
    expect(await jobs.cancel(waiting._id)).toMatchObject({
      state: "CANCELLED",
      lease: null,
      lastWords: "CANCELLED",
    });
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
    expect(failed).toMatchObject({ state: "FAILED", attempt: 5, lastWords: "FAILED" });
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
    const query = { ...LIST, pageSize: 2, pageToken: "" };
    const page = await jobs.list(query);
    expect(page.items.map(({ _id }) => _id)).toEqual([
      "workspaces/w/jobs/c",
      "workspaces/w/jobs/b",
    ]);
    const rest = await jobs.list({ ...query, pageToken: page.nextPageToken });
    expect(rest.items.map(({ _id }) => _id)).toEqual(["workspaces/w/jobs/a"]);
    expect(rest.nextPageToken).toBe("");
  });
});
