import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import {
  addInference,
  addStatuses,
  addTotals,
  mutableTotals,
  newTotals,
  storedTotals,
} from "./window-totals.ts";

describe("window-totals", () => {
  it("adds up alike in any order", () => {
    const random = new SeededRandom(5);
    const parts = Array.from({ length: 200 }, () => {
      const totals = newTotals();
      addInference(totals, {
        queueMs: random.below(1e9) / 7e5,
        computeMs: random.below(100) / 3e4,
      });
      const feature = `f${random.below(4)}`;
      addStatuses(
        totals,
        { feature, featureView: "" },
        random.bytes(9).map((byte) => byte % 6),
      );
      return storedTotals(totals);
    });
    const forwards = newTotals();
    const backwards = newTotals();
    for (const part of parts) {
      addTotals(forwards, part);
    }
    for (const part of parts.toReversed()) {
      addTotals(backwards, part);
    }
    expect(storedTotals(backwards)).toEqual(storedTotals(forwards));
    expect(storedTotals(mutableTotals(storedTotals(forwards)))).toEqual(storedTotals(forwards));
    expect(forwards.inferences).toBe(200);
  });

  it("counts times that cannot be as nothing, and unknown statuses as unspecified", () => {
    const totals = newTotals();
    for (const ms of [Number.NaN, -1, Number.POSITIVE_INFINITY, 1e300, 1.5]) {
      addInference(totals, { queueMs: ms, computeMs: 0 });
    }
    expect(totals.queueMs).toBe(86_400_000 + 1.5);
    addStatuses(totals, { feature: "f", featureView: "v" }, Uint8Array.of(0, 1, 4, 5, 255));
    expect(storedTotals(totals).freshness).toEqual([
      { feature: "f", featureView: "v", statuses: [3, 1, 0, 0, 1] },
    ]);
  });
});
