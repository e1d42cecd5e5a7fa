import { describe, expect, it } from "vitest";
import { Comparison } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Condition } from "./alert-rule.ts";
import { find } from "./condition.ts";

const sigma = (given: Partial<Extract<Condition, { kind: "sigma" }>> = {}): Condition => ({
  kind: "sigma",
  k: 0,
  windows: 0,
  comparison: Comparison.UNSPECIFIED,
  ...given,
});

describe("condition", () => {
  it.each([
    [Comparison.GREATER, 0.5, "right"],
    [Comparison.GREATER, 0.51, "wrong"],
    [Comparison.GREATER_OR_EQUAL, 0.5, "wrong"],
    [Comparison.GREATER_OR_EQUAL, 0.49, "right"],
    [Comparison.LESS, 0.5, "right"],
    [Comparison.LESS, 0.49, "wrong"],
    [Comparison.LESS_OR_EQUAL, 0.5, "wrong"],
    [Comparison.LESS_OR_EQUAL, 0.51, "right"],
  ])("compares with a threshold: %s %s is %s", (comparison, value, kind) => {
    const finding = find({ kind: "threshold", comparison, value: 0.5 }, value, {});
    expect(finding).toMatchObject({ kind, value, bound: 0.5 });
  });

  it("compares with the baseline times a factor plus an offset", () => {
    const condition: Condition = {
      kind: "baseline",
      comparison: Comparison.GREATER,
      factor: 2,
      offset: 0.1,
    };
    expect(find(condition, 0.51, { baseline: 0.2 })).toMatchObject({ kind: "wrong", bound: 0.5 });
    expect(find(condition, 0.5, { baseline: 0.2 })).toMatchObject({ kind: "right" });
    expect(find({ ...condition, factor: null }, 0.31, { baseline: 0.2 })).toMatchObject({
      kind: "wrong",
    });
    expect(find({ ...condition, factor: 0 }, 0.11, { baseline: 5 })).toMatchObject({
      kind: "wrong",
      bound: 0.1,
    });
  });

  // mean 5, numpy.nanstd (ddof 0) 2; with ddof 1 it would be 2.138.
  const earlier = [2, 4, 4, 4, 5, 5, 7, 9];

  it("divides the deviation by n and is strict, as NannyML", () => {
    expect(find(sigma({ k: 3 }), 11, { earlier })).toMatchObject({ kind: "right", bound: 11 });
    expect(find(sigma({ k: 3 }), 11.001, { earlier })).toMatchObject({ kind: "wrong", bound: 11 });
    expect(find(sigma(), -1, { earlier })).toMatchObject({ kind: "right", bound: -1 });
    expect(find(sigma(), -1.001, { earlier })).toMatchObject({ kind: "wrong", bound: -1 });
  });

  it("looks to one side where it is told to", () => {
    const up = sigma({ comparison: Comparison.GREATER });
    const down = sigma({ comparison: Comparison.LESS });
    expect(find(up, -100, { earlier })).toMatchObject({ kind: "right", bound: 11 });
    expect(find(down, -100, { earlier })).toMatchObject({ kind: "wrong", bound: -1 });
    expect(find(down, 100, { earlier })).toMatchObject({ kind: "right" });
  });

  it("takes only as many windows as it is told, the newest", () => {
    // Of the first three the mean is 10/3 and the deviation 0.943.
    const three = sigma({ windows: 3 });
    expect(find(three, 6.2, { earlier })).toMatchObject({ kind: "wrong" });
    expect(find(three, 6.1, { earlier })).toMatchObject({ kind: "right" });
  });

  it("is not misled by the rounding of equal values", () => {
    const equal = Array.from({ length: 30 }, () => 0.1);
    expect(find(sigma(), 0.1, { earlier: equal })).toMatchObject({ kind: "right" });
    expect(find(sigma(), 0.11, { earlier: equal })).toMatchObject({ kind: "wrong" });
  });

  it("knows nothing where a side is missing", () => {
    const threshold: Condition = {
      kind: "threshold",
      comparison: Comparison.LESS,
      value: 1,
    };
    const baseline: Condition = {
      kind: "baseline",
      comparison: Comparison.GREATER,
      factor: null,
      offset: 0,
    };
    expect(find(threshold, undefined, {}).kind).toBe("unknown");
    expect(find(threshold, Number.NaN, {}).kind).toBe("unknown");
    expect(find(baseline, 1, {}).kind).toBe("unknown");
    expect(find(baseline, 1, { baseline: Number.NaN }).kind).toBe("unknown");
    expect(find(sigma(), 1, {}).kind).toBe("unknown");
    expect(find(sigma(), 1, { earlier: [0, 0] }).kind).toBe("unknown");
  });

  it("says in words what it found", () => {
    const condition: Condition = {
      kind: "baseline",
      comparison: Comparison.GREATER,
      factor: 2,
      offset: 0,
    };
    expect(find(condition, 0.5, { baseline: 0.1 })).toMatchObject({
      words: "0.5 > 0.2 (from 0.1 in the baseline)",
    });
    expect(find(condition, 0.05, { baseline: 0.1 })).toMatchObject({
      words: "0.05 <= 0.2 (from 0.1 in the baseline)",
    });
  });
});
