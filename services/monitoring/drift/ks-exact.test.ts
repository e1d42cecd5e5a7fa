// Expected values: scipy 1.17.1, the exact branch of stats.ks_2samp, and a count of all orders by
// hand.

import { describe, expect, it } from "vitest";
import { kolmogorovSmirnovTail } from "./kolmogorov-smirnov.ts";
import { exactKolmogorovTail, greatestCommonDivisor } from "./ks-exact.ts";
import { expectClose } from "./testing.ts";

/** m, n, h in units of 1 / lcm(m, n), P(D >= h / lcm). */
const EXACT: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 0, 1.0],
  [1, 1, 0, 1.0],
  [1, 1, 1, 1.0],
  [1, 2, 0, 1.0],
  [1, 2, 0, 1.0],
  [1, 2, 1, 1.0],
  [2, 3, 0, 1.0],
  [2, 3, 1, 1.0],
  [2, 3, 4, 0.6],
  [3, 5, 0, 1.0],
  [3, 5, 3, 1.0],
  [3, 5, 10, 0.2857142857142857],
  [5, 5, 0, 1.0],
  [5, 5, 2, 0.873015873015873],
  [5, 5, 4, 0.07936507936507936],
  [7, 10, 4, 1.0],
  [7, 10, 21, 0.7533422459893047],
  [7, 10, 63, 0.0008227067050596464],
  [10, 10, 0, 1.0],
  [10, 10, 3, 0.7869297884777761],
  [10, 10, 9, 0.00021650176448938054],
  [12, 18, 2, 1.0],
  [12, 18, 11, 0.4536554626099328],
  [12, 18, 32, 2.4741822264113743e-6],
  [20, 30, 3, 0.9999999999999787],
  [20, 30, 18, 0.20235672077103806],
  [20, 30, 54, 1.1640338844626193e-10],
  [50, 40, 10, 0.999999862682064],
  [50, 40, 60, 0.029491469753400675],
  [50, 40, 180, 1.2119254850104708e-19],
  [100, 100, 5, 0.9996892272702655],
  [100, 100, 30, 0.0002248739317492479],
  [100, 100, 90, 4.958889584060123e-43],
  [100, 101, 505, 0.9984388102860421],
  [100, 101, 3030, 0.00017337608478378838],
  [100, 101, 9090, 2.6222400418328372e-43],
  [300, 500, 75, 0.7191585961303666],
  [300, 500, 450, 2.2405538486526632e-15],
  [300, 500, 1350, 1.4492717486610454e-162],
  [1000, 1000, 50, 0.16411447756429137],
  [1000, 1000, 300, 4.231712281869183e-40],
  [1500, 2000, 120, 0.8767137809080717],
  [1500, 2000, 1200, 1.8848103649523674e-30],
  [1, 1000, 20, 1.0],
  [1, 1000, 200, 1.0],
  [1, 1000, 700, 0.6013986013986019],
  [2, 5000, 100, 1.0],
  [2, 5000, 1000, 1.0],
  [2, 5000, 3500, 0.18025199438321096],
];

describe("ks-exact", () => {
  it.each(EXACT)("P for %d against %d, h = %d", (m, n, h, expected) => {
    expectClose(exactKolmogorovTail({ m, n }, h), expected, 1e-12);
    expectClose(exactKolmogorovTail({ m: n, n: m }, h), expected, 1e-12, "swapped");
  });

  it.each([
    [1, 1],
    [1, 4],
    [3, 3],
    [4, 6],
    [5, 7],
    [6, 6],
  ])("is the share of orders whose D is as large: %d against %d", (m, n) => {
    const unit = (m / greatestCommonDivisor(m, n)) * n;
    const gaps = gapsOfAllOrders(m, n);
    for (let h = 0; h <= unit; h += 1) {
      const share = gaps.filter((gap) => gap >= (h * m * n) / unit).length / gaps.length;
      expectClose(exactKolmogorovTail({ m, n }, h), share, 1e-13, `h = ${h}`);
    }
  });

  it("is 0 where it would not be a double, without counting", () => {
    expect(exactKolmogorovTail({ m: 10_000, n: 9_999 }, 10_000 * 9_999)).toBe(0);
  });

  it("is 1 for no gap and for one that every order has", () => {
    expect(exactKolmogorovTail({ m: 7, n: 5 }, 0)).toBe(1);
    expect(exactKolmogorovTail({ m: 7, n: 5 }, 1)).toBe(1);
  });

  it("gives way to the law for large samples where it would take too many steps", () => {
    const sizes = { m: 1000, n: 1000 };
    const exact = kolmogorovSmirnovTail(0.04, sizes);
    const bounded = kolmogorovSmirnovTail(0.04, sizes, { exactStepsMax: 39_999 });
    expect(exact.pValueLaw).toBe("exact");
    expect(kolmogorovSmirnovTail(0.04, sizes, { exactStepsMax: 40_000 })).toEqual(exact);
    expect(bounded.pValueLaw).toBe("kstwo");
    expectClose(bounded.pValue, exact.pValue, 0.03);
  });
});

/** max |i n - j m| of each order of m and n values. */
function gapsOfAllOrders(m: number, n: number): number[] {
  const gaps: number[] = [];
  const walk = (i: number, j: number, gap: number): void => {
    const now = Math.max(gap, Math.abs(i * n - j * m));
    if (i === m && j === n) gaps.push(now);
    if (i < m) walk(i + 1, j, now);
    if (j < n) walk(i, j + 1, now);
  };
  walk(0, 0, 0);
  return gaps;
}
