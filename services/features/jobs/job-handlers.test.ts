import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import { TableFormat } from "../../../gen/plinth/features/v1/table_pb.js";
import {
  AIRPORT_STATS,
  airportCsv,
  applyFlights,
  clockOfTheTenth,
  FLIGHT_DELAY,
  PARENT,
} from "../testing/flights.ts";
import {
  jobDone,
  jobEnded,
  sha256,
  tableMessages,
  uploadTable,
  useFeatures,
} from "../testing/use-features.ts";

const CSV = airportCsv([["ATL", 1, 5, 100]]);
const compaction = { featureView: AIRPORT_STATS };

describe("UploadTable", () => {
  it("says what is in the file; the same file is the same table, which stays longer", async () => {
    const clock = clockOfTheTenth();
    const features = await useFeatures({ clock });
    const table = await features.jobs.uploadTable(
      tableMessages({ parent: PARENT }, Buffer.from(CSV)),
    );
    expect(table).toMatchObject({
      name: `${PARENT}/tables/${sha256(Buffer.from(CSV))}`,
      sizeBytes: BigInt(CSV.length),
      format: TableFormat.CSV,
      rows: 1n,
      columns: [
        { name: "airport" },
        { name: "event_timestamp" },
        { name: "created_timestamp" },
        { name: "delay" },
        { name: "flights" },
      ],
    });
    clock.advance(60_000);
    const again = await features.jobs.uploadTable(
      tableMessages({ parent: PARENT }, Buffer.from(CSV)),
    );
    expect(again.name).toBe(table.name);
    expect(again.createTime).toEqual(table.createTime);
    const seconds = Number(again.expireTime?.seconds) - Number(table.expireTime?.seconds);
    expect(seconds).toBe(60);
    const elsewhere = await uploadTable(features, CSV, { parent: "workspaces/other" });
    expect(elsewhere).not.toBe(table.name);
    expect(await Array.fromAsync(features.blobs.list())).toHaveLength(1);
  });

  it("refuses what is no table, and keeps nothing of it", async () => {
    const features = await useFeatures({ config: { tableBytesMax: 1024 } });
    const upload = (bytes: Uint8Array, format?: TableFormat) =>
      uploadTable(features, bytes, format === undefined ? {} : { format });
    const refused = { kind: "InvalidArgument" };
    await expect(upload(Buffer.alloc(0))).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining("is empty"),
    });
    await expect(upload(Buffer.alloc(1025, "a"))).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining("more than 1024 bytes"),
    });
    await expect(upload(Buffer.from("PAR1 but no more"))).rejects.toMatchObject(refused);
    await expect(upload(Buffer.from(CSV), TableFormat.PARQUET)).rejects.toMatchObject(refused);
    await expect(upload(Buffer.from(CSV), TableFormat.NDJSON)).rejects.toMatchObject(refused);
    await expect(upload(Buffer.from(CSV), 9 as TableFormat)).rejects.toMatchObject({
      violations: [{ field: "start.format" }],
    });
    const noStart = features.jobs.uploadTable(
      (async function* () {
        yield { payload: { case: "chunk" as const, value: Buffer.from(CSV) } };
      })(),
    );
    await expect(noStart).rejects.toMatchObject({ violations: [{ field: "start" }] });
    expect(await features.blobs.staleStages(0)).toEqual([]);
  });
});

