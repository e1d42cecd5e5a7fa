// The exact law of the two-sample Kolmogorov-Smirnov statistic, for samples small enough to count
// the ways they can interleave.

import assert from "node:assert";

/** exp of less than -this is 0 as a double. */
const EXPONENT_MAX = 746;

/** Greatest common divisor of two whole numbers above 0. */
export function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/**
 * P(D >= h / lcm(m, n)) where all orders of m and n values are equally likely: the share of lattice
 * paths from (0, 0) to (m, n) that meet a point with |i n - j m| >= h gcd(m, n). `h` is whole, in
 * units of 1 / lcm. A path's last step into (i, j) comes from (i - 1, j) with probability i / (i +
 * j), so shares pass from point to point as weighted means of positive numbers and nothing cancels
 * (Schroer and Trenkler 1995; Viehmann 2021). Time: m n D steps at most.
 */
export function exactKolmogorovTail(sizes: { m: number; n: number }, h: number): number {
  const { m, n } = sizes;
  assert(m > 0 && n > 0 && Number.isInteger(h), "sizes are above 0 and h is whole");
  if (h <= 0) return 1;
  const divisor = greatestCommonDivisor(m, n);
  const [mStep, nStep] = [m / divisor, n / divisor];
  const d = h / (mStep * n);
  // P(D >= d) <= e exp(-2 d^2 mn / (m + n)) (Wei and Dudley 2012): no need to count to 0.
  if ((2 * d * d * m * n) / (m + n) > EXPONENT_MAX + 1) return 0;
  // Points that are never reached from inside keep their 1: their paths have met the bound.
  const row = new Float64Array(n + 1).fill(1);
  for (let j = 0; j <= n && j * mStep < h; j += 1) row[j] = 0;
  for (let i = 1; i <= m; i += 1) {
    const low = Math.max(0, Math.floor((i * nStep - h) / mStep) + 1);
    const high = Math.min(n, Math.ceil((i * nStep + h) / mStep) - 1);
    if (low > high) return 1;
    if (low > 0) row[low - 1] = 1;
    let left = low > 0 ? 1 : 0;
    for (let j = low; j <= high; j += 1) {
      left = (i * (row[j] as number) + j * left) / (i + j);
      row[j] = left;
    }
  }
  return row[n] as number;
}
