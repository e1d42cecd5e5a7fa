import { describe, expect, it } from "vitest";
import { PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { applyFlights, clockOfTheTenth, FLIGHT_DELAY, PARENT, push } from "../testing/flights.ts";
import { jobDone, type TestFeatures, useFeatures } from "../testing/use-features.ts";

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

async function check(features: TestFeatures) {
  const { name } = await features.jobs.checkSkew({
    parent: PARENT,
    skewCheck: { featureService: FLIGHT_DELAY },
  });
  const { work } = await jobDone(features, name);
  if (work.case !== "skewCheck" || work.value.result === undefined) {
    throw new Error("there is no result");
  }
  expect(work.value.featureService).toBe(`${FLIGHT_DELAY}/versions/1`);
  return work.value.result;
}

describe("checkSkew", () => {
  it("finds nothing where both stores have the same, and every value that differs", async () => {
    const features = await useFeatures({ clock: clockOfTheTenth() });
    await applyFlights(features, { sampleRate: 1 });
    await push(features, ["ATL", 5, 7]);
    await read(features, "ATL", "SFO");
    // Something that never came to the history: served, but no training set would have it.
    await push(features, ["SFO", 6, 3], PushTarget.ONLINE);
    await read(features, "SFO", "ATL");
    const heads = await features.documents.collection({ name: "feature_log", indexes: [] });
    const view = `reads:${FLIGHT_DELAY}/versions/1`;
    await expect.poll(() => heads.countDocuments({ view }), { timeout: 10_000 }).toBeGreaterThan(0);
    await expect
      .poll(async () => (await check(features)).rowsChecked, { timeout: 10_000 })
      .toBe(2n);
    const result = await check(features);
    expect(result).toMatchObject({ rowsChecked: 2n, rowsDiffering: 1n });
    const [difference] = result.differences;
    expect(result.differences).toHaveLength(1);
    expect(difference).toMatchObject({
      feature: "origin_delay",
      offlineValue: "null",
      onlineStatus: FieldStatus.PRESENT,
    });
    expect(Number(difference?.onlineValue)).toBe(3);
    const entity = new Map(difference?.entity.map((column) => [column.name, column]));
    expect(entity.get("origin")?.strings).toEqual(["SFO"]);
    expect(entity.get("dest")?.strings).toEqual(["ATL"]);
    expect(entity.get("carrier")?.ints).toEqual([1n]);
  }, 30_000);
});
