import { describe, expect, it } from "vitest";
import { Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import { TableFormat } from "../../../gen/plinth/features/v1/table_pb.js";
import {
  airportCsv,
  applyFlights,
  at,
  clockOfTheTenth,
  FLIGHT_DELAY,
  ingest,
  PARENT,
  push,
} from "../testing/flights.ts";
import {
  downloaded,
  jobDone,
  sha256,
  type TestFeatures,
  uploadTable,
  useFeatures,
} from "../testing/use-features.ts";

const TABLE = [
  "origin,dest,carrier,when,label",
  `ATL,SFO,1,${at(2)},0`,
  `ATL,JFK,1,${at(4)},1`,
  `ATL,ATL,1,${at(20)},1`,
  "",
].join("\n");

async function useFlights(): Promise<TestFeatures> {
  const features = await useFeatures({ clock: clockOfTheTenth() });
  await applyFlights(features);
  const csv = airportCsv([
    ["ATL", 1, 5, 100],
    ["ATL", 3, 7.5, 110],
    ["SFO", 1, "", 90],
  ]);
  await jobDone(features, await ingest(features, csv));
  return features;
}

async function make(features: TestFeatures, fields: { readonly format?: TableFormat } = {}) {
  const trainingSet = {
    featureService: FLIGHT_DELAY,
    table: await uploadTable(features, TABLE),
    eventTimestampColumn: "when",
    ...fields,
  };
  const { name } = await features.jobs.createTrainingSet({ parent: PARENT, trainingSet });
  return await jobDone(features, name);
}

describe("makeTrainingSet", () => {
  it("joins each row with what was known at its time, and says what it used", async () => {
    const features = await useFlights();
    const job = await make(features, { format: TableFormat.CSV });
    const { work } = job;
    if (work.case !== "trainingSet" || work.value.result === undefined) {
      throw new Error("there is no result");
    }
    const { result, featureService } = work.value;
    expect(featureService).toBe(`${FLIGHT_DELAY}/versions/1`);
    const file = await downloaded(features, job.name);
    expect(sha256(file)).toBe(result.sha256);
    expect(BigInt(file.length)).toBe(result.sizeBytes);
    const [header, ...rows] = file.toString("utf8").trim().split("\n");
    expect(header).toBe(
      "origin,dest,carrier,when,label,origin_delay,dest_delay,dest_flights,share",
    );
    const values = rows.map((row) => row.split(",").slice(5));
    expect(values).toEqual([
      ["5.0", "", "90", ""],
      ["7.5", "", "", ""],
      ["", "", "", ""],
    ]);
    expect(result.rows).toBe(3n);
    expect(result.columns.map(({ name }) => name)).toEqual(header?.split(","));
    expect(result.sources).toMatchObject([
      { featureView: `${PARENT}/featureViews/airport_stats/versions/1`, snapshot: 1n, rows: 3n },
      { featureView: `${PARENT}/featureViews/route_stats/versions/1`, snapshot: 0n, rows: 0n },
    ]);
    expect(result.features).toMatchObject([
      { feature: "origin_delay", present: 2n, outsideMaxAge: 1n, notFound: 0n },
      { feature: "dest_delay", nullValue: 1n, notFound: 1n, outsideMaxAge: 1n },
      { feature: "dest_flights", present: 1n, notFound: 1n, outsideMaxAge: 1n },
      { feature: "share", notFound: 3n },
    ]);
  });

  it("is the same file again from the same history, and takes in later pushes", async () => {
    const features = await useFlights();
    const digestOf = (job: Awaited<ReturnType<typeof make>>) =>
      job.work.case === "trainingSet" ? job.work.value.result?.sha256 : undefined;
    const first = await make(features);
    expect(digestOf(await make(features))).toBe(digestOf(first));
    await push(features, ["JFK", 3, 1]);
    const third = await make(features);
    expect(digestOf(third)).not.toBe(digestOf(first));
    expect(third.work.value).toMatchObject({
      result: { features: [{}, { feature: "dest_delay", present: 1n, notFound: 0n }, {}, {}] },
    });
  });

  it("gives its file from any byte on, until it is deleted", async () => {
    const features = await useFlights();
    const { name } = await make(features);
    const file = await downloaded(features, name);
    expect(file.subarray(0, 4).toString()).toBe("PAR1");
    const rest = features.jobs.downloadTrainingSet({ name, offset: BigInt(file.length - 4) });
    expect((await Array.fromAsync(rest)).map(({ chunk }) => Buffer.from(chunk).toString())).toEqual(
      ["PAR1"],
    );
    const beyond = features.jobs.downloadTrainingSet({ name, offset: BigInt(file.length + 1) });
    await expect(Array.fromAsync(beyond)).rejects.toMatchObject({
      violations: [{ field: "offset" }],
    });
    await features.jobs.deleteJob({ name });
    await expect(downloaded(features, name)).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("stays pinned to the version that was newest when it was asked for", async () => {
    const features = await useFeatures({ clock: clockOfTheTenth(), isStarted: false });
    await applyFlights(features);
    const table = await uploadTable(features, TABLE);
    const trainingSet = { featureService: FLIGHT_DELAY, table, eventTimestampColumn: "when" };
    const job = await features.jobs.createTrainingSet({ parent: PARENT, trainingSet });
    expect(job).toMatchObject({ state: Job_State.QUEUED });
    expect(job.work.value).toMatchObject({ featureService: `${FLIGHT_DELAY}/versions/1` });
  });
});
