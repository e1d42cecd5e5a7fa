import { describe, expect, it } from "vitest";
import { lcg } from "../drift/testing.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import { compareWindows } from "./compare-windows.ts";
import { baselineOf, windowOf } from "./testing.ts";
import { BASELINE, COLUMNS, column, compared, LAYOUT } from "./testing-columns.ts";

describe("data quality", () => {
  it("counts missing values, other kinds, NaN and infinity as shares of the column's rows", () => {
    const delay = Float64Array.from(COLUMNS.delay as Float64Array);
    delay.fill(Number.NaN, 0, 200).fill(Infinity, 200, 300).fill(-Infinity, 300, 320);
    const carrier = new Array(2000).fill(null).fill("a", 0, 500);
    const report = compared({ delay, carrier });
    expect(column(report, "delay").quality).toMatchObject({ nanRate: 0.1, infinityRate: 0.06 });
    expect(column(report, "carrier").quality).toMatchObject({
      missingRate: 0.75,
      referenceMissingRate: 0.02,
    });
    const texts = compared({ hour: new Array(2000).fill("noon") });
    expect(column(texts, "hour").quality?.typeViolationRate).toBe(1);
  });

  it("counts values beyond the baseline's extremes exactly, and those on them not", () => {
    const before = COLUMNS.delay as Float64Array;
    const [min, max] = [Math.min(...before), Math.max(...before)];
    const delay = before.slice();
    delay.set([min - 1e-9, max + 1e-9, 1e300, min, max]);
    const { quality } = column(compared({ delay }), "delay");
    expect(quality?.rangeViolationRate).toBe(3 / 2000);
    const whole = COLUMNS.hour as Float64Array;
    const hour = whole.slice();
    hour.set([24, -1, 23, 0]);
    expect(column(compared({ hour }), "hour").quality?.rangeViolationRate).toBe(2 / 2000);
  });

  it("counts rows of categories that the baseline does not have", () => {
    const carrier = [...(COLUMNS.carrier as (string | null)[])];
    carrier.splice(1, 10, ...new Array(10).fill("zz"));
    const report = column(compared({ carrier }), "carrier");
    expect(report.quality?.unseenRate).toBe(10 / 2000);
    expect(report.profile?.categorical?.unseenExamples).toMatchObject([
      { category: "zz", count: 10n },
    ]);
  });

  it("does not call categories unseen that only the vocabulary had no place for", () => {
    const many = (seed: number) =>
      Array.from(lcg(seed, 4000), (u) => `user ${Math.floor(3000 * u)}`);
    const { layout, baseline } = baselineOf({ x: many(1) });
    const report = compareWindows({
      layout,
      reference: baseline,
      current: windowOf(layout, { x: many(2) }),
      drift: DEFAULT_SETTINGS.drift,
    });
    expect(report.columns[0]?.profile?.categorical?.unseen).toBeGreaterThan(3000n);
    expect(report.columns[0]?.quality?.unseenRate).toBe(0);
  });

  it("calls a column constant where that is no chance", () => {
    const flags = (size: number) => windowOf(LAYOUT, { cold: new Array(size).fill(false) });
    const isConstant = (current: ReturnType<typeof flags>) =>
      column(
        compareWindows({
          layout: LAYOUT,
          reference: BASELINE,
          current,
          drift: DEFAULT_SETTINGS.drift,
        }),
        "cold",
      ).quality?.constant;
    // A fifth of the baseline is true: 0.8^20 is about 0.012, 0.8^22 about 0.007.
    expect(isConstant(flags(19))).toBe(false);
    expect(isConstant(flags(40))).toBe(true);
    const stuck = compared({ delay: new Float64Array(2000).fill(0.25) });
    expect(column(stuck, "delay").quality?.constant).toBe(true);
    expect(column(compared({}), "delay").quality?.constant).toBe(false);
    const same = baselineOf({ x: new Float64Array(600).fill(7) });
    const { columns } = compareWindows({
      layout: same.layout,
      reference: same.baseline,
      current: same.baseline,
      drift: DEFAULT_SETTINGS.drift,
    });
    expect(columns[0]?.quality?.constant).toBe(false);
    expect(columns[0]?.drift?.reason).toBe("constant");
  });
});
