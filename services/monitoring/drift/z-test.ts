// The two-proportion z-test, for columns of one or two values.

import { normalTwoSidedTail } from "./special-functions.ts";

export interface ZTest {
  /** Standard deviations; above 0 where the baseline's share is the larger. */
  readonly statistic: number;
  /** Two-sided. */
  readonly pValue: number;
}

/** How many of a side's values are the one that is counted. Size is above 0. */
export interface Proportion {
  readonly hits: number;
  readonly size: number;
}

/**
 * z = (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2)) with p the share over both sides together, and
 * p-value 2 (1 - Phi(|z|)) (Evidently's z). Where all values or none are hits on both sides there
 * is no difference: z 0, p 1. Swapping hits with misses only turns the sign.
 */
export function zTest(sides: {
  readonly baseline: Proportion;
  readonly current: Proportion;
}): ZTest {
  const { baseline, current } = sides;
  const size = baseline.size + current.size;
  const hits = baseline.hits + current.hits;
  if (hits === 0 || hits === size) return { statistic: 0, pValue: 1 };
  const pooled = hits / size;
  const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / baseline.size + 1 / current.size));
  const statistic = (baseline.hits / baseline.size - current.hits / current.size) / deviation;
  return { statistic, pValue: normalTwoSidedTail(statistic) };
}
