// The months from March to June 2001 happen again on a mesh (examples/flights/replay.ts). What
// monitoring makes of them from sketches is held against what numpy and scipy made of the rows
// (examples/flights/golden_drift.py), and what it does about it against the rules of the example.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { replay } from "../../examples/flights/replay.ts";
import {
  ActionRecord_State,
  type Alert,
  Alert_State,
  AlertAction_Kind,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { type DriftMethod, DriftResult_Outcome } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import type { RegressionMetrics } from "../../gen/plinth/monitoring/v1/performance_pb.js";
import type { DriftReport, TimeRange, Window } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { ModelHealth_State } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { timestampOf } from "../../services/monitoring/reports/time-range.ts";
import { EXACT, GOLDEN, type GoldenWindow, METHODS, type Performance } from "./flights-golden.ts";
import { FLIGHTS } from "./use-flights.ts";
import { ROOT, shareMesh } from "./use-mesh.ts";
import { type Clients, clientsOn, DEFAULT, pushModel, untilServed } from "./use-models.ts";

const DEPLOYMENT = `${DEFAULT}/deployments/flights-replay`;
const FLIGHTS_REPLAYED = 10_610;
const WEEK_MS = 7 * 86_400_000;
/** Alerts of versions that are gone are looked for every 30 s. */
const GONE_WITHIN_MS = 45_000;

const run = promisify(execFile);
const shared = shareMesh({
  PLINTH_MONITORING_CLOSE_INTERVAL: "100ms",
  PLINTH_MONITORING_COMMIT_INTERVAL: "20ms",
  PLINTH_INFERENCE_CAPTURE_INTERVAL: "50ms",
});
const lines: string[] = [];
/** Every state of every alert, as WatchAlerts told it. */
const states: Alert[] = [];
let clients: Clients;

beforeAll(async () => {
  clients = clientsOn(shared.current.channel);
  for (const file of ["live.onnx", "storm.onnx"]) {
    await pushModel(clients, "flights-live", readFileSync(join(FLIGHTS, file)));
  }
  const february = ["--file", join(FLIGHTS, "february.parquet")];
  const spoken = ["--exclude", "prediction.delay_minutes"];
  await plinth("monitor", "baseline", "flights-live", "1", ...february, ...spoken);
  await plinth("monitor", "baseline", "flights-live", "2", ...february);
  await clients.deployments.createDeployment({
    parent: DEFAULT,
    deploymentId: "flights-replay",
    deployment: { config: { targets: [{ modelVersion: nameOf(1), weight: 100 }] } },
  });
  await clients.deployments.updateDeployment({
    deployment: {
      name: DEPLOYMENT,
      config: { targets: [{ modelVersion: nameOf(2), weight: 100 }] },
    },
    updateMask: { paths: ["config.targets"] },
  });
  await untilServed(clients, DEPLOYMENT);
  const settings = ["--set-from", join(FLIGHTS, "monitor.yaml")];
  await plinth("monitor", "settings", "flights-replay", ...settings);
  await plinth("monitor", "rules", "apply", join(FLIGHTS, "alert-rules.yaml"));
  void follow(clients);
  const { webUrl: url } = shared.current;
  await replay({ url, deployment: "flights-replay", say: (line) => lines.push(line) });
}, 120_000);

describe("windows of the replay", () => {
  it("are weeks of 2001 with every flight in one of them", async () => {
    // The last ones may be on their way.
    await expect.poll(rowsCounted, { timeout: 10_000 }).toBe(FLIGHTS_REPLAYED);
    const { windows } = await clients.monitoring.listWindows({ parent: DEPLOYMENT });
    const found = windows.map((window) => ({
      version: versionOf(window.modelVersion),
      start: startOf(window),
      rows: Number(window.rows),
    }));
    const wanted = GOLDEN.windows.map(({ version, start, rows }) => ({ version, start, rows }));
    expect(found.toSorted(byTime)).toEqual(wanted.toSorted(byTime));
    expect(wanted.reduce((sum, { rows }) => sum + rows, 0)).toBe(FLIGHTS_REPLAYED);
    const open = windows.filter(({ closed }) => !closed).map(startOf);
    // Nothing came for version 2 after it was taken back, nor for version 1 after June.
    expect(open).toEqual(["2001-06-28", "2001-05-10"]);
    for (const { lateRows, droppedRows } of windows) {
      expect([lateRows, droppedRows]).toEqual([0n, 0n]);
    }
  });
});

describe("drift of the months", () => {
  for (const { name, method, bound } of METHODS) {
    it(`is what scipy says of the rows: ${name}`, async () => {
      let measured = 0;
      for (const window of GOLDEN.windows) {
        const report = await reportOf(window, method);
        for (const [column, golden] of Object.entries(window.drift)) {
          const about = `${column} in ${window.start} of version ${window.version}`;
          const { outcome, value, statistic, currentSize } = resultOf(report, column);
          if (outcome === DriftResult_Outcome.TOO_FEW_SAMPLES) {
            expect(Number(currentSize), about).toBeLessThan(500);
            continue;
          }
          measured += 1;
          expect(outcome, about).toBe(DriftResult_Outcome.MEASURED);
          const found = (name === "ks" ? statistic : value) ?? Number.NaN;
          // The bound holds up to 0.3; beyond it is relative.
          const allowed = EXACT.includes(column)
            ? 1e-10 * golden[name]
            : bound * Math.max(1, golden[name] / 0.3);
          expect(Math.abs(found - golden[name]), about).toBeLessThanOrEqual(allowed);
        }
      }
      expect(measured).toBeGreaterThanOrEqual(16 * 14);
    });
  }

  it("is found in the columns where it is, and in no other", async () => {
    for (const window of GOLDEN.windows) {
      const report = await reportOf(window);
      const drifted = Object.keys(window.drift).map((column) => {
        const { outcome, drifted: isDrifted } = resultOf(report, column);
        return [column, outcome === DriftResult_Outcome.MEASURED ? isDrifted : null];
      });
      const wanted = Object.entries(window.drift).map(([column, golden]) => [
        column,
        golden.drifted,
      ]);
      expect(Object.fromEntries(drifted), window.start).toEqual(Object.fromEntries(wanted));
    }
  });

  it("is in the delays that spring brought, not in hours, days, distances or destinations", () => {
    const weeks = GOLDEN.windows.filter(({ rows }) => rows > 500);
    const always = (is: boolean) =>
      Object.keys(weeks[0]!.drift).filter((column) =>
        weeks.every(({ drift }) => (drift[column]?.drifted ?? is) === is),
      );
    expect(always(true)).toEqual(["late_share_28d", "prediction.delay_minutes"]);
    expect(always(false)).toEqual([
      "hour",
      "day_of_week",
      "destination_flights_24h",
      "distance",
      "flights_28d",
    ]);
  });
});

describe("performance of the replay", () => {
  it("is what numpy says of the rows, week by week and over all", async () => {
    for (const version of [1, 2]) {
      const { overall, windows } = await clients.monitoring.getPerformance({
        deployment: DEPLOYMENT,
        modelVersion: nameOf(version),
      });
      const golden = GOLDEN.windows.filter((window) => window.version === version);
      expect(windows.map(({ range }) => startOf({ range }))).toEqual(
        golden.map(({ start }) => start),
      );
      golden.forEach(({ rows, performance }, i) => {
        expect(Number(windows[i]?.predictions)).toBe(rows);
        expectPerformance(windows[i]?.regression, performance);
      });
      if (version === 2) {
        expect(overall?.coverage).toBe(1);
        expectPerformance(overall?.regression, GOLDEN.overall);
      }
    }
  });
});

describe("the rules of the example", () => {
  const phasesOf = (rule: string, version: number) =>
    states
      .filter((alert) => alert.rule.endsWith(rule) && alert.modelVersion === nameOf(version))
      .map(({ state, windowEndTime }) => ({
        state: Alert_State[state],
        window: dayOf(Number(windowEndTime?.seconds ?? 0n) * 1000 - WEEK_MS),
      }))
      .filter(({ state }, i, all) => state !== all[i - 1]?.state);

  it("wait while a wrong week stays alone, and act on the second in a row", async () => {
    const [alone, first, second] = GOLDEN.wrong;
    expect(second).toBe(GOLDEN.firedWindow);
    await expect
      .poll(() => phasesOf("guess", 2), { timeout: GONE_WITHIN_MS, interval: 200 })
      .toEqual([
        { state: "PENDING", window: alone },
        { state: "RESOLVED", window: "2001-04-05" },
        { state: "PENDING", window: first },
        { state: "FIRING", window: second },
        // The version no longer serves.
        { state: "RESOLVED", window: second },
      ]);
  }, 60_000);

  it("take the deployment back to version 1, once", async () => {
    const { config, revision, history } = await clients.deployments.getDeployment({
      name: DEPLOYMENT,
    });
    expect(config?.targets).toMatchObject([{ modelVersion: nameOf(1), weight: 100 }]);
    expect(revision).toBe(3n);
    expect(history.map((entry) => entry.config?.targets[0]?.modelVersion)).toEqual(
      [2, 1].map(nameOf),
    );
    const { alerts } = await clients.alerts.listAlerts({ parent: DEFAULT, deployment: DEPLOYMENT });
    const rollbacks = alerts
      .flatMap(({ actions }) => actions)
      .filter(({ kind }) => kind === AlertAction_Kind.ROLLBACK_DEPLOYMENT);
    expect(rollbacks).toMatchObject([
      {
        state: ActionRecord_State.DONE,
        tries: 1,
        detail: "Went back to the configuration of revision 1.",
      },
    ]);
  });

  it("warn of drift after three weeks, and resolve when it is less", async () => {
    expect(phasesOf("drift", 2).slice(0, 2)).toEqual([
      { state: "PENDING", window: "2001-03-22" },
      { state: "FIRING", window: "2001-04-05" },
    ]);
    expect(phasesOf("drift", 1)).toEqual([
      { state: "PENDING", window: "2001-05-17" },
      { state: "RESOLVED", window: "2001-05-31" },
    ]);
    const { tags } = await clients.models.getModelVersion({ name: nameOf(2) });
    expect(tags["plinth.alert"]).toBe(`${DEFAULT}/alertRules/flights-drift`);
  });

  it("are told on the model versions", async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(async (version) => {
        const { health } = await clients.models.getModelVersion({ name: nameOf(version) });
        expect(health.map(({ deployment }) => deployment)).toEqual([DEPLOYMENT]);
        const golden = GOLDEN.windows.filter(
          (window) => window.version === version && window.start !== "2001-06-28",
        );
        const last = golden.findLast(({ rows }) => rows > 500)!;
        expect(health[0]?.rows).toBe(BigInt(last.rows));
        expect(health[0]?.driftedColumns.toSorted()).toEqual(driftedIn(last).toSorted());
        return health[0]!;
      }),
    );
    expect(one?.state).toBe(ModelHealth_State.HEALTHY);
    expect(one?.featureDriftShare).toBeCloseTo(4 / 14, 12);
    expect(two?.featureDriftShare).toBeCloseTo(8 / 14, 12);
    expect(two?.predictionDriftShare).toBe(1);
    expect(Object.keys(two?.liveMetrics ?? {}).sort()).toEqual([
      "label_coverage",
      "mae",
      "r2",
      "rmse",
    ]);
  });

  it("are told week by week as the registry has them", () => {
    const closed = GOLDEN.windows.filter(
      ({ version, start }) => start !== (version === 1 ? "2001-06-28" : "2001-05-10"),
    );
    const wanted = closed.map(({ version, start, rows, performance, drift }) => {
      const { "prediction.delay_minutes": _said, ...features } = drift;
      const known = Object.values(features).filter(({ drifted }) => drifted !== null);
      const share = known.filter(({ drifted }) => drifted).length / known.length;
      const words = known.length === 0 ? "unknown share" : `${Math.round(100 * share)}%`;
      const days = `${start} to ${dayOf(Date.parse(start) + WEEK_MS - 1)}`;
      const r2 = performance.r2.toFixed(3);
      return `${days}, version ${version}: ${rows} flights, R2 ${r2}, ${words} of features drifted`;
    });
    expect(lines.filter((line) => line.startsWith("2001"))).toEqual(wanted);
    expect(lines.filter((line) => line.includes("Went back"))).toHaveLength(1);
  });
});

