import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Baseline_Source, Baseline_State } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  BaselineFileFormat,
  MonitoringService,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService, type ServiceHandlers } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { baselineHandlers } from "./baseline-handlers.ts";
import { fixturePath } from "./testing/rows.ts";
import { batchOf, learnFrom, useReplica, useShared, VERSION } from "./testing/use-baselines.ts";
import { useRegistry, versionOf } from "./testing/use-registry.ts";

const NAME = `${VERSION.modelVersion}/baseline`;
const CSV = "x,y,prediction.p\n1,2,0.5\n3,4,0.25\n";

interface Start {
  readonly format?: BaselineFileFormat;
  readonly fileName?: string;
  readonly excludedColumns?: string[];
}

async function useBaselines(
  options: { readonly principal?: Principal; readonly isAlone?: boolean } = {},
) {
  const shared = await useShared();
  const replica = await useReplica(shared);
  const registry = await useRegistry();
  registry.versions.set(VERSION.modelVersion, versionOf(VERSION.modelVersion));
  const scratchDir = join(shared.folder, "scratch");
  const handlers = baselineHandlers({
    ...replica,
    config: { baselineBytesMax: 100_000, columnsMax: 10 },
    registry: options.isAlone === true ? undefined : registry.channel,
    scratchDir,
  });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => options.principal ?? anonymous,
    bindings: [
      bindService(MonitoringService, handlers as ServiceHandlers<typeof MonitoringService>),
    ],
  });
  const channel = new Channel({ address: server.address, timeoutMs: 60_000 });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const client = createClient(MonitoringService, channel);
  const upload = (file: string | Uint8Array, start: Start = {}) =>
    client.uploadBaseline(messages(file, start));
  return { ...replica, shared, registry, scratchDir, client, upload };
}

async function* messages(file: string | Uint8Array, start: Start) {
  yield { payload: { case: "start" as const, value: { name: NAME, ...start } } };
  const bytes = Buffer.from(file);
  for (let at = 0; at < bytes.length; at += 1000) {
    yield { payload: { case: "chunk" as const, value: bytes.subarray(at, at + 1000) } };
  }
}

