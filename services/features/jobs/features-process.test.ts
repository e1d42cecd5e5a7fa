import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import { useFolder } from "../../common/testing/use-folder.ts";
import {
  AIRPORT_STATS,
  airportCsv,
  applyFlights,
  ingest,
  onlineDelays,
  PARENT,
} from "../testing/flights.ts";
import { jobDone, type ServedFeatures, serveFeatures } from "../testing/use-features.ts";

const KEYS = 40_000;
const DAY = 20;

function keyOf(n: number): string {
  return `K${String(n).padStart(6, "0")}`;
}

/** Rows of airport_stats; `delay` is the number of the key, plus what is given. */
function csvOf(keys: number, plus = 0, day = DAY): string {
  return airportCsv(Array.from({ length: keys }, (_, n) => [keyOf(n), day, n + plus, 1] as const));
}

/** Kills the service once the job is as wanted, and starts it again over what it left. */
async function killWhen(
  served: ServedFeatures,
  parts: {
    readonly folder: string;
    readonly name: string;
    readonly isReached: (job: Job) => boolean;
    readonly afterMs?: number;
  },
): Promise<ServedFeatures> {
  for await (const { job } of served.jobs.watchJob({ name: parts.name })) {
    if (job !== undefined && job.endTime !== undefined) {
      throw new Error(`the job ended before it could be killed: ${Job_State[job.state]}`);
    }
    if (job !== undefined && parts.isReached(job)) {
      break;
    }
  }
  await sleep(parts.afterMs ?? 0);
  await served.kill();
  return await serveFeatures(parts.folder);
}

/** Values of some keys all over the range. */
async function sampled(served: ServedFeatures): Promise<readonly unknown[]> {
  const names = Array.from({ length: 100 }, (_, n) => keyOf((n * KEYS) / 100));
  return await onlineDelays(served, names);
}

const EXPECTED = Array.from({ length: 100 }, (_, n) => (n * KEYS) / 100);

describe("the features service, killed", () => {
  it("goes on with a materialisation where it was", async () => {
    const folder = useFolder();
    let served = await serveFeatures(folder);
    await applyFlights(served, { ttlDays: 0 });
    const target = PushTarget.OFFLINE;
    await jobDone(served, await ingest(served, csvOf(KEYS), { target }));
    const { name } = await served.jobs.materializeFeatures({
      parent: PARENT,
      // Slow enough to be in the middle of it for a while.
      materialization: { featureView: AIRPORT_STATS, keysPerSecondMax: 20_000 },
    });
    const isReached = (job: Job) => Number(job.progress?.done ?? 0n) >= 4_000;
    served = await killWhen(served, { folder, name, isReached });
    const job = await jobDone(served, name);
    expect(job.attempt).toBe(2);
    expect(await sampled(served)).toEqual(EXPECTED);
    const { result } = job.work.value as unknown as { result: Record<string, bigint> };
    const { keysWritten = 0n, keysUnchanged = 0n } = result;
    expect(Number(keysWritten + keysUnchanged)).toBe(KEYS);
    // It did not begin anew: at most what was between the last checkpoint and the end was redone.
    expect(Number(keysUnchanged)).toBeLessThanOrEqual(2_000);
  }, 60_000);

  it.each([
    ["erasing rows of airport_stats", 0],
    ["erasing rows of airport_stats", 150],
    ["erasing online", 0],
  ])(
    "goes on with an erasure, killed while %s (+%d ms); the counts are whole",
    async (phase, ms) => {
      const folder = useFolder();
      let served = await serveFeatures(folder);
      await applyFlights(served, { ttlDays: 0 });
      for (const day of [1, 2, 3, 4, 5, 6]) {
        const target = PushTarget.OFFLINE;
        await jobDone(served, await ingest(served, csvOf(2_000, day, day), { target }));
      }
      await jobDone(served, await ingest(served, csvOf(2_000)));
      const keys = Array.from({ length: 1_000 }, (_, n) => keyOf(2 * n));
      const { name } = await served.jobs.eraseEntity({
        parent: PARENT,
        erasure: {
          entity: `${PARENT}/entities/airport`,
          keys: [{ name: "airport", strings: keys }],
        },
      });
      const isReached = (job: Job) => job.progress?.phase === phase;
      served = await killWhen(served, { folder, name, isReached, afterMs: ms });
      const job = await jobDone(served, name);
      expect(job.attempt).toBe(2);
      expect(job.work.value).toMatchObject({
        result: {
          onlineKeys: 1_000n,
          views: [{ featureView: AIRPORT_STATS, rows: 7_000n, files: 7 }],
          remaining: 0n,
        },
      });
      const status = await served.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
      expect(status.offlineRows).toBe(7_000n);
      expect(await onlineDelays(served, [keyOf(0), keyOf(1), keyOf(2), keyOf(3)])).toEqual([
        "NOT_FOUND",
        1,
        "NOT_FOUND",
        3,
      ]);
    },
    60_000,
  );

  it("goes on with a compaction, and loses no row", async () => {
    const folder = useFolder();
    let served = await serveFeatures(folder);
    await applyFlights(served, { ttlDays: 0 });
    const target = PushTarget.OFFLINE;
    for (const plus of [0, 1, 2]) {
      const days = Array.from({ length: 15 }, (_, day) => {
        return [keyOf(plus), day + 1, plus, 1] as const;
      });
      await jobDone(served, await ingest(served, airportCsv(days), { target }));
    }
    const { name } = await served.jobs.compactFeatureView({
      parent: PARENT,
      compaction: { featureView: AIRPORT_STATS },
    });
    const isReached = (job: Job) => {
      return job.progress?.phase === "compacting" && job.progress.done >= 2n;
    };
    served = await killWhen(served, { folder, name, isReached });
    const job = await jobDone(served, name);
    expect(job.attempt).toBe(2);
    expect(job.work.value).toMatchObject({
      result: { filesBefore: 45, filesAfter: 15, rowsBefore: 45n, rowsAfter: 45n },
    });
    const status = await served.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status).toMatchObject({ offlineRows: 45n, offlineFiles: 15 });
  }, 60_000);

  it("adds the rows of an ingestion once", async () => {
    const folder = useFolder();
    let served = await serveFeatures(folder);
    await applyFlights(served, { ttlDays: 0 });
    const name = await ingest(served, csvOf(KEYS));
    const isReached = (job: Job) => job.progress?.phase === "writing online";
    served = await killWhen(served, { folder, name, isReached });
    const job = await jobDone(served, name);
    expect(job.work.value).toMatchObject({ result: { rowsRead: 40_000n, rowsWritten: 40_000n } });
    const status = await served.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status.offlineRows).toBe(40_000n);
    expect(await sampled(served)).toEqual(EXPECTED);
  }, 60_000);
});
