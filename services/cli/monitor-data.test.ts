// `plinth monitor baseline|settings|erase`: what goes to the server, and what is told of it.

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { clone, create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DriftMethod } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import {
  BaselineSchema,
  type Monitor,
  MonitorSchema,
  Baseline_Source as Source,
  Baseline_State as State,
  TaskType,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  BaselineFileFormat as Format,
  type UploadBaselineStart,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { fileFolder, plinth } from "./testing.ts";
import { DEPLOYMENT, day, VERSION } from "./testing-flights.ts";
import { useMonitoring } from "./testing-monitor.ts";

const folder = fileFolder();

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("monitor baseline", () => {
  const profile = {
    name: `${VERSION}/baseline`,
    state: State.READY,
    source: Source.DATASET,
    rows: 40_000n,
    sizeBytes: 31_744n,
    layoutId: "7c1f",
    fileName: "train.parquet",
    createTime: day(0),
  };

  it("sends a file as it is, in order", async () => {
    const bytes = randomBytes(700_000);
    const path = file("train.parquet", bytes);
    let start: UploadBaselineStart | undefined;
    const chunks: Uint8Array[] = [];
    const address = await useMonitoring({
      async uploadBaseline(requests) {
        for await (const { payload } of requests) {
          if (payload.case === "start") {
            start = payload.value;
          } else if (payload.case === "chunk") {
            chunks.push(payload.value);
          }
        }
        return profile;
      },
    });
    const words = ["monitor", "baseline", "delay", "3", "--file", path, "--exclude", "id"];
    const { code, stdout } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "The baseline of delay/3: 40,000 rows, 31.0 KiB of profile.\n",
    });
    expect(start).toMatchObject({
      name: `${VERSION}/baseline`,
      format: Format.PARQUET,
      fileName: "train.parquet",
      excludedColumns: ["id"],
    });
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });

  it("shows the profile, and how far learning has come", async () => {
    const ready = create(BaselineSchema, {
      ...profile,
      columns: [
        {
          name: "distance",
          role: 1,
          kind: 1,
          rows: 40_000n,
          nulls: 400n,
          numeric: {
            min: 21,
            max: 2500,
            mean: 712.25,
            std: 301.5,
            distinct: 812n,
            quantiles: [{ q: 0.5, value: 680 }],
          },
        },
        {
          name: "origin",
          role: 1,
          kind: 2,
          rows: 40_000n,
          categorical: {
            distinct: 250n,
            isEstimate: true,
            top: [
              { category: "ATL", count: 6000n },
              { category: "ORD", count: 4000n },
            ],
          },
        },
      ],
    });
    const learning = { name: ready.name, state: State.LEARNING, rows: 1200n, rowsWanted: 5000n };
    const asked: string[] = [];
    const address = await useMonitoring({
      getBaseline: async ({ name }) => {
        asked.push(name);
        return name.includes("/3/") ? ready : learning;
      },
    });
    const { stdout } = await plinth(["monitor", "baseline", "delay", "3"], { address });
    expect(stdout).toMatch(/^from: +train\.parquet$/m);
    expect(stdout).toMatch(
      /^distance +feature +numeric +40,000 +1% +812 +21 +680 +2500 +712\.3 +301\.5$/m,
    );
    expect(stdout).toMatch(/^origin +feature +categorical +40,000 +~250 +ATL 15%, ORD 10%$/m);
    const other = await plinth(["monitor", "baseline", "delay/4"], { address });
    expect(other.stdout).toMatch(/^state: +LEARNING from what is served$/m);
    expect(other.stdout).toMatch(/^rows: +1,200 of 5,000$/m);
    expect(asked).toEqual([ready.name, ready.name.replace("/3/", "/4/")]);
  });
});

