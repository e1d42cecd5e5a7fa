import { describe, expect, it } from "vitest";
import { TableFormat } from "../../../gen/plinth/features/v1/table_pb.js";
import {
  AIRPORT_STATS,
  airportCsv,
  applyFlights,
  at,
  clockOfTheTenth,
  FLIGHT_DELAY,
  ingest,
  onlineDelays,
  PARENT,
  push,
  ROUTE_STATS,
} from "../testing/flights.ts";
import {
  downloaded,
  jobDone,
  type TestFeatures,
  uploadTable,
  useFeatures,
} from "../testing/use-features.ts";

async function erase(features: TestFeatures, airports: string[], options = { dryRun: false }) {
  const keys = [{ name: "airport", strings: airports }];
  const erasure = { entity: `${PARENT}/entities/airport`, keys, ...options };
  const { name } = await features.jobs.eraseEntity({ parent: PARENT, erasure });
  const { work } = await jobDone(features, name);
  if (work.case !== "erasure" || work.value.result === undefined) {
    throw new Error("there is no result");
  }
  return work.value.result;
}

async function read(features: TestFeatures, origin: string, dest: string): Promise<void> {
  await features.store.getOnlineFeatures({
    parent: PARENT,
    featureService: FLIGHT_DELAY,
    entities: [
      { name: "origin", strings: [origin] },
      { name: "dest", strings: [dest] },
      { name: "carrier", ints: [1n] },
    ],
  });
}

async function makeTrainingSet(features: TestFeatures, origin: string, format: TableFormat) {
  const csv = `origin,dest,carrier,event_timestamp\n${origin},JFK,1,${at(5)}\n`;
  const trainingSet = {
    featureService: FLIGHT_DELAY,
    table: await uploadTable(features, csv),
    format,
  };
  const { name } = await features.jobs.createTrainingSet({ parent: PARENT, trainingSet });
  await jobDone(features, name);
  return name;
}

/** Three airports in both stores and both views, some of it in the log still. */
async function useFlights(sampleRate = 0): Promise<TestFeatures> {
  const features = await useFeatures({ clock: clockOfTheTenth() });
  await applyFlights(features, { sampleRate });
  const csv = airportCsv([
    ["ATL", 1, 5, 100],
    ["ATL", 3, 7.5, 110],
    ["SFO", 3, 4, 90],
    ["JFK", 3, 4, 90],
  ]);
  await jobDone(features, await ingest(features, csv));
  await push(features, ["ATL", 4, 9]);
  const routes = [
    "airport,carrier,event_timestamp,share",
    `ATL,1,${at(1)},0.5`,
    `ATL,2,${at(1)},0.25`,
    `SFO,1,${at(2)},1`,
    "",
  ];
  const into = { featureView: ROUTE_STATS };
  await jobDone(features, await ingest(features, routes.join("\n"), into));
  return features;
}

describe("eraseEntity", () => {
  it("removes the keys from every view, online and offline, and from the log", async () => {
    const features = await useFlights();
    const planned = await erase(features, ["ATL", "nowhere"], { dryRun: true });
    const views = [
      { featureView: AIRPORT_STATS, rows: 3n, files: 3 },
      { featureView: ROUTE_STATS, rows: 2n, files: 1 },
    ];
    // One document of the airport, two of its routes.
    expect(planned).toMatchObject({ onlineKeys: 3n, views, remaining: 8n, trainingSets: [] });
    expect(await onlineDelays(features, ["ATL"])).toEqual([9]);
    expect(await erase(features, ["ATL", "nowhere"])).toMatchObject({
      onlineKeys: 3n,
      views,
      remaining: 0n,
    });
    expect(await onlineDelays(features, ["ATL", "SFO", "JFK"])).toEqual(["NOT_FOUND", 4, 4]);
    const status = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status).toMatchObject({ offlineRows: 2n, offlineFiles: 1, pendingRows: 0n });
    const routes = await features.registry.getFeatureViewStatus({ name: ROUTE_STATS });
    expect(routes.offlineRows).toBe(1n);
    const nothing = { onlineKeys: 0n, views: [], remaining: 0n };
    expect(await erase(features, ["ATL"], { dryRun: true })).toMatchObject(nothing);
    expect(await erase(features, ["ATL"])).toMatchObject(nothing);
    // No file keeps their bytes.
    for await (const { digest } of features.blobs.list()) {
      const bytes = Buffer.concat(await Array.fromAsync(features.blobs.read(digest)));
      const isTable = bytes.subarray(0, 4).toString() !== "PAR1";
      expect(isTable || !bytes.includes("ATL")).toBe(true);
    }
  });

  it("removes kept reads of the keys, under whichever name they were read", async () => {
    const features = await useFlights(1);
    await read(features, "ATL", "SFO");
    await read(features, "SFO", "ATL");
    await read(features, "SFO", "JFK");
    // The service writes kept reads every second.
    const heads = await features.documents.collection({ name: "feature_log", indexes: [] });
    const view = `reads:${FLIGHT_DELAY}/versions/1`;
    const written = () => heads.countDocuments({ view });
    await expect.poll(written, { timeout: 10_000 }).toBeGreaterThan(0);
    const planned = await erase(features, ["ATL"], { dryRun: true });
    expect(planned.remaining).toBe(8n + 2n);
    expect((await erase(features, ["ATL"])).remaining).toBe(0n);
    expect((await erase(features, ["ATL"], { dryRun: true })).remaining).toBe(0n);
    const others = await erase(features, ["JFK"], { dryRun: true });
    // Its row online, its row offline, and the read that nobody erased.
    expect(others.remaining).toBe(3n);
  }, 30_000);

  it("names the training sets that hold the keys, and leaves them as they are", async () => {
    const features = await useFlights();
    const csv = await makeTrainingSet(features, "ATL", TableFormat.CSV);
    const parquet = await makeTrainingSet(features, "ATL", TableFormat.PARQUET);
    const other = await makeTrainingSet(features, "SFO", TableFormat.PARQUET);
    const { trainingSets } = await erase(features, ["ATL"]);
    expect(trainingSets).toEqual([csv, parquet].sort());
    expect((await downloaded(features, csv)).includes("ATL")).toBe(true);
    expect(other).not.toBe(parquet);
  });
});