describe("Create calls", () => {
  it("say at once what is wrong", async () => {
    const features = await useFeatures();
    await applyFlights(features);
    const { jobs } = features;
    const table = await uploadTable(features, "origin,carrier\nATL,1\n");
    const trainingSet = { featureService: FLIGHT_DELAY, table };
    await expect(jobs.createTrainingSet({ parent: PARENT, trainingSet })).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringMatching(/lacks the column "dest".*"event_timestamp" is no column/),
    });
    const parent = PARENT;
    const unknown = { ...trainingSet, featureService: `${FLIGHT_DELAY}x` };
    await expect(jobs.createTrainingSet({ parent, trainingSet: unknown })).rejects.toMatchObject({
      kind: "NotFound",
    });
    const gone = { ...trainingSet, table: `${PARENT}/tables/${"0".repeat(64)}` };
    await expect(jobs.createTrainingSet({ parent, trainingSet: gone })).rejects.toMatchObject({
      kind: "NotFound",
      message: expect.stringContaining("UploadTable"),
    });
    const half = { featureView: AIRPORT_STATS, startTime: { seconds: 1n, nanos: 0 } };
    await expect(jobs.materializeFeatures({ parent, materialization: half })).rejects.toMatchObject(
      { violations: [{ field: "end_time" }] },
    );
    const other = { featureView: "workspaces/other/featureViews/airport_stats" };
    await expect(jobs.compactFeatureView({ parent, compaction: other })).rejects.toMatchObject({
      violations: [{ field: "feature_view" }],
    });
    await expect(jobs.compactFeatureView({ parent, jobId: "-" })).rejects.toMatchObject({
      violations: [{ field: "job_id" }, { field: "compaction" }],
    });
    const early = { seconds: -62_135_596_800n, nanos: 0 };
    const late = { seconds: 253_402_300_799n, nanos: 0 };
    const skewCheck = { featureService: FLIGHT_DELAY, startTime: early, endTime: late };
    await expect(jobs.checkSkew({ parent, skewCheck })).rejects.toMatchObject({
      violations: [
        { field: "start_time", description: "must be in the years 1685 to 2254" },
        { field: "end_time", description: "must be in the years 1685 to 2254" },
      ],
    });
    const newer = { target: 9 as never, badRows: 9 as never };
    const ingestion = { featureView: AIRPORT_STATS, table, ...newer };
    await expect(jobs.ingestFeatures({ parent, ingestion })).rejects.toMatchObject({
      violations: [{ field: "target" }, { field: "bad_rows" }],
    });
    const written = { ...trainingSet, format: 9 as TableFormat };
    await expect(jobs.createTrainingSet({ parent, trainingSet: written })).rejects.toMatchObject({
      message: expect.stringContaining("format is 9, which this server does not know"),
    });
    const erasure = { entity: `${PARENT}/entities/carrier`, keys: [{ name: "airport" }] };
    await expect(jobs.eraseEntity({ parent, erasure })).rejects.toMatchObject({
      violations: [{ field: "keys" }, { field: "keys" }],
    });
    const badKeys = { ...erasure, keys: [{ name: "carrier", ints: [1n, 2n], nulls: [1] }] };
    await expect(jobs.eraseEntity({ parent, erasure: badKeys })).rejects.toMatchObject({
      violations: [{ field: "keys.carrier" }],
    });
  });

  it("give the first job to a replay of their request", async () => {
    const features = await useFeatures();
    await applyFlights(features);
    const { jobs } = features;
    const request = { parent: PARENT, requestId: "once", compaction };
    const first = await jobs.compactFeatureView(request);
    await jobDone(features, first.name);
    expect(await jobs.compactFeatureView(request)).toMatchObject({
      name: first.name,
      state: Job_State.SUCCEEDED,
    });
    await expect(jobs.compactFeatureView({ ...request, jobId: "another" })).rejects.toMatchObject({
      violations: [{ field: "request_id" }],
    });
    await jobs.compactFeatureView({ parent: PARENT, jobId: "named", compaction });
    await expect(
      jobs.compactFeatureView({ parent: PARENT, jobId: "named", compaction }),
    ).rejects.toMatchObject({ kind: "AlreadyExists" });
  });
});

describe("jobs", () => {
  it("are listed, cancelled and deleted", async () => {
    const features = await useFeatures({ isStarted: false });
    await applyFlights(features);
    const { jobs } = features;
    const { name } = await jobs.compactFeatureView({ parent: PARENT, jobId: "a", compaction });
    await expect(jobs.deleteJob({ name })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.STATE_FORBIDS,
    });
    await expect(
      jobs.downloadTrainingSet({ name })[Symbol.asyncIterator]().next(),
    ).rejects.toMatchObject({
      kind: "FailedPrecondition",
    });
    const list = await jobs.listJobs({ parent: PARENT });
    expect(list.jobs).toMatchObject([{ name, state: Job_State.QUEUED, actor: "anonymous" }]);
    expect(await jobs.cancelJob({ name })).toMatchObject({ state: Job_State.CANCELLED });
    expect(await jobEnded(features, name)).toMatchObject({ state: Job_State.CANCELLED });
    await jobs.deleteJob({ name });
    await expect(jobs.getJob({ name })).rejects.toMatchObject({ kind: "NotFound" });
    expect((await jobs.listJobs({ parent: PARENT })).jobs).toEqual([]);
  });
});
