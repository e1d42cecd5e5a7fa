import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import { firstLength } from "../windows/event-clock.ts";
import { splitByWindow } from "../windows/split-batch.ts";
import { planBatch, windowsOf } from "./prediction-plan.ts";
import { batchOf, HOUR_US, START_US } from "./testing.ts";

const SKEW_MS = 300_000;
const KEEP_ALL = Number.POSITIVE_INFINITY;

/** The inferences of each window, as predictions are kept and as rows are counted. */
function both(hours: readonly number[]) {
  const inferences = hours.map((hour) => ({ eventUs: START_US + hour * HOUR_US, rows: [0.9] }));
  const batch = batchOf({ inferences });
  const settings = { ...DEFAULT_SETTINGS, windowUs: HOUR_US };
  const nowMs = START_US / 1000;
  const plan = planBatch(batch, { nowMs, clockSkewMs: SKEW_MS, keepBelow: KEEP_ALL, settings });
  const kept = windowsOf(batch, plan).map(({ startUs, endUs, inferences: some }) => {
    return { startUs, endUs, inferences: some.map(({ inference }) => inference) };
  });
  const horizonUs = (nowMs + SKEW_MS) * 1000;
  const { shares } = splitByWindow(batch, { lengths: firstLength(HOUR_US), horizonUs });
  const counted = shares.map(({ startUs, endUs, inferences: some }) => {
    return { startUs, endUs, inferences: some };
  });
  return { kept, counted };
}

describe("prediction-plan", () => {
  it("has the windows that the rows are counted in, without what is in the future", () => {
    const { kept, counted } = both([-1, 0, 5, -3, -1, 0.08]);
    expect(kept.map(({ inferences }) => inferences)).toEqual([[3], [0, 4], [1, 5]]);
    expect(kept).toEqual(counted);
  });

  it("has the newest of too many windows, as they are counted", () => {
    const { kept, counted } = both(Array.from({ length: 1100 }, (_, i) => -i));
    expect(kept).toHaveLength(1024);
    expect(kept[0]?.inferences).toEqual([1023]);
    expect(kept).toEqual(counted);
  });
});
