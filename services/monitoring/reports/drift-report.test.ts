import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { DriftMethod, DriftResult_Outcome } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import { numericSample } from "../drift/distribution.ts";
import { measureDrift } from "../drift/measure-drift.ts";
import { lcg } from "../drift/testing.ts";
import { CLOSED_MS, rows, seed, useHandlers, V1, V2 } from "./testing-handlers.ts";
import { DEPLOYMENT, HOUR_US, START_US } from "./testing-stores.ts";
import { timestampOf } from "./time-range.ts";

describe("GetDriftReport", () => {
  it("is of the newest closed window against the baseline", async () => {
    const { report, ...stores } = await useHandlers();
    await seed(stores);
    const newest = await report({});
    expect(newest).toMatchObject({
      deployment: DEPLOYMENT,
      modelVersion: V1.modelVersion,
      reference: `${V1.modelVersion}/baseline`,
      referenceRows: 2000n,
      rows: 800n,
      windows: 1,
      open: false,
      range: {
        startTime: timestampOf(START_US + HOUR_US),
        endTime: timestampOf(START_US + 2 * HOUR_US),
      },
      features: { columns: 2, measured: 2, drifted: 1, isDrifted: true },
      predictions: { columns: 1, measured: 1, drifted: 0, isDrifted: false },
    });
    const x = newest.columns.find(({ name }) => name === "x");
    expect(x?.drift).toMatchObject({ method: DriftMethod.WASSERSTEIN, drifted: true });
    const fromRows = measureDrift({
      baseline: numericSample(rows(1, 2000).x),
      current: numericSample(rows(3, 800, 0.5).x),
    });
    expect(x?.drift?.value).toBeCloseTo((fromRows as { value: number }).value, 2);
    // The half of the rows that lie beyond the baseline's largest, as the bins show too.
    expect(x?.quality?.rangeViolationRate).toBeCloseTo(0.5, 1);
    expect(x?.bins?.edges.at(-1)).toBeGreaterThan(1.45);
    expect(x?.profile?.numeric?.finite).toBe(800n);
  });

  it("is of the range that is asked for, widened to whole windows", async () => {
    const { report, ...stores } = await useHandlers();
    await seed(stores);
    const range = (fromUs: number, toUs?: number) => ({
      startTime: timestampOf(START_US + fromUs),
      ...(toUs === undefined ? {} : { endTime: timestampOf(START_US + toUs) }),
    });
    expect(await report({ range: range(HOUR_US / 2, HOUR_US) })).toMatchObject({
      rows: 1000n,
      windows: 1,
      features: { drifted: 0 },
    });
    expect(await report({ range: range(0) })).toMatchObject({
      rows: 2400n,
      windows: 3,
      open: true,
    });
    const before = { endTime: timestampOf(START_US + HOUR_US) };
    expect(await report({ range: before })).toMatchObject({ rows: 1000n });
    expect(await report({ range: range(90 * HOUR_US) })).toMatchObject({ rows: 0n, windows: 0 });
  });

  it("compares with another time, or with another version at the same time", async () => {
    const { report, ...stores } = await useHandlers();
    await seed(stores);
    const earlier = await report({
      reference: {
        case: "referenceRange",
        value: { startTime: timestampOf(START_US), endTime: timestampOf(START_US + HOUR_US) },
      },
    });
    expect(earlier).toMatchObject({
      reference: "2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z",
      referenceRows: 1000n,
      features: { drifted: 1 },
    });
    await stores.baseline(V2, rows(7, 1500, 0.25));
    const at = { version: V2, eventUs: START_US + 2 * HOUR_US, shadow: true };
    await stores.count({ ...at, columns: rows(8, 700, 0.5) });
    const open = { startTime: timestampOf(START_US + 2 * HOUR_US) };
    const beside = await report({
      range: open,
      reference: { case: "referenceVersion", value: "2" },
    });
    expect(beside).toMatchObject({
      modelVersion: V1.modelVersion,
      reference: V2.modelVersion,
      referenceRows: 700n,
      rows: 600n,
      open: true,
      features: { measured: 2, drifted: 1 },
    });
  });

  it("takes options in place of the monitor's, some columns, and leaves out what is long", async () => {
    const { report, ...stores } = await useHandlers();
    await seed(stores);
    const narrow = await report({
      options: { method: DriftMethod.PSI, columns: [{ column: "x", threshold: 100 }] },
      columns: ["prediction.y", "x"],
      brief: true,
    });
    expect(narrow.columns.map(({ name, drift }) => [name, drift?.method, drift?.drifted])).toEqual([
      ["x", DriftMethod.PSI, false],
      ["prediction.y", DriftMethod.PSI, false],
    ]);
    expect(narrow.columns[0]).not.toHaveProperty("bins.edges");
    expect(narrow.columns[0]?.profile).toBeUndefined();
  });

  it("has what became of features, late and stray values", async () => {
    const { report, baseline, count, closeAfter } = await useHandlers();
    await baseline(V1, rows(1, 2000));
    const statuses = Uint8Array.from({ length: 100 }, (_, i) =>
      i < 20 ? FieldStatus.OUTSIDE_MAX_AGE : i < 25 ? FieldStatus.NOT_FOUND : FieldStatus.PRESENT,
    );
    const view = "workspaces/w/featureViews/v";
    await count({
      version: V1,
      columns: { ...rows(2, 100), unknown: lcg(1, 100) },
      eventUs: START_US,
      statuses: [{ feature: "x", featureView: view, statuses }],
    });
    await closeAfter(CLOSED_MS);
    expect(await report({})).toMatchObject({
      strayValues: 100n,
      freshness: [
        {
          feature: "x",
          featureView: view,
          rows: 100n,
          presentRate: 0.75,
          nullRate: 0,
          notFoundRate: 0.05,
          outsideMaxAgeRate: 0.2,
        },
      ],
    });
  });

  it("has profiles and quality where there is no baseline", async () => {
    const { report, monitors, count, closeAfter } = await useHandlers();
    await monitors.update(
      { deployment: DEPLOYMENT, name: `${DEPLOYMENT}/monitor`, etag: "" },
      (s) => ({
        ...s,
        learning: { ...s.learning, disabled: true },
      }),
    );
    await count({ version: V1, columns: rows(2, 600), eventUs: START_US });
    await closeAfter(CLOSED_MS);
    const plain = await report({});
    expect(plain).toMatchObject({ referenceRows: 0n, rows: 600n, features: { measured: 0 } });
    expect(plain.columns).toHaveLength(3);
    for (const { drift, profile, bins } of plain.columns) {
      expect(drift?.outcome).toBe(DriftResult_Outcome.NOT_COMPARABLE);
      expect(drift?.reason).toBe("baseline-empty");
      expect(profile?.rows).toBe(600n);
      expect(bins?.current.reduce((sum, bin) => sum + bin, 0)).toBe(600);
    }
    await count({ version: V1, columns: rows(3, 600, 2), eventUs: START_US + HOUR_US });
    await closeAfter(CLOSED_MS);
    const hour = { startTime: timestampOf(START_US), endTime: timestampOf(START_US + HOUR_US) };
    const earlier = await report({ reference: { case: "referenceRange", value: hour } });
    expect(earlier.features).toMatchObject({ measured: 2, drifted: 1 });
  });

  it("says which versions there are, and what to do where there is no window", async () => {
    const { report, count, closeAfter, ...stores } = await useHandlers();
    await expect(report({})).rejects.toThrow(
      /No inference of workspaces\/w\/deployments\/d is known/,
    );
    await count({ version: V1, columns: rows(2, 100), eventUs: START_US });
    await expect(report({})).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("being collected for a baseline"),
    });
    await stores.baseline(V1, rows(1, 2000));
    await expect(report({})).rejects.toThrow(/there is none/);
    await count({ version: V1, columns: rows(3, 100), eventUs: START_US });
    await expect(report({})).rejects.toThrow(/still open.*2026-01-01T00:00:00Z/);
    await closeAfter(CLOSED_MS);
    await expect(report({ modelVersion: "7" })).rejects.toMatchObject({
      kind: "NotFound",
      message: expect.stringContaining(V1.modelVersion),
    });
    await expect(report({ modelVersion: V2.modelVersion })).rejects.toMatchObject({
      kind: "NotFound",
    });
    await expect(report({ columns: ["prediction.yy", "z"] })).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        {
          field: "columns[0]",
          description: expect.stringContaining('did you mean "prediction.y"'),
        },
        { field: "columns[1]" },
      ],
    });
    expect((await report({ modelVersion: "1" })).rows).toBe(100n);
  });

  it("refuses every fault at once, and other workspaces", async () => {
    const { report, ...stores } = await useHandlers();
    await seed(stores);
    await expect(
      report({
        modelVersion: "newest",
        range: { startTime: timestampOf(2), endTime: timestampOf(1) },
        reference: { case: "referenceVersion", value: "" },
        options: { datasetShare: 2 },
        columns: Array.from({ length: 1001 }, () => "x"),
      }),
    ).rejects.toMatchObject({
      violations: [
        { field: "model_version" },
        { field: "range.end_time" },
        { field: "reference_version" },
        { field: "options.dataset_share" },
        { field: "columns" },
      ],
    });
    const stranger = { id: "k", workspace: "other", roles: [Role.VIEWER] };
    await expect(report({}, stranger)).rejects.toMatchObject({ kind: "PermissionDenied" });
    const neighbour = { id: "k", workspace: "w", roles: [Role.VIEWER] };
    const elsewhere = "workspaces/other/models/m/versions/1";
    await expect(report({ modelVersion: elsewhere }, neighbour)).rejects.toMatchObject({
      kind: "PermissionDenied",
    });
  });
});
