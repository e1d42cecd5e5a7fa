import { describe, expect, it } from "vitest";
import {
  addNumbers,
  checkNumericLayout,
  copyNumeric,
  countsOn,
  finiteCount,
  mergeNumericInto,
  momentsOf,
  newNumericSketch,
  quantileError,
  quantilesOf,
} from "./numeric-sketch.ts";
import { DRAWS, seeded } from "./testing.ts";

const layout = {
  center: 0,
  scale: 0,
  bucketsMax: 768,
  edges: Float64Array.of(-1, 0, 1, 10),
};

describe("numeric-sketch", () => {
  it("counts each kind of value once", () => {
    const sketch = newNumericSketch(layout);
    const values = Float64Array.of(-1, -0, 0.5, NaN, Infinity, -Infinity, 10, 99, -3, 7);
    addNumbers(sketch, values, Uint8Array.of(0, 0b10));
    expect(sketch).toMatchObject({
      rows: 10,
      nulls: 1,
      nan: 1,
      positiveInfinity: 1,
      negativeInfinity: 1,
      mistyped: 0,
      zeros: 1,
      min: -3,
      max: 10 + 89,
    });
    expect(finiteCount(sketch)).toBe(6);
    // Below -1; [-1, 0); [0, 1); [1, 10), whose 7 was null; 10 and above.
    expect(values[9]).toBe(7);
    expect([...sketch.bins]).toEqual([1, 1, 2, 0, 2]);
    expect(countsOn(sketch, [0, 10])).toEqual([2, 2, 2]);
    expect(momentsOf(sketch).sum).toBe(105.5);
    expect(() => countsOn(sketch, [0, 11])).toThrow("no edge at 11");
  });

  it("has the smaller of two zeros as neither", () => {
    const sketch = newNumericSketch(layout);
    addNumbers(sketch, Float64Array.of(-0), undefined);
    expect(Object.is(sketch.min, 0) && Object.is(sketch.max, 0)).toBe(true);
  });

  it("gives quantiles within the error it states", () => {
    const random = seeded(3);
    const shares = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1];
    for (const name of ["normal", "logNormal", "farFromZero", "times", "hours", "mostlyZero"]) {
      const values = Float64Array.from({ length: 20_000 }, () => DRAWS[name]!(random));
      const sketch = newNumericSketch({ ...layout, center: 1, scale: 0.5 });
      addNumbers(sketch, values, undefined);
      const sorted = values.toSorted();
      quantilesOf(sketch, shares).forEach((quantile, i) => {
        const exact = sorted[Math.max(Math.ceil(shares[i]! * sorted.length) - 1, 0)]!;
        const allowed = quantileError(sketch) * (Math.abs(exact - 1) + 0.5) * (1 + 1e-9);
        expect(Math.abs(quantile - exact), `${name} ${shares[i]}`).toBeLessThanOrEqual(allowed);
      });
      expect(quantileError(sketch), name).toBeLessThan(0.01);
    }
    expect(quantilesOf(newNumericSketch(layout), [0.5])).toEqual([Number.NaN]);
  });

  it("merges only what was counted alike, and leaves the other as it was", () => {
    const a = newNumericSketch(layout);
    const b = newNumericSketch({ ...layout, edges: Float64Array.of(-1, 0, 1, 11) });
    expect(() => mergeNumericInto(a, b)).toThrow("made for different baselines");
    const c = newNumericSketch(layout);
    addNumbers(c, Float64Array.of(1, 2), undefined);
    const before = copyNumeric(c);
    mergeNumericInto(a, c);
    mergeNumericInto(a, c);
    expect([a.rows, momentsOf(a).sum, momentsOf(c).sum]).toEqual([4, 6, 3]);
    expect(c.bins).toEqual(before.bins);
    expect(c.buckets).toEqual(before.buckets);
  });

  it("refuses edges that do not ascend", () => {
    const edges = Float64Array.of(0, 1, 1);
    expect(() => checkNumericLayout({ ...layout, edges })).toThrow("ascending edges");
    expect(() => checkNumericLayout({ ...layout, edges: Float64Array.of(NaN) })).toThrow();
    expect(() =>
      checkNumericLayout({ ...layout, edges: new Float64Array(65).map((_, i) => i) }),
    ).toThrow("up to 64");
  });
});
