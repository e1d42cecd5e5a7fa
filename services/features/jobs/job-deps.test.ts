import { describe, expect, it } from "vitest";
import type { JobProgress } from "../../common/jobs/job.ts";
import {
  AIRPORT_SHAPE,
  AIRPORTS,
  airportRows,
  DAY_US,
  useOfflineStore,
} from "../offline/testing.ts";
import type { RunningJob } from "./job.ts";
import { type JobDeps, READ_TRIES, withSnapshots, withViewLease } from "./job-deps.ts";

async function useDeps() {
  const { offline } = await useOfflineStore();
  await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
  const shown: JobProgress[] = [];
  const stop = new AbortController();
  const job: RunningJob = {
    name: "workspaces/w/jobs/j",
    uid: "j",
    workspace: "w",
    attempt: 1,
    work: {},
    checkpoint: null,
    signal: stop.signal,
    progress: (progress) => void shown.push(progress),
    checkpointAt: async () => {},
  };
  // These functions take the offline store alone of what jobs have.
  return { deps: { offline } as unknown as JobDeps, offline, job, shown, stop };
}

describe("withSnapshots", () => {
  it("does it again where rows were erased meanwhile, also when nothing failed", async () => {
    const { deps, offline, job, shown } = await useDeps();
    const seen: number[] = [];
    const rows = await withSnapshots(deps, job, {
      histories: [AIRPORTS],
      use: async ([snapshot]) => {
        seen.push(snapshot?.rows ?? -1);
        if (seen.length === 1) {
          const remove = (snapshot?.files ?? []).map(({ digest }) => digest);
          await offline.replace(AIRPORTS, { remove, add: [], deleteNow: true });
        }
        return snapshot?.rows;
      },
    });
    expect([rows, seen]).toEqual([0, [1, 0]]);
    expect(shown.map(({ phase }) => phase)).toEqual(["starting over, as rows were erased"]);
  });

  it("gives up when that goes on, and passes on what failed for another reason", async () => {
    const { deps, offline, job } = await useDeps();
    let tries = 0;
    const again = withSnapshots(deps, job, {
      histories: [AIRPORTS],
      use: async ([snapshot]) => {
        tries += 1;
        const remove = (snapshot?.files ?? []).map(({ digest }) => digest);
        await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US + tries, 1]]));
        await offline.replace(AIRPORTS, { remove, add: [], deleteNow: true });
      },
    });
    await expect(again).rejects.toMatchObject({ kind: "Aborted" });
    expect(tries).toBe(READ_TRIES);
    const use = async (): Promise<never> => {
      throw new Error("broken");
    };
    await expect(withSnapshots(deps, job, { histories: [AIRPORTS], use })).rejects.toThrow(
      "broken",
    );
  });
});

describe("withViewLease", () => {
  it("lets a later attempt of the same job in at once, and no other job", async () => {
    const { deps, job, shown, stop } = await useDeps();
    const order: string[] = [];
    const dead = await deps.offline.lease(AIRPORTS, job.uid);
    await withViewLease(deps, job, {
      history: AIRPORTS,
      work: async () => {
        order.push("again");
        const other = { ...job, uid: "other" };
        const waits = withViewLease(deps, other, { history: AIRPORTS, work: async () => {} });
        await expect.poll(() => shown.length).toBeGreaterThan(0);
        stop.abort(new Error("stop"));
        await expect(waits).rejects.toThrow("stop");
      },
    });
    expect(order).toEqual(["again"]);
    expect(shown[0]?.phase).toBe("waiting for another job on this view");
    await dead?.[Symbol.asyncDispose]();
  });
});
