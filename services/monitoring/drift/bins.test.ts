// Expected edges: numpy 2.4.6, np.histogram_bin_edges and np.quantile.

import { describe, expect, it } from "vitest";
import { nextUp } from "../next-up.ts";
import { countsInBins, decileEdges, doaneEdges, pairWithLeftover, sturgesEdges } from "./bins.ts";
import { histogramOf, numericSample } from "./distribution.ts";
import { equalBins, lcg } from "./testing.ts";

const VALUES = numericSample([1, 2, 2.5, 4, 7, 7.5, 9, 40]);

describe("bins", () => {
  it("has Sturges edges over both columns", () => {
    const baseline = numericSample([1, 2, 2.5, 4]);
    const current = numericSample([7, 7.5, 9, 10]);
    expect([...sturgesEdges({ baseline, current })]).toEqual([1, 3.25, 5.5, 7.75, 10]);
  });

  it("has as many Sturges and Doane bins as numpy, at powers of two as well", () => {
    const sizes = [2, 3, 4, 8, 16, 31, 32, 33, 64, 1024, 1025, 4096];
    const sturges = sizes.map((size) => {
      const values = lcg(5, size);
      const baseline = numericSample(values.slice(0, 1));
      const current = numericSample(values.slice(1));
      return sturgesEdges({ baseline, current }).length - 1;
    });
    expect(sturges).toEqual([2, 3, 3, 4, 5, 6, 6, 7, 7, 11, 12, 14]);
    const doane = sizes.map((size) => {
      return doaneEdges(numericSample(lcg(5, size).map((x) => x ** 3))).length - 1;
    });
    expect(doane).toEqual([1, 4, 4, 6, 7, 8, 8, 9, 10, 15, 15, 18]);
  });

  it("puts one bin around values that are all alike", () => {
    const same = numericSample([3, 3, 3]);
    expect([...sturgesEdges({ baseline: same, current: same })]).toEqual([2.5, 3.5]);
  });

  it("has a Doane bin of its own for a constant baseline", () => {
    const baseline = numericSample([3, 3, 3]);
    const counts = pairWithLeftover(
      { baseline, current: numericSample([2.9, 3, 3.1, 3.2]) },
      doaneEdges(baseline),
    );
    expect(counts).toEqual({ baseline: Float64Array.of(3, 0), current: Float64Array.of(1, 3) });
  });

  it("has deciles as numpy's quantiles, open at both ends", () => {
    const edges = decileEdges(VALUES);
    const expected = [1.7, 2.2, 2.65, 3.7, 5.5, 7.1, 7.45, 8.4, 18.3];
    expect(edges[0]).toBe(Number.NEGATIVE_INFINITY);
    expect(edges.at(-1)).toBe(Number.POSITIVE_INFINITY);
    expect(edges).toHaveLength(11);
    expected.forEach((edge, i) => {
      expect(edges[i + 1]).toBeCloseTo(edge, 12);
    });
  });

  it("merges deciles that fall together and splits a constant from its neighbours", () => {
    const zeros = numericSample([...new Array(70).fill(0), ...lcg(1, 30)]);
    const edges = decileEdges(zeros);
    expect(edges).toHaveLength(6);
    expect([...countsInBins(zeros, edges)]).toEqual([0, 70, 10, 10, 10]);
    const constant = decileEdges(numericSample([-2, -2]));
    expect([...countsInBins(numericSample([-3, -2, -2, -1.9]), constant)]).toEqual([1, 2, 1]);
    const zero = decileEdges(numericSample([0]));
    expect([...countsInBins(numericSample([-1e-300, 0, -0, 1e-300]), zero)]).toEqual([1, 2, 1]);
  });

  it("has the deciles of the rows in a histogram with a bin for each value", () => {
    const values = [...new Array(50).fill(0), ...new Array(27).fill(0.5), ...new Array(23).fill(2)];
    const each = Float64Array.of(0, nextUp(0), 0.5, nextUp(0.5), 2, nextUp(2));
    const sample = numericSample(values);
    expect(decileEdges(histogramOf(sample, each))).toEqual(decileEdges(sample));
    expect([...decileEdges(sample)]).toEqual([-Infinity, 0, 0.25, 0.5, 2, Infinity]);
  });

  it("takes a heavy bin that stands out for one value, and an even one not", () => {
    const rest = lcg(4, 600).map((x) => 4 * x);
    const spiked = numericSample([...rest, ...new Array(400).fill(1.003)]);
    const edges = decileEdges(equalBins(spiked, { bins: 400, to: 4 }));
    expect(edges.filter((edge) => edge > 0.999 && edge < 1.011)).toHaveLength(1);
    const even = decileEdges(equalBins(numericSample(lcg(4, 1000)), { bins: 4 }));
    expect(even).toHaveLength(11);
  });

  it("counts whole values in bins that cut those of a histogram", () => {
    const histogram = equalBins(numericSample([0.1, 0.1, 0.1, 0.6]), { bins: 2 });
    const counts = countsInBins(histogram, Float64Array.of(0, 0.2, 0.4, 0.95, 1));
    expect([...counts]).toEqual([1, 1, 2, 0]);
  });

  it("counts the left edge in, the right one only in the last bin, and nothing beyond", () => {
    const sample = numericSample([0.9, 1, 1, 2, 3, 3, 3.1]);
    expect([...countsInBins(sample, Float64Array.of(1, 2, 3))]).toEqual([2, 3]);
  });

  it("finds a histogram's own counts in its own bins", () => {
    const histogram = equalBins(numericSample(lcg(7, 500)), { bins: 8, from: 0.25, to: 0.75 });
    const counts = countsInBins(histogram, histogram.edges);
    counts.forEach((count, i) => {
      expect(count).toBeCloseTo(histogram.counts[i] as number, 9);
    });
    const all = countsInBins(histogram, Float64Array.of(-Infinity, 0.25, 0.75, Infinity));
    expect(all[0]).toBeCloseTo(histogram.below, 9);
    expect(all[2]).toBeCloseTo(histogram.above, 9);
  });

  it("counts what lies outside the baseline as left over", () => {
    const baseline = numericSample([0, 1, 2, 3]);
    const current = numericSample([-1, 1, 2, 9, 9]);
    const edges = Float64Array.of(0, 1.5, 3);
    expect(pairWithLeftover({ baseline, current }, edges)).toEqual({
      baseline: Float64Array.of(2, 2, 0),
      current: Float64Array.of(1, 1, 3),
    });
  });

  it("takes skewness from a histogram as from its rows", () => {
    const skewed = numericSample(lcg(9, 3000).map((x) => x ** 4));
    const fine = histogramOf(
      skewed,
      Float64Array.from({ length: 1001 }, (_, i) => i / 1000),
    );
    expect(doaneEdges(fine)).toHaveLength(doaneEdges(skewed).length);
  });
});