describe("UploadBaseline", () => {
  it("makes a baseline that GetBaseline describes, and keeps no file", async () => {
    const { upload, client, scratchDir } = await useBaselines();
    const uploaded = await upload(CSV, { fileName: "train.csv" });
    expect(uploaded).toMatchObject({
      name: NAME,
      state: Baseline_State.READY,
      source: Baseline_Source.DATASET,
      rows: 2n,
      fileName: "train.csv",
      columns: [],
    });
    expect(readdirSync(scratchDir)).toEqual([]);
    const baseline = await client.getBaseline({ name: NAME });
    expect(baseline).toMatchObject({ layoutId: uploaded.layoutId, sizeBytes: uploaded.sizeBytes });
    expect(baseline.columns.map(({ name }) => name)).toEqual(["x", "y", "prediction.p"]);
    expect(baseline.columns[0]).toMatchObject({ rows: 2n, numeric: { min: 1, max: 3, mean: 2 } });
  });

  it("takes Parquet, and the same file again for an equal baseline", async () => {
    const { upload, registry } = await useBaselines();
    const columns = ["amount", "whole"];
    registry.versions.set(VERSION.modelVersion, versionOf(VERSION.modelVersion, { columns }));
    const file = readFileSync(fixturePath("duckdb-zstd.parquet"));
    const first = await upload(file);
    const second = await upload(file, { format: BaselineFileFormat.PARQUET });
    expect(first.rows).toBe(300n);
    expect(second).toEqual({ ...first, createTime: second.createTime });
  });

  it("keeps the baseline before where a file is refused", async () => {
    const { upload, client, shared, scratchDir } = await useBaselines();
    await upload(CSV);
    const refused = { kind: "InvalidArgument" };
    await expect(upload("")).rejects.toMatchObject(refused);
    await expect(upload("a,b\n1,2\n")).rejects.toThrow('Expected "x", "y", "prediction.p"');
    await expect(upload("x".repeat(100_001))).rejects.toThrow("more than 100000 bytes");
    await expect(upload(CSV, { excludedColumns: ["z"] })).rejects.toThrow('no column "z"');
    expect((await client.getBaseline({ name: NAME })).rows).toBe(2n);
    expect(readdirSync(scratchDir)).toEqual([]);
    expect(await Array.fromAsync(shared.blobs.list())).toHaveLength(1);
    expect(await shared.blobs.staleStages(0)).toEqual([]);
  });

  it("refuses streams that are none", async () => {
    const { client, upload } = await useBaselines();
    const chunk = { payload: { case: "chunk" as const, value: Buffer.from(CSV) } };
    const start = { payload: { case: "start" as const, value: { name: NAME } } };
    const send = (...list: (typeof chunk | typeof start)[]) =>
      client.uploadBaseline(
        (async function* () {
          yield* list;
        })(),
      );
    await expect(send()).rejects.toMatchObject({ violations: [{ field: "start" }] });
    await expect(send(chunk)).rejects.toMatchObject({ violations: [{ field: "start" }] });
    await expect(send(start, start)).rejects.toMatchObject({ violations: [{ field: "payload" }] });
    await expect(
      upload(CSV, { format: 9 as never, fileName: "x".repeat(256) }),
    ).rejects.toMatchObject({
      violations: [{ field: "start.format" }, { field: "start.file_name" }],
    });
  });

  it("refuses versions that are not there, not READY, or too wide", async () => {
    const { upload, registry } = await useBaselines();
    const { modelVersion } = VERSION;
    registry.versions.delete(modelVersion);
    await expect(upload(CSV)).rejects.toMatchObject({ kind: "NotFound" });
    const unread = versionOf(modelVersion);
    delete unread.signature;
    registry.versions.set(modelVersion, unread);
    await expect(upload(CSV)).rejects.toMatchObject({ kind: "FailedPrecondition" });
    const columns = Array.from({ length: 10 }, (_, i) => `c${i}`);
    registry.versions.set(modelVersion, versionOf(modelVersion, { columns }));
    await expect(upload(CSV)).rejects.toThrow("it has 11 columns; at most 10 are counted");
  });

  it("wins over what is being learned", async () => {
    const { upload, learner, client } = await useBaselines();
    await learner.placeFor(batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 7 }));
    await upload(CSV);
    expect((await client.getBaseline({ name: NAME })).rows).toBe(2n);
    expect(await learner.rowsSoFar("v-1")).toBe(0);
  });

  it("removes files of servers that died", async () => {
    const { upload, scratchDir } = await useBaselines();
    mkdirSync(scratchDir, { recursive: true });
    // No system has so many processes.
    writeFileSync(join(scratchDir, "baseline-999999999-left"), "x");
    writeFileSync(join(scratchDir, `baseline-${process.ppid}-other`), "x");
    await upload(CSV);
    expect(existsSync(join(scratchDir, "baseline-999999999-left"))).toBe(false);
    expect(existsSync(join(scratchDir, `baseline-${process.ppid}-other`))).toBe(true);
  });

  it("needs a registry, and a key of the workspace", async () => {
    const alone = await useBaselines({ isAlone: true });
    await expect(alone.upload(CSV)).rejects.toMatchObject({ kind: "FailedPrecondition" });
    const other = await useBaselines({ principal: { ...anonymous, workspace: "other" } });
    const denied = { kind: "PermissionDenied" };
    await expect(other.upload(CSV)).rejects.toMatchObject(denied);
    await expect(other.client.getBaseline({ name: NAME })).rejects.toMatchObject(denied);
  });
});

describe("GetBaseline", () => {
  it("says how far learning is", async () => {
    const baselines = await useBaselines();
    const { client, learner } = baselines;
    expect(await client.getBaseline({ name: NAME })).toMatchObject({
      state: Baseline_State.LEARNING,
      rows: 0n,
      rowsWanted: 5000n,
    });
    await learnFrom(baselines, { rows: 100 });
    await learner.placeFor(batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 60 }));
    const learning = { state: Baseline_State.LEARNING, rows: 60n, rowsWanted: 100n };
    expect(await client.getBaseline({ name: NAME })).toMatchObject(learning);
    await learner.placeFor(batchOf({ sender: "a", sequence: 2 }, { first: 60, count: 60 }));
    expect(await client.getBaseline({ name: NAME })).toMatchObject({
      state: Baseline_State.READY,
      source: Baseline_Source.FIRST_INFERENCES,
      rows: 120n,
      rowsWanted: 0n,
    });
  });

  it("finds what is known here while the registry is away", async () => {
    const { client, upload, registry } = await useBaselines();
    await upload(CSV);
    await registry.stop();
    expect((await client.getBaseline({ name: NAME })).rows).toBe(2n);
    const other = client.getBaseline({ name: NAME.replace("/1/", "/2/") });
    await expect(other).rejects.toMatchObject({ kind: "Unavailable" });
  });

  it("finds none of versions that are not there, or learn nothing", async () => {
    const baselines = await useBaselines();
    const { client, learner } = baselines;
    const missing = { kind: "NotFound" };
    const other = client.getBaseline({ name: NAME.replace("/1/", "/2/") });
    await expect(other).rejects.toMatchObject(missing);
    await learnFrom(baselines, { disabled: true });
    await learner.placeFor(batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 60 }));
    await expect(client.getBaseline({ name: NAME })).rejects.toMatchObject(missing);
  });
});
