import { describe, expect, it } from "vitest";
import { PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import { systemClock } from "../../common/clock.ts";
import { Leases } from "../offline/leases.ts";
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

const OFFLINE = PushTarget.OFFLINE;

async function useFlights(): Promise<TestFeatures> {
  const features = await useFeatures({ clock: clockOfTheTenth() });
  await applyFlights(features);
  return features;
}

interface Window {
  readonly from?: number;
  readonly to?: number;
  readonly keysPerSecondMax?: number;
}

async function begin(features: TestFeatures, window: Window = {}): Promise<string> {
  const { from, to, keysPerSecondMax = 0 } = window;
  const time = (day: number) => ({ seconds: BigInt(Date.parse(at(day)) / 1000), nanos: 0 });
  const materialization = {
    featureView: AIRPORT_STATS,
    keysPerSecondMax,
    ...(from === undefined ? {} : { startTime: time(from) }),
    ...(to === undefined ? {} : { endTime: time(to) }),
  };
  return (await features.jobs.materializeFeatures({ parent: PARENT, materialization })).name;
}

async function result(features: TestFeatures, window: Window = {}) {
  const { work } = await jobDone(features, await begin(features, window));
  if (work.case !== "materialization" || work.value.result === undefined) {
    throw new Error("there is no result");
  }
  const { rowsRead, keysWritten, keysUnchanged, snapshot } = work.value.result;
  return [rowsRead, keysWritten, keysUnchanged, snapshot].map(Number);
}

describe("materialize", () => {
  it("brings the newest row of each key online, and then only what came since", async () => {
    const features = await useFlights();
    const csv = airportCsv([
      ["ATL", 1, 5, 100],
      ["ATL", 3, 7.5, 110],
      ["SFO", 2, 4, 90],
    ]);
    await jobDone(features, await ingest(features, csv, { target: OFFLINE }));
    expect(await result(features)).toEqual([3, 2, 0, 1]);
    expect(await onlineDelays(features, ["ATL", "SFO"])).toEqual([7.5, 4]);
    expect(await result(features)).toEqual([0, 0, 0, 1]);
    await push(features, ["SFO", 4, 8], OFFLINE);
    await push(features, ["ATL", 2, 6], OFFLINE);
    const status = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status.unmaterializedRows + status.pendingRows).toBe(2n);
    expect(await result(features)).toEqual([2, 1, 1, 2]);
    expect(await onlineDelays(features, ["ATL", "SFO"])).toEqual([7.5, 8]);
    const after = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(after.unmaterializedRows).toBe(0n);
    expect(after.materializeTime).toBeDefined();
  });

  it("keeps keys apart that differ by a byte order mark in front", async () => {
    const features = await useFlights();
    await push(features, ["\ufeffATL", 4, 4], OFFLINE);
    await push(features, ["\ufeff\ufeffATL", 5, 5], OFFLINE);
    await push(features, ["ATL", 1, 1]);
    expect(await result(features)).toEqual([3, 2, 1, 1]);
    const airports = ["ATL", "\ufeffATL", "\ufeff\ufeffATL"];
    expect(await onlineDelays(features, airports)).toEqual([1, 4, 5]);
  });

  it("takes rows of an interval, its end excluded, without moving the watermark", async () => {
    const features = await useFlights();
    for (const day of [1, 2, 3, 4]) {
      await push(features, ["ATL", day, day], OFFLINE);
    }
    expect(await result(features, { from: 1, to: 3 })).toEqual([2, 1, 0, 0]);
    expect(await onlineDelays(features, ["ATL"])).toEqual([2]);
    expect(await result(features, { from: 1, to: 3 })).toEqual([2, 0, 1, 0]);
    expect(await result(features)).toEqual([4, 1, 0, 1]);
    expect(await onlineDelays(features, ["ATL"])).toEqual([4]);
  });

  it("waits for another job on the view, and says so", async () => {
    const features = await useFlights();
    await push(features, ["ATL", 1, 1], OFFLINE);
    const view = await features.registry.getFeatureView({ name: AIRPORT_STATS });
    const leases = await Leases.open(features.documents, { clock: systemClock, leaseMs: 60_000 });
    const lease = await leases.acquire(`view|${view.uid}`, "another");
    const name = await begin(features);
    for await (const { job } of features.jobs.watchJob({ name })) {
      if (job?.progress?.phase === "waiting for another job on this view") {
        break;
      }
    }
    await lease?.[Symbol.asyncDispose]();
    await jobDone(features, name);
    expect(await onlineDelays(features, ["ATL"])).toEqual([1]);
  });

  it("can be cancelled while it waits for its rate; what it wrote stays", async () => {
    const features = await useFlights();
    const rows = Array.from({ length: 30 }, (_, n) => {
      return [`A${String(n).padStart(2, "0")}`, 1, n, 1] as const;
    });
    await jobDone(features, await ingest(features, airportCsv(rows), { target: OFFLINE }));
    // The clock of the service stands still: one piece of one key passes, the next never does.
    const name = await begin(features, { keysPerSecondMax: 10 });
    for await (const { job } of features.jobs.watchJob({ name })) {
      if (job?.progress?.done === 1n) {
        break;
      }
    }
    await features.jobs.cancelJob({ name });
    expect(await jobEnded(features, name)).toMatchObject({ state: Job_State.CANCELLED });
    expect(await onlineDelays(features, ["A00", "A01"])).toEqual([0, "NOT_FOUND"]);
    expect(await result(features)).toEqual([30, 29, 1, 1]);
  });
});
