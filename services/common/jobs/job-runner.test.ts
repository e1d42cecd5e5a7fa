import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { openSqliteStore } from "../documents/sqlite.ts";
import { useStore } from "../documents/testing.ts";
import { InvalidArgument, Unavailable } from "../errors/domain-error.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { useFolder } from "../testing/use-folder.ts";
import { HAND_BACK, type RunningJob } from "./job.ts";
import { statusOf } from "./job-error.ts";
import type { JobStore } from "./job-store.ts";
import { ended, newJob, openTestJobs, type TestJob, until, useRunner } from "./testing.ts";
import { watchJob } from "./watch-job.ts";

async function useJobs(): Promise<JobStore<TestJob>> {
  return await openTestJobs(await useStore());
}

/** Two stores on one file, as two replicas have them. */
async function useTwo(): Promise<readonly [JobStore<TestJob>, JobStore<TestJob>]> {
  const path = join(useFolder(), "store.db");
  const open = async () => {
    const documents = await openSqliteStore({ path });
    onTestFinished(async () => {
      await documents[Symbol.asyncDispose]();
    });
    return await openTestJobs(documents);
  };
  return [await open(), await open()];
}

/** Resolves when the signal aborts, by throwing its reason. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

describe("JobRunner", () => {
  it("runs a job to its result and shows its progress", async () => {
    const jobs = await useJobs();
    useRunner(jobs, async (job) => {
      job.progress({ phase: "compacting", done: 1, total: 2, unit: "days" });
      await until(jobs, job.job._id, ({ progress }) => progress !== null);
      job.progress({ phase: "compacting", done: 2, total: 2, unit: "days" });
      return { work: { ...job.job.work, result: { filesAfter: 1 } } };
    });
    const { _id: name } = await jobs.create(newJob({ work: { featureView: "v" } }));
    expect(await ended(jobs, name)).toMatchObject({
      state: "SUCCEEDED",
      attempt: 1,
      error: null,
      lease: null,
      work: { featureView: "v", result: { filesAfter: 1 } },
      progress: { phase: "compacting", done: 2, total: 2, unit: "days" },
    });
  });

  it("fails a job with the error of its work, details and all", async () => {
    const jobs = await useJobs();
    useRunner(jobs, async () => {
      throw new InvalidArgument("row 3 is bad.", {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "rows[3]", description: "is bad" }],
      });
    });
    const { _id: name } = await jobs.create(newJob());
    const { error, state } = await ended(jobs, name);
    expect(state).toBe("FAILED");
    const status = statusOf(error ?? {});
    expect(status).toMatchObject({ code: Code.INVALID_ARGUMENT, message: "row 3 is bad." });
    expect(status.details.map(({ typeUrl }) => typeUrl)).toEqual([
      "type.googleapis.com/google.rpc.ErrorInfo",
      "type.googleapis.com/google.rpc.BadRequest",
    ]);
  });

  it("says nothing of what nobody foresaw, but to the log", async () => {
    const jobs = await useJobs();
    const failures: unknown[] = [];
    const run = async () => {
      throw new Error("secret path");
    };
    useRunner(jobs, run, { failures });
    const { _id: name } = await jobs.create(newJob());
    const { error } = await ended(jobs, name);
    expect(JSON.stringify(error)).not.toContain("secret");
    expect(failures).toMatchObject([{ message: "secret path" }]);
  });

  it("tries again from the checkpoint while the failure may pass, five times in all", async () => {
    const jobs = await useJobs();
    const seen: unknown[] = [];
    useRunner(jobs, async (job) => {
      seen.push(job.job.checkpoint);
      await job.checkpoint({ checkpoint: { tries: seen.length } });
      if (job.job.work.lasting === true || seen.length < 3) {
        throw new Unavailable("The store is away.", {
          reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
          retryAfterMs: 1,
        });
      }
      return {};
    });
    const passing = await jobs.create(newJob());
    expect(await ended(jobs, passing._id)).toMatchObject({ state: "SUCCEEDED", attempt: 3 });
    expect(seen).toEqual([null, { tries: 1 }, { tries: 2 }]);
    const lasting = await jobs.create(newJob({ work: { lasting: true } }));
    const failed = await ended(jobs, lasting._id);
    expect(failed).toMatchObject({ state: "FAILED", attempt: 5 });
    expect(statusOf(failed.error ?? {}).code).toBe(Code.UNAVAILABLE);
    expect(seen).toHaveLength(8);
  });

  it("tries on as long as the job gets on in between", async () => {
    const jobs = await useJobs();
    let done = 0;
    const run = async (held: RunningJob<TestJob>) => {
      done += 1;
      // Nothing is done from the tenth time on.
      await held.checkpoint({ checkpoint: Math.min(done, 10) });
      throw new Unavailable("Away.", {
        reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
        retryAfterMs: 1,
      });
    };
    useRunner(jobs, run, {
      backoffFirstMs: 1,
      gotOn: (before, now) => before.checkpoint !== now.checkpoint,
    });
    const { _id: name } = await jobs.create(newJob());
    expect(await ended(jobs, name)).toMatchObject({ state: "FAILED", attempt: 14 });
  });

  it("works on no more jobs at once than it may, the longest waiting first", async () => {
    const jobs = await useJobs();
    for (let n = 0; n < 5; n++) {
      await jobs.create(newJob());
    }
    const names = await jobs.waiting(5, new AbortController().signal);
    const gate = Promise.withResolvers<void>();
    const begun: string[] = [];
    let atOnce = 0;
    let most = 0;
    const run = async (job: RunningJob<TestJob>) => {
      begun.push(job.job._id);
      most = Math.max(most, ++atOnce);
      await gate.promise;
      atOnce -= 1;
      return {};
    };
    useRunner(jobs, run, { jobsMax: 2 });
    await until(jobs, names[1] ?? "", ({ state }) => state === "RUNNING");
    gate.resolve();
    for (const name of names) {
      await ended(jobs, name);
    }
    expect(most).toBe(2);
    expect(begun).toHaveLength(5);
    expect(new Set(begun.slice(0, 2))).toEqual(new Set(names.slice(0, 2)));
  });

  it("stops a job that is cancelled through another replica", async () => {
    const [here, there] = await useTwo();
    let reason: unknown;
    useRunner(here, (job) =>
      untilAborted(job.signal).catch((error) => {
        reason = error;
        throw error;
      }),
    );
    const { _id: name } = await there.create(newJob());
    await until(there, name, ({ state }) => state === "RUNNING");
    expect(await there.cancel(name)).toMatchObject({ state: "RUNNING" });
    expect(await ended(there, name)).toMatchObject({ state: "CANCELLED", error: null });
    expect(reason).toMatchObject({
      kind: "Cancelled",
      message: expect.stringContaining("cancelled"),
    });
  });

  it("runs each job once where two replicas look for jobs", async () => {
    const [here, there] = await useTwo();
    const runs: string[] = [];
    const run = async (job: RunningJob<TestJob>) => {
      runs.push(job.job._id);
      await job.checkpoint({ checkpoint: 1 });
      return {};
    };
    useRunner(here, run, { jobsMax: 4 });
    useRunner(there, run, { jobsMax: 4 });
    const names: string[] = [];
    for (let n = 0; n < 30; n++) {
      names.push((await (n % 2 === 0 ? here : there).create(newJob()))._id);
    }
    for (const name of names) {
      expect(await ended(here, name)).toMatchObject({ state: "SUCCEEDED", attempt: 1 });
    }
    expect(runs.sort()).toEqual(names.sort());
  });

  it("hands its jobs on at once when it stops", async () => {
    const [here, there] = await useTwo();
    // A lease that never runs out, and no polling: only the release can hand the job on.
    const config = { leaseMs: 600_000, pollMs: 600_000 };
    const half = Promise.withResolvers<void>();
    const first = useRunner(
      here,
      async (job) => {
        await job.checkpoint({ checkpoint: { half: true } });
        half.resolve();
        return await untilAborted(job.signal);
      },
      config,
    );
    const { _id: name } = await here.create(newJob());
    await half.promise;
    useRunner(there, async (job) => ({ work: { from: job.job.checkpoint as never } }), config);
    await first.drain();
    expect(await ended(there, name)).toMatchObject({
      state: "SUCCEEDED",
      attempt: 2,
      abandoned: 0,
      work: { from: { half: true } },
    });
  });

  it("takes turns where a job is handed back, and asks for the best ones as it is told", async () => {
    const jobs = await useJobs();
    const turns: string[] = [];
    const names = [await jobs.create(newJob()), await jobs.create(newJob())].map(({ _id }) => _id);
    const run = async (held: RunningJob<TestJob>) => {
      turns.push(held.job._id);
      const done = Number(held.job.checkpoint) + 1;
      await held.checkpoint({ checkpoint: done });
      return done === 3 ? { work: { done } } : HAND_BACK;
    };
    const waiting = async (limit: number, signal: AbortSignal) => {
      const found = await jobs.waiting(limit, signal);
      return found.toSorted((a) => (a === turns.at(-1) ? 1 : -1));
    };
    useRunner(jobs, run, { jobsMax: 1, waiting });
    for (const name of names) {
      expect(await ended(jobs, name)).toMatchObject({ attempt: 3, abandoned: 0, lease: null });
    }
    expect(turns).toHaveLength(6);
    expect(turns.slice(2)).toEqual([...turns.slice(0, 2), ...turns.slice(0, 2)]);
  });

  it("writes what the end calls for, and does not end the job before that worked", async () => {
    const jobs = await useJobs();
    const failures: unknown[] = [];
    let calls = 0;
    useRunner(jobs, async () => ({ work: { done: true } }), {
      failures,
      onEnd: async ({ work }, state) => {
        calls += 1;
        if (calls === 1) {
          throw new Error("not now");
        }
        return { actor: `${state} ${JSON.stringify(work)}` };
      },
    });
    const { _id: name } = await jobs.create(newJob());
    expect(await ended(jobs, name)).toMatchObject({ actor: "SUCCEEDED {}", work: { done: true } });
    expect(failures).toMatchObject([{ message: "not now" }]);
  });

  it("takes over from a worker that fell silent, whose late writes are refused", async () => {
    const clock = new FakeClock();
    const jobs = await openTestJobs(await useStore({ clock }), clock);
    const { _id: name } = await jobs.create(newJob());
    // A worker that dies: it takes the job and never renews.
    const dead = await jobs.take(name, { owner: "dead", leaseMs: 2_000 });
    const runner = useRunner(jobs, async () => ({ work: { done: true } }), { clock });
    runner.lookSoon();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await jobs.get(name)).lease?.owner).toBe("dead");
    clock.advance(2_000);
    runner.lookSoon();
    expect(await ended(jobs, name)).toMatchObject({ attempt: 2, work: { done: true } });
    const late = { state: "FAILED" } as const;
    expect(await jobs.end(dead as NonNullable<typeof dead>, "dead", late)).toBeUndefined();
    expect((await jobs.get(name)).state).toBe("SUCCEEDED");
  });

  it("stops the work of a worker whose lease another took", async () => {
    const clock = new FakeClock();
    const jobs = await openTestJobs(await useStore({ clock }), clock);
    const outcome = Promise.withResolvers<unknown>();
    // The fake clock stands still, and so do the heartbeats' effects: the lease runs out.
    useRunner(
      jobs,
      async (job) => {
        await untilAborted(job.signal).catch(outcome.resolve);
        await job.checkpoint({ checkpoint: { late: true } });
        return { work: { late: true } };
      },
      { clock, leaseMs: 600_000 },
    );
    const { _id: name } = await jobs.create(newJob());
    await until(jobs, name, ({ state }) => state === "RUNNING");
    clock.advance(600_000);
    expect(await jobs.take(name, { owner: "thief", leaseMs: 600_000 })).toBeDefined();
    expect(await outcome.promise).toMatchObject({ message: expect.stringContaining("no longer") });
    expect(await jobs.get(name)).toMatchObject({ checkpoint: null, lease: { owner: "thief" } });
  });
});

describe("watchJob", () => {
  it("shows the job now and after each change a reader could see, and ends with it", async () => {
    const jobs = await useJobs();
    const { _id: name } = await jobs.create(newJob());
    const states: string[] = [];
    const gate = Promise.withResolvers<void>();
    const watched = (async () => {
      for await (const job of watchJob(jobs, name, AbortSignal.timeout(10_000))) {
        states.push(`${job.state} ${job.progress?.done ?? "-"}`);
        if (job.state === "QUEUED") {
          gate.resolve();
        }
      }
    })();
    await gate.promise;
    const claim = { owner: "o", leaseMs: 10_000 };
    let held = await jobs.take(name, claim);
    const next = async (change: object) => {
      held = await jobs.update(held as NonNullable<typeof held>, claim, change);
    };
    await until(jobs, name, ({ state }) => state === "RUNNING");
    await next({});
    await next({});
    for (let done = 1; done <= 50; done++) {
      await next({ progress: { phase: "p", done, total: 50, unit: "u" } });
    }
    await jobs.end(held as NonNullable<typeof held>, "o", { state: "SUCCEEDED" });
    await watched;
    expect(states[0]).toBe("QUEUED -");
    expect(states.at(-1)).toBe("SUCCEEDED 50");
    expect(new Set(states).size).toBe(states.length);
    expect(states.length).toBeLessThan(54);
  });

  it("says that there is no such job", async () => {
    const jobs = await useJobs();
    const watch = watchJob(jobs, "workspaces/w/jobs/none", new AbortController().signal);
    await expect(watch.next()).rejects.toMatchObject({ kind: "NotFound" });
  });
});
