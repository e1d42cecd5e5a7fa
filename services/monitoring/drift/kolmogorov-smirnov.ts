// The two-sample Kolmogorov-Smirnov test: the largest gap between two cumulative distributions, and
// how often chance alone would open one as large.

import { cumulativeOf, walkDifference } from "./cumulative.ts";
import { type NumericDistribution, sizeOf } from "./distribution.ts";
import { kolmogorovTail } from "./ks-asymptotic.ts";
import { exactKolmogorovTail, greatestCommonDivisor } from "./ks-exact.ts";

/** Samples up to this size have their p-value counted exactly (scipy's limit). */
const EXACT_SIZE_MAX = 10_000;

export interface TailOptions {
  /**
   * Most steps (m n D) that the exact law may take, about 5 ns each; beyond them the law is kstwo
   * for smaller samples too. Absent: no such bound, as scipy.
   */
  readonly exactStepsMax?: number;
}

export interface KolmogorovSmirnov {
  /** D = max |F(x) - G(x)|, 0 to 1. */
  readonly statistic: number;
  /** Two-sided. */
  readonly pValue: number;
  /** Which law gave the p-value. */
  readonly pValueLaw: "exact" | "kstwo";
}

/**
 * The two-sided two-sample test. D is exact for samples. For a histogram, inside whose bins F is
 * interpolated linearly, it can differ from the samples' D by at most the share of a bin; it is
 * smaller where both have the same edges.
 *
 * The p-value is scipy's (ks_2samp, method "auto"): the exact law up to 10,000 values on either
 * side; above, `kstwo.sf(D, round(n m / (n + m)))`, the finite-n law of the one-sample statistic by
 * Simard and L'Ecuyer, and not Kolmogorov's limit `kstwobign.sf(sqrt(n m / (n + m)) D)`, which
 * differs by percents. Halves are rounded to even. Both must not be empty.
 */
export function kolmogorovSmirnov(
  a: NumericDistribution,
  b: NumericDistribution,
  options: TailOptions = {},
): KolmogorovSmirnov {
  const sizes = { m: sizeOf(a), n: sizeOf(b) };
  const statistic =
    a.form === "sample" && b.form === "sample"
      ? gapOfSamples(a.sorted, b.sorted) / (sizes.m * sizes.n)
      : gapOf(a, b);
  return { statistic, ...kolmogorovSmirnovTail(statistic, sizes, options) };
}

/** The two-sided p-value of a D between samples of m and n values. */
export function kolmogorovSmirnovTail(
  statistic: number,
  { m, n }: { readonly m: number; readonly n: number },
  { exactStepsMax = Number.POSITIVE_INFINITY }: TailOptions = {},
): Pick<KolmogorovSmirnov, "pValue" | "pValueLaw"> {
  if (Math.max(m, n) <= EXACT_SIZE_MAX && statistic * m * n <= exactStepsMax) {
    const unit = (m / greatestCommonDivisor(m, n)) * n;
    const pValue = exactKolmogorovTail({ m, n }, Math.round(statistic * unit));
    return { pValue, pValueLaw: "exact" };
  }
  const effective = roundHalfToEven((m * n) / (m + n));
  return { pValue: kolmogorovTail(effective, statistic), pValueLaw: "kstwo" };
}

/** D times m n, whole. */
function gapOfSamples(a: Float64Array, b: Float64Array): number {
  let gap = 0;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const x = Math.min(a[i] as number, b[j] as number);
    while (a[i] === x) i += 1;
    while (b[j] === x) j += 1;
    gap = Math.max(gap, Math.abs(i * b.length - j * a.length));
  }
  return gap;
}

function gapOf(a: NumericDistribution, b: NumericDistribution): number {
  let gap = 0;
  walkDifference(cumulativeOf(a), cumulativeOf(b), (_width, start, end) => {
    gap = Math.max(gap, Math.abs(start), Math.abs(end));
  });
  return gap;
}

function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
