import { describe, expect, it } from "vitest";
import { PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import {
  AIRPORT_STATS,
  airportCsv,
  applyFlights,
  clockOfTheTenth,
  ingest,
  PARENT,
} from "../testing/flights.ts";
import { jobDone, useFeatures } from "../testing/use-features.ts";

describe("compactView", () => {
  it("joins the files of a day and drops rows that are there twice", async () => {
    const features = await useFeatures({ clock: clockOfTheTenth() });
    await applyFlights(features);
    const target = PushTarget.OFFLINE;
    const rows = [
      ["ATL", 1, 5, 100],
      ["SFO", 2, 5, 100],
    ] as const;
    await jobDone(features, await ingest(features, airportCsv(rows), { target }));
    await jobDone(features, await ingest(features, airportCsv(rows.slice(0, 1)), { target }));
    const third = airportCsv([["JFK", 1, 1, 1]]);
    await jobDone(features, await ingest(features, third, { target }));
    const { name } = await features.jobs.compactFeatureView({
      parent: PARENT,
      compaction: { featureView: AIRPORT_STATS },
    });
    expect((await jobDone(features, name)).work.value).toMatchObject({
      result: { filesBefore: 4, filesAfter: 2, rowsBefore: 4n, rowsAfter: 3n },
    });
    const status = await features.registry.getFeatureViewStatus({ name: AIRPORT_STATS });
    expect(status).toMatchObject({ offlineRows: 3n, offlineFiles: 2 });
  });
});