/** What the command prints on standard output. */
async function plinth(...args: readonly string[]): Promise<string> {
  const bin = join(ROOT, "bin", "plinth.mjs");
  const { stdout } = await run(
    process.execPath,
    [bin, ...args, "--address", shared.current.grpcAddress],
    { env: { ...process.env, NO_COLOR: "1" } },
  );
  return stdout;
}

/** Collects alerts until the mesh is gone. */
async function follow({ alerts }: Clients): Promise<void> {
  try {
    for await (const { event } of alerts.watchAlerts({ parent: DEFAULT })) {
      if (event.case === "alert") {
        states.push(event.value);
      }
    }
  } catch {
    // The mesh was stopped.
  }
}

async function rowsCounted(): Promise<number> {
  const { windows } = await clients.monitoring.listWindows({ parent: DEPLOYMENT });
  return windows.reduce((sum, { rows }) => sum + Number(rows), 0);
}

async function reportOf(
  { start, version }: GoldenWindow,
  method?: DriftMethod,
): Promise<DriftReport> {
  const startMs = Date.parse(start);
  return clients.monitoring.getDriftReport({
    deployment: DEPLOYMENT,
    modelVersion: nameOf(version),
    range: {
      startTime: timestampOf(startMs * 1000),
      endTime: timestampOf((startMs + WEEK_MS) * 1000),
    },
    brief: true,
    ...(method === undefined ? {} : { options: { method } }),
  });
}

function resultOf(report: DriftReport, name: string) {
  return report.columns.find((column) => column.name === name)!.drift!;
}

/** Leaves of trees are added in float32, and in another order where there are more cores. */
function expectPerformance(found: RegressionMetrics | undefined, golden: Performance): void {
  for (const name of ["mae", "rmse", "r2", "meanError"] as const) {
    expect(found?.[name], name).toBeCloseTo(golden[name], 5);
  }
}

function driftedIn({ drift }: GoldenWindow): readonly string[] {
  return Object.keys(drift).filter((column) => drift[column]?.drifted);
}

function nameOf(version: number): string {
  return `${DEFAULT}/models/flights-live/versions/${version}`;
}

function versionOf(name: string): number {
  return Number(name.split("/").at(-1));
}

function startOf({ range }: Pick<Window, "range"> | { readonly range?: TimeRange }): string {
  return dayOf(Number(range?.startTime?.seconds ?? 0n) * 1000);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function byTime(
  a: { readonly start: string; readonly version: number },
  b: { readonly start: string; readonly version: number },
): number {
  return a.start.localeCompare(b.start) || b.version - a.version;
}
