import { describe, expect, it } from "vitest";
import { lcg } from "../drift/testing.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import { compareWindows } from "./compare-windows.ts";
import { baselineOf, type Columns, windowOf } from "./testing.ts";

/** The bins of one column. */
function binsOf(before: Columns[string], now: Columns[string]) {
  const { layout, baseline } = baselineOf({ x: before });
  const { columns } = compareWindows({
    layout,
    reference: baseline,
    current: windowOf(layout, { x: now }),
    drift: DEFAULT_SETTINGS.drift,
  });
  return columns[0]?.bins;
}

const sum = (counts: readonly number[] = []) => counts.reduce((total, count) => total + count, 0);

describe("the bins of a plot", () => {
  it("are one a value where there are few, half way to the neighbours", () => {
    const before = Float64Array.from({ length: 900 }, (_, i) => [0, 1, 4][i % 3]!);
    const now = Float64Array.from({ length: 600 }, (_, i) => [1, 4, 5][i % 3]!);
    expect(binsOf(before, now)).toMatchObject({
      edges: [-0.5, 0.5, 2.5, 4.5, 5.5],
      categories: [],
      reference: [300, 300, 300, 0],
      current: [0, 200, 200, 200],
    });
    const same = new Float64Array(600).fill(7);
    expect(binsOf(same, same)).toMatchObject({ edges: [6.5, 7.5], reference: [600] });
  });

  it("are the baseline's, and more of their width where the rows go beyond them", () => {
    const before = lcg(1, 2000).map((u) => 13 * u);
    const within = binsOf(before, lcg(2, 1000));
    const [first, last] = [Math.min(...before), Math.max(...before)];
    const edges = within?.edges ?? [];
    expect([edges[0], edges.at(-1)]).toEqual([first, last]);
    const width = edges[1]! - edges[0]!;
    expect(within?.current[0]).toBe(lcg(2, 1000).filter((u) => u < edges[1]!).length);
    const beyond = binsOf(
      before,
      lcg(2, 1000).map((u) => 13 * u + 2.9 * width),
    );
    expect(beyond?.edges).toHaveLength(edges.length + 3);
    expect([sum(beyond?.reference), sum(beyond?.current)]).toEqual([2000, 1000]);
    expect(sum(beyond?.current.slice(-3))).toBeGreaterThan(100);
  });

  it("are bounded, however far out a value lies; the outermost hold the rest", () => {
    const before = lcg(1, 2000);
    const now = lcg(2, 1000);
    now.set([1e300, -1e300, 50]);
    const bins = binsOf(before, now);
    expect(bins?.edges.every(Number.isFinite)).toBe(true);
    expect(bins?.edges.length).toBeLessThan(60);
    expect([bins?.current[0], bins?.current.at(-1)]).toEqual([1, 2]);
    expect(sum(bins?.current)).toBe(1000);
  });

  it("cover both sides where the baseline was constant", () => {
    const bins = binsOf(new Float64Array(900).fill(3), lcg(2, 1000));
    expect(bins?.edges).toHaveLength(25);
    expect(bins?.edges.at(-1)).toBe(3);
    expect(bins?.reference.at(-1)).toBe(900);
    expect(sum(bins?.current)).toBe(1000);
  });

  it("are those of the only side there is, and none where there is none", () => {
    const nothing = new Float64Array(10).fill(Number.NaN);
    expect(binsOf(lcg(1, 900), nothing)).toMatchObject({
      current: expect.toSatisfy((counts: number[]) => sum(counts) === 0),
      reference: expect.toSatisfy((counts: number[]) => sum(counts) === 900),
    });
    expect(binsOf(nothing, nothing)).toBeUndefined();
  });

  it("are the most frequent categories and one for the others", () => {
    const before = Array.from(lcg(3, 3000), (u) => `k${Math.floor(80 * u * u)}`);
    const now = Array.from(lcg(4, 1000), (u) => (u < 0.1 ? "new" : `k${Math.floor(80 * u)}`));
    const bins = binsOf(before, now);
    expect(bins?.categories).toHaveLength(51);
    expect(bins?.categories[0]).toBe("k0");
    expect(bins?.categories.at(-1)).toBe("other");
    expect([sum(bins?.reference), sum(bins?.current)]).toEqual([3000, 1000]);
    expect(bins?.reference).toEqual(
      [...(bins?.reference ?? [])]
        .slice(0, 50)
        .toSorted((a, b) => b - a)
        .concat(bins?.reference[50] ?? 0),
    );
    expect(binsOf([true, false, true], [false, false])).toMatchObject({
      categories: ["true", "false"],
      reference: [2, 1],
      current: [0, 2],
    });
  });
});
