import { describe, expect, it } from "vitest";
import { type Check, difference, judge, median, type Round, ratio } from "./figures.ts";

function rounds(...pairs: readonly (readonly [plinth: number, other: number])[]): Round[] {
  return pairs.map(
    ([plinth, other]) =>
      new Map([
        ["plinth", { rate: plinth, p50Ms: plinth }],
        ["other", { rate: other, p50Ms: other }],
      ]),
  );
}

const twice: Check = {
  what: "of the other's rate",
  unit: "x",
  target: 2,
  bound: "at least",
  value: ratio(["plinth", "rate"], ["other", "rate"]),
};

describe("figures", () => {
  it("takes the middle, or the mean of the two in the middle", () => {
    expect(median([9, 1, 4])).toBe(4);
    expect(median([9, 1, 4, 6])).toBe(5);
  });

  it("judges by the median of the ratios of each round, not by the ratio of the medians", () => {
    const verdict = judge(twice, rounds([10, 10], [40, 20], [90, 30]));
    expect(verdict.values).toEqual([1, 2, 3]);
    expect(verdict.value).toBe(2);
    expect(verdict.met).toBe(true);
  });

  it("counts the target itself as met by at least and at most, and as missed by under", () => {
    const value = difference("plinth", "other", "p50Ms");
    const found = rounds([7, 2]);
    const met = (bound: Check["bound"]) =>
      judge({ what: "p50", unit: "ms", target: 5, bound, value }, found).met;
    expect([met("at least"), met("at most"), met("under")]).toEqual([true, true, false]);
  });

  it("has no verdict where a contender is missing", () => {
    const verdict = judge(twice, [new Map([["plinth", { rate: 10 }]])]);
    expect(verdict.value).toBeUndefined();
    expect(verdict.met).toBeUndefined();
  });
});
