import { describe, expect, it } from "vitest";
import { ColumnKind, ColumnRole } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import { lcg } from "../drift/testing.ts";
import { draftLayout } from "../sketch/column-layout.ts";
import { newWindowSketch } from "../sketch/window-sketch.ts";
import { profileMessage } from "./column-profile-message.ts";
import { baselineOf, type Columns, windowOf } from "./testing.ts";

function profileOf(values: Columns[string], before = values, name = "x") {
  const { layout } = baselineOf({ [name]: before });
  return profileMessage(layout.columns[0]!, windowOf(layout, { [name]: values }).columns[0]!);
}

describe("a column's profile", () => {
  it("has counts, extremes, moments and quantiles of numbers", () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => i);
    values.set([Number.NaN, Infinity, -Infinity, 0]);
    const profile = profileOf(
      values,
      Float64Array.from({ length: 1000 }, (_, i) => i),
    );
    expect(profile).toMatchObject({
      name: "x",
      role: ColumnRole.FEATURE,
      kind: ColumnKind.NUMERIC,
      rows: 1000n,
      nulls: 0n,
      numeric: { finite: 997n, nan: 1n, infinite: 2n, zeros: 1n, min: 0, max: 999 },
    });
    const finite = values.filter(Number.isFinite);
    const mean = finite.reduce((total, value) => total + value, 0) / 997;
    expect(profile.numeric?.mean).toBeCloseTo(mean, 10);
    const error = profile.numeric?.quantileError ?? Number.NaN;
    expect(error).toBeLessThan(0.01);
    for (const { q, value } of profile.numeric?.quantiles ?? []) {
      expect(Math.abs(value - (3 + 996 * q))).toBeLessThan(1.5 + error * 1000);
    }
    expect(profile.numeric?.quantiles.map(({ q }) => q)).toEqual([
      0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99,
    ]);
    const { counts = [], below = 0, above = 0 } = profile.numeric?.histogram ?? {};
    expect(counts.reduce((total, count) => total + count, below + above)).toBe(997);
  });

  it("says how many different values there are as long as it can tell", () => {
    expect(profileOf(lcg(1, 100)).numeric?.distinct).toBe(100n);
    expect(profileOf(lcg(1, 5000)).numeric?.distinct).toBeUndefined();
  });

  it("leaves out what no value has", () => {
    const { numeric } = profileOf(Float64Array.of(Number.NaN, Number.NaN), lcg(1, 50));
    expect(numeric).toMatchObject({ finite: 0n, nan: 2n, quantiles: [] });
    for (const field of ["min", "max", "mean", "std", "distinct"]) {
      expect(numeric).not.toHaveProperty(field, expect.anything());
    }
    const layout = draftLayout([{ name: "x", kind: "numeric" }]);
    const empty = profileMessage(layout.columns[0]!, newWindowSketch(layout).columns[0]!);
    expect(empty.numeric?.histogram).toBeUndefined();
    expect(empty.rows).toBe(0n);
  });

  it("has the most frequent categories, and some that the baseline does not know", () => {
    const values = ["b", "a", "b", null, "new", "new", "new", "b"];
    expect(profileOf(values, ["a", "b", "c"], "prediction.label")).toMatchObject({
      role: ColumnRole.PREDICTION,
      kind: ColumnKind.CATEGORICAL,
      rows: 8n,
      nulls: 1n,
      categorical: {
        distinct: 3n,
        isEstimate: false,
        unseen: 3n,
        top: [
          { category: "b", count: 3n },
          { category: "new", count: 3n },
          { category: "a", count: 1n },
        ],
        unseenExamples: [{ category: "new", count: 3n }],
      },
    });
  });

  it("is bounded, and says that a count of many categories is estimated", () => {
    const many = Array.from(lcg(1, 6000), (u) => `user ${Math.floor(1e6 * u)}`);
    const { categorical } = profileOf(many, ["a"]);
    expect(categorical?.top).toHaveLength(32);
    expect(categorical?.unseenExamples).toHaveLength(10);
    expect(categorical).toMatchObject({ isEstimate: true, unseen: 6000n });
    expect(Number(categorical?.distinct) / 6000).toBeCloseTo(1, 0);
    const known = Array.from({ length: 300 }, (_, i) => `k${i % 100}`);
    expect(profileOf(known).categorical?.top).toHaveLength(50);
  });

  it("counts truth values as categories, and lists only by presence", () => {
    expect(profileOf([true, true, false])).toMatchObject({
      kind: ColumnKind.BOOLEAN,
      categorical: {
        top: [
          { category: "true", count: 2n },
          { category: "false", count: 1n },
        ],
      },
    });
    const layout = draftLayout([{ name: "list", kind: "counted" }]);
    const counted = { kind: "counted" as const, counted: { rows: 9, nulls: 2, mistyped: 0 } };
    const profile = profileMessage(layout.columns[0]!, counted);
    expect(profile).toMatchObject({ kind: ColumnKind.COUNTED, rows: 9n, nulls: 2n });
    expect(profile.numeric ?? profile.categorical).toBeUndefined();
  });
});
