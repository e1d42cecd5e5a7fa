import { describe, expect, it } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { BadRows, PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import {
  AIRPORT_STATS,
  airportCsv,
  applyFlights,
  at,
  clockOfTheTenth,
  ingest,
  onlineDelays,
  PARENT,
  push,
} from "../testing/flights.ts";
import { jobDone, jobEnded, type TestFeatures, useFeatures } from "../testing/use-features.ts";

const ROWS = [
  ["ATL", 1, 5, 100],
  ["ATL", 3, 7.5, 110],
  ["SFO", 2, "", 90],
] as const;

async function useFlights(): Promise<TestFeatures> {
  const features = await useFeatures({ clock: clockOfTheTenth() });
  await applyFlights(features);
  return features;
}

describe("ingestTable", () => {
  it("puts a file into both stores", async () => {
    const features = await useFlights();
    const job = await jobDone(features, await ingest(features, airportCsv(ROWS)));
    expect(job.work).toMatchObject({
      case: "ingestion",
      value: { result: { rowsRead: 3n, rowsWritten: 3n, keysWritten: 2n, rowsRefused: 0n } },
    });
    expect(await onlineDelays(features, ["ATL", "SFO", "JFK"])).toEqual([
      7.5,
      "NULL_VALUE",
      "NOT_FOUND",
    ]);
    const status = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status).toMatchObject({ offlineRows: 3n, offlineFiles: 3, pendingRows: 0n });
  });

  it("counts as a materialisation where nothing older waits for one", async () => {
    const features = await useFlights();
    const status = () => features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    await jobDone(features, await ingest(features, airportCsv(ROWS)));
    const first = await status();
    expect(first).toMatchObject({ unmaterializedRows: 0n });
    expect(first.materializeTime).toBeDefined();
    // A file that is offline only waits, and so does whatever comes after it.
    const offline = { target: PushTarget.OFFLINE };
    await jobDone(features, await ingest(features, airportCsv([["JFK", 1, 1, 1]]), offline));
    await jobDone(features, await ingest(features, airportCsv([["BOS", 1, 2, 2]])));
    expect(await status()).toMatchObject({ unmaterializedRows: 2n });
    const work = { parent: PARENT, materialization: { featureView: AIRPORT_STATS } };
    const { name } = await features.jobs.materializeFeatures(work);
    const job = await jobDone(features, name);
    expect(job.work.value).toMatchObject({ result: { keysWritten: 1n, keysUnchanged: 1n } });
    expect(await status()).toMatchObject({ unmaterializedRows: 0n });
    expect(await onlineDelays(features, ["JFK", "BOS"])).toEqual([1, 2]);
  });

  it("leaves newer rows online as they are", async () => {
    const features = await useFlights();
    await push(features, ["ATL", 4, 99]);
    const job = await jobDone(features, await ingest(features, airportCsv(ROWS)));
    expect(job.work.value).toMatchObject({ result: { keysWritten: 1n } });
    expect(await onlineDelays(features, ["ATL"])).toEqual([99]);
  });

  it("leaves nothing online of a key that is erased while it goes on", async () => {
    const config = { engineProcessesMax: 2 };
    const features = await useFeatures({ clock: clockOfTheTenth(), config });
    await applyFlights(features);
    const keys = Array.from({ length: 150_000 }, (_, n) => `K${String(n).padStart(6, "0")}`);
    const csv = airportCsv(keys.map((key, n) => [key, 9, n, 1] as const));
    const name = await ingest(features, csv);
    for await (const { job } of features.jobs.watchJob({ name })) {
      if (job?.progress?.phase === "writing online") {
        break;
      }
    }
    const last = keys.slice(-1);
    const erasure = {
      entity: `${PARENT}/entities/airport`,
      keys: [{ name: "airport", strings: last }],
    };
    const erased = await features.jobs.eraseEntity({ parent: PARENT, erasure });
    const [ingested, gone] = await Promise.all([
      jobDone(features, name),
      jobDone(features, erased.name),
    ]);
    expect(ingested.work.value).toMatchObject({ result: { keysWritten: 150_000n } });
    expect(gone.work.value).toMatchObject({ result: { onlineKeys: 1n, remaining: 0n } });
    expect(await onlineDelays(features, last)).toEqual(["NOT_FOUND"]);
  }, 60_000);

  it("writes only where it is asked to", async () => {
    const features = await useFlights();
    const offline = await ingest(features, airportCsv(ROWS), { target: PushTarget.OFFLINE });
    const first = await jobDone(features, offline);
    expect(first.work.value).toMatchObject({ result: { rowsWritten: 3n, keysWritten: 0n } });
    expect(await onlineDelays(features, ["ATL"])).toEqual(["NOT_FOUND"]);
    const online = await ingest(features, airportCsv([["JFK", 1, 2, 3]]), {
      target: PushTarget.ONLINE,
    });
    const second = await jobDone(features, online);
    expect(second.work.value).toMatchObject({ result: { rowsWritten: 0n, keysWritten: 1n } });
    expect(await onlineDelays(features, ["JFK"])).toEqual([2]);
    const status = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status.offlineRows).toBe(3n);
  });

  it("fails with the bad rows and stores nothing, unless they are to be skipped", async () => {
    const features = await useFlights();
    const csv = `${airportCsv(ROWS)}JFK,${at(1)},${at(1)},much,1\n,${at(1)},${at(1)},1,1\n`;
    const failed = await jobEnded(features, await ingest(features, csv));
    expect(failed.state).toBe(Job_State.FAILED);
    expect(failed.error?.code).toBe(Code.INVALID_ARGUMENT);
    expect(failed.error?.message).toMatch(/2 of 5 rows are bad.*rows\[3\]\.delay/);
    const refusals = [
      { row: 3n, column: "delay" },
      { row: 4n, column: "airport" },
    ];
    expect(failed.work.value).toMatchObject({
      result: { rowsRead: 5n, rowsWritten: 0n, keysWritten: 0n, rowsRefused: 2n, refusals },
    });
    expect(await onlineDelays(features, ["ATL"])).toEqual(["NOT_FOUND"]);
    const done = await jobDone(features, await ingest(features, csv, { badRows: BadRows.SKIP }));
    expect(done.work.value).toMatchObject({
      result: { rowsRead: 5n, rowsWritten: 3n, keysWritten: 2n, rowsRefused: 2n, refusals },
    });
  });
});
