import { describe, expect, it } from "vitest";
import {
  DriftMethod,
  DriftResult_Outcome,
  DriftSeverity,
} from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import { ColumnKind, ColumnRole } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import { numericSample } from "../drift/distribution.ts";
import { measureDrift } from "../drift/measure-drift.ts";
import { lcg } from "../drift/testing.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import { compareInTurns, compareWindows } from "./compare-windows.ts";
import { baselineOf, sums, windowOf } from "./testing.ts";
import { BASELINE, COLUMNS, column, compared, LAYOUT } from "./testing-columns.ts";

describe("compareWindows", () => {
  it("has features first, each with its kind and role", () => {
    const { columns } = compared({});
    expect(columns.map(({ name, role, kind }) => [name, role, kind])).toEqual([
      ["delay", ColumnRole.FEATURE, ColumnKind.NUMERIC],
      ["hour", ColumnRole.FEATURE, ColumnKind.NUMERIC],
      ["carrier", ColumnRole.FEATURE, ColumnKind.CATEGORICAL],
      ["cold", ColumnRole.FEATURE, ColumnKind.BOOLEAN],
      ["prediction.label", ColumnRole.PREDICTION, ColumnKind.CATEGORICAL],
    ]);
    for (const { drift } of columns) {
      expect(drift).toMatchObject({
        outcome: DriftResult_Outcome.MEASURED,
        value: 0,
        drifted: false,
        severity: DriftSeverity.NONE,
      });
    }
  });

  it("counts the drifted columns of features and predictions apart", () => {
    const change = {
      delay: sums(22, 2000, 1),
      hour: new Float64Array(2000).fill(3),
      "prediction.label": new Array(2000).fill("no"),
    };
    const { features, predictions } = compared(change);
    expect(features).toMatchObject({
      columns: 4,
      measured: 4,
      drifted: 2,
      share: 0.5,
      threshold: 0.5,
      isDrifted: true,
    });
    expect(predictions).toMatchObject({ columns: 1, measured: 1, drifted: 1, isDrifted: true });
    expect(compared(change, { datasetShare: 0.6 }).features.isDrifted).toBe(false);
  });

  it("says that numbers are too large where a learned baseline cannot tell them apart", () => {
    const from = (start: number) => (seed: number, size: number, shift: number) =>
      Float64Array.from(lcg(seed, size), (u) => start + Math.round(60 * u) + shift);
    const around = from(1e15);
    const drifts = (passes: 1 | 2) => {
      const { layout, baseline } = baselineOf({ x: around(1, 2000, 0) }, passes);
      const current = windowOf(layout, { x: around(2, 1000, 1) });
      const { drift } = DEFAULT_SETTINGS;
      return compareWindows({ layout, reference: baseline, current, drift }).columns[0]!.drift;
    };
    // 25 standard deviations would be the distance of its rounded values.
    expect(drifts(1)).toMatchObject({
      outcome: DriftResult_Outcome.NOT_COMPARABLE,
      reason: "numbers-too-large",
      baselineSize: 2000n,
      currentSize: 1000n,
    });
    const exact = measureDrift({
      baseline: numericSample(from(0)(1, 2000, 0)),
      current: numericSample(from(0)(2, 1000, 1)),
    });
    expect(exact.outcome).toBe("measured");
    expect(drifts(2)?.value).toBeCloseTo("value" in exact ? exact.value : Number.NaN, 4);
  });

  it("takes method, threshold, size and ignored columns from the settings", () => {
    const report = compared(
      { delay: sums(22, 2000, 0.2) },
      {
        method: "psi",
        columns: [
          { column: "delay", method: "wasserstein", threshold: 0.9, ignored: false },
          { column: "hour", sizeMin: 5000, ignored: false },
          { column: "carrier", ignored: true },
        ],
      },
    );
    expect(column(report, "delay").drift).toMatchObject({
      method: DriftMethod.WASSERSTEIN,
      threshold: 0.9,
      drifted: false,
      severity: DriftSeverity.SIGNIFICANT,
    });
    expect(column(report, "hour").drift).toMatchObject({
      outcome: DriftResult_Outcome.TOO_FEW_SAMPLES,
      method: DriftMethod.PSI,
      sizeMin: 5000n,
      baselineSize: 2000n,
      drifted: false,
    });
    expect(report.columns.map(({ name }) => name)).not.toContain("carrier");
    expect(report.features).toMatchObject({ columns: 3, measured: 2 });
  });

  it("says that there are too few values, or none, and calls neither drift", () => {
    const few = windowOf(LAYOUT, { delay: Float64Array.of(50, 60) });
    const report = compareWindows({
      layout: LAYOUT,
      reference: BASELINE,
      current: few,
      drift: DEFAULT_SETTINGS.drift,
    });
    expect(column(report, "delay").drift).toMatchObject({
      outcome: DriftResult_Outcome.TOO_FEW_SAMPLES,
      currentSize: 2n,
      sizeMin: 500n,
    });
    expect(column(report, "carrier").drift).toMatchObject({
      outcome: DriftResult_Outcome.NOT_COMPARABLE,
      reason: "current-empty",
    });
    expect(report.features).toMatchObject({ measured: 0, drifted: 0, share: 0, isDrifted: false });
  });

  it("has profiles and quality without a baseline, and no drift", () => {
    const report = compareWindows({
      layout: LAYOUT,
      reference: undefined,
      current: windowOf(LAYOUT, COLUMNS),
      drift: DEFAULT_SETTINGS.drift,
    });
    for (const { drift, profile, bins } of report.columns) {
      expect(drift).toMatchObject({
        outcome: DriftResult_Outcome.NOT_COMPARABLE,
        method: DriftMethod.UNSPECIFIED,
        reason: "baseline-empty",
        baselineSize: 0n,
      });
      expect(profile?.rows).toBe(2000n);
      expect(bins?.reference.every((count) => count === 0)).toBe(true);
      expect(bins?.current.reduce((sum, count) => sum + count, 0)).toBe(
        profile?.name === "carrier" ? 1960 : 2000,
      );
    }
    expect(column(report, "carrier").quality).toMatchObject({ missingRate: 0.02, unseenRate: 0 });
  });

  it("leaves bins and profiles out of a brief report, and other columns out of a narrow one", () => {
    const brief = compared({}, {}, true);
    expect(brief.columns.every(({ bins, profile }) => !bins && !profile)).toBe(true);
    const narrow = compareWindows({
      layout: LAYOUT,
      reference: BASELINE,
      current: windowOf(LAYOUT, COLUMNS),
      drift: DEFAULT_SETTINGS.drift,
      columns: new Set(["hour", "prediction.label"]),
    });
    expect(narrow.columns.map(({ name }) => name)).toEqual(["hour", "prediction.label"]);
    expect(narrow.features.columns).toBe(1);
  });

  it("says which columns the reference has of another kind, or not at all", () => {
    const other = baselineOf({
      delay: new Array(600).fill("late"),
      hour: lcg(1, 600).map((u) => Math.floor(24 * u)),
    });
    const report = compareWindows({
      layout: LAYOUT,
      reference: other.baseline,
      baseline: BASELINE,
      current: windowOf(LAYOUT, COLUMNS),
      drift: DEFAULT_SETTINGS.drift,
    });
    expect(column(report, "delay").drift?.reason).toBe("kinds-differ");
    expect(column(report, "carrier").drift?.reason).toBe("baseline-empty");
    expect(column(report, "hour").drift?.outcome).toBe(DriftResult_Outcome.MEASURED);
    expect(column(report, "carrier").quality?.referenceMissingRate).toBe(0.02);
  });

  it("comes to the same in turns, and ends when it is aborted", async () => {
    const comparison = {
      layout: LAYOUT,
      reference: BASELINE,
      current: windowOf(LAYOUT, { ...COLUMNS, delay: sums(3, 2000, 0.3) }),
      drift: DEFAULT_SETTINGS.drift,
    };
    expect(await compareInTurns(comparison)).toEqual(compareWindows(comparison));
    const wide = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`c${i}`, sums(i, 600, 0)]),
    );
    const many = baselineOf(wide, 1);
    const controller = new AbortController();
    const running = compareInTurns(
      {
        layout: many.layout,
        reference: many.baseline,
        current: many.baseline,
        drift: DEFAULT_SETTINGS.drift,
      },
      controller.signal,
    );
    controller.abort(new Error("gone"));
    await expect(running).rejects.toThrow("gone");
  });
});