describe("monitor settings", () => {
  const before = create(MonitorSchema, {
    name: `${DEPLOYMENT}/monitor`,
    etag: "e1",
    drift: {
      method: DriftMethod.WASSERSTEIN,
      columns: [
        { column: "hour", threshold: 0.2 },
        { column: "id", ignored: true },
      ],
    },
    task: { type: TaskType.CLASSIFICATION, output: "scores", segmentColumns: ["origin"] },
  });

  function useSettings() {
    const updates: { readonly monitor: Monitor; readonly paths: readonly string[] }[] = [];
    const address = useMonitoring({
      getMonitor: async () => before,
      updateMonitor: async ({ monitor, updateMask }) => {
        updates.push({ monitor: monitor!, paths: updateMask?.paths ?? [] });
        return clone(MonitorSchema, monitor!);
      },
    });
    const run = async (flags: string, input = "") =>
      plinth(["monitor", "settings", "flights", ...flags.split(" ").filter(Boolean)], {
        address: await address,
        input,
      });
    return { updates, run };
  }

  it("shows them, defaults included, and changes nothing", async () => {
    const { updates, run } = useSettings();
    const { code, stdout } = await run("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^set: +never; these are the defaults$/m);
    expect(stdout).toMatch(/^windows: +1h$/m);
    expect(stdout).toMatch(/^method: +wasserstein$/m);
    expect(stdout).toMatch(/^columns: +hour: threshold 0\.2$/m);
    expect(stdout).toMatch(/^ignored: +id$/m);
    expect(stdout).toMatch(/^kept: +windows 35d, days 400d, predictions and labels 35d$/m);
    expect(updates).toEqual([]);
  });

  it("does not take no lateness at all for the default", async () => {
    const { run } = useSettings();
    expect((await run("")).stdout).toMatch(/^late rows: +taken up to 5m after a window$/m);
    expect((await run("--lateness 0s")).stdout).toMatch(/^late rows: +not taken$/m);
  });

  it("changes only what is named, guarded by the etag", async () => {
    const { updates, run } = useSettings();
    await run("--window 90m --lateness 10m");
    await run("--ignore airline --include id --method psi");
    await run("--segment a --segment b --positive-class late");
    await run("--no-segment");
    await run("--no-learning");
    await run("--learn-rows 2000 --dataset-share 0.3");
    expect(updates.map(({ paths }) => paths)).toEqual([
      ["window", "allowed_lateness"],
      ["drift"],
      ["task"],
      ["task"],
      ["baseline_learning"],
      ["baseline_learning", "drift"],
    ]);
    expect(new Set(updates.map(({ monitor }) => monitor.etag))).toEqual(new Set(["e1"]));
    const [times, drift, task, none, off, learn] = updates.map(({ monitor }) => monitor);
    expect(times).toMatchObject({ window: { seconds: 5400n }, allowedLateness: { seconds: 600n } });
    expect(drift?.drift?.method).toBe(DriftMethod.PSI);
    expect(drift?.drift?.columns).toMatchObject([
      { column: "hour", threshold: 0.2, ignored: false },
      { column: "airline", ignored: true },
    ]);
    expect(drift?.drift?.columns).toHaveLength(2);
    expect(task?.task).toMatchObject({
      type: TaskType.CLASSIFICATION,
      output: "scores",
      segmentColumns: ["a", "b"],
      positiveClass: "late",
    });
    expect(none?.task?.segmentColumns).toEqual([]);
    expect(off?.baselineLearning).toMatchObject({ disabled: true });
    expect(learn?.baselineLearning).toMatchObject({ rows: 2000n, disabled: false });
    expect(learn?.drift).toMatchObject({ datasetShare: 0.3, method: DriftMethod.WASSERSTEIN });
  });

  it("takes a file, flags win over it, and its own JSON", async () => {
    const { updates, run } = useSettings();
    const yaml = `window: 2h
lateness: 1m
drift:
  method: jensen-shannon
  columns:
    distance: {method: psi, threshold: 0.25, size_min: 100}
task: {type: regression, segments: origin}
retention: {windows: 7d}
`;
    await run("--set-from - --window 3h", yaml);
    expect(updates[0]).toMatchObject({
      paths: ["window", "allowed_lateness", "drift", "task", "retention"],
      monitor: {
        window: { seconds: 10_800n },
        allowedLateness: { seconds: 60n },
        drift: {
          method: DriftMethod.JENSEN_SHANNON,
          columns: [
            { column: "distance", method: DriftMethod.PSI, threshold: 0.25, sizeMin: 100n },
          ],
        },
        task: { type: TaskType.REGRESSION, segmentColumns: ["origin"] },
        retention: { windows: { seconds: 604_800n } },
      },
    });
    const { stdout: json } = await run("--json");
    const again = await run("--set-from - --json", json);
    expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: "" });
    expect(updates[1]?.monitor.drift).toMatchObject({ method: DriftMethod.WASSERSTEIN });
  });

  it("tells every fault of a file by its place, and flags that do not fit", async () => {
    const { updates, run } = useSettings();
    const wrong = await run(
      "--set-from -",
      "windw: 1h\ndrift: {method: psy, columns: 3}\nretention: 7d\n",
    );
    expect(wrong).toMatchObject({ code: 4, stdout: "" });
    expect(wrong.stderr).toBe(
      "error: The settings have 4 faults; nothing was changed.\n" +
        '  stdin:1:1: a monitor has no "windw". Did you mean "window"?\n' +
        '  stdin:2:17: method: there is no method "psy". Did you mean "psi"?\n' +
        "  stdin:2:31: columns: expected {column: {method: ...}}, got 3\n" +
        '  stdin:3:12: expected retention as a map, got "7d"\n',
    );
    for (const flags of [
      "--learn-rows 100 --no-learning",
      "--ignore a --include a",
      "--method best",
      "--dataset-share 2",
    ]) {
      expect(await run(flags)).toMatchObject({ code: 2, stdout: "" });
    }
    expect(updates).toEqual([]);
  });
});

describe("monitor erase", () => {
  it("counts under --dry-run, removes with --yes, and asks nobody", async () => {
    const asked: { readonly keys: readonly object[]; readonly dryRun: boolean }[] = [];
    const address = await useMonitoring({
      erasePredictions: async ({ entities, dryRun }) => {
        asked.push({ keys: entities.map(({ joinKeys }) => joinKeys), dryRun });
        return { predictions: 1200n, labels: 1n };
      },
    });
    const words = ["monitor", "erase", "--key", "customer=1", "--key", "customer=2"];
    const dry = await plinth([...words, "--dry-run"], { address });
    expect(dry.stdout).toBe("1,200 predictions and 1 label would go; nothing was removed.\n");
    expect(await plinth(words, { address })).toMatchObject({ code: 2, stdout: "" });
    const done = await plinth([...words, "--yes"], { address });
    expect(done.stdout).toBe("1,200 predictions and 1 label are gone.\n");
    const keys = [{ customer: "1" }, { customer: "2" }];
    expect(asked).toEqual([
      { keys, dryRun: true },
      { keys, dryRun: false },
    ]);
  });
});
