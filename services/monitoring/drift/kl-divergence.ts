// Kullback-Leibler divergence of the current shares from those of the baseline.

import { sharesOf } from "./shares.ts";
import { deviance } from "./special-functions.ts";

/**
 * KL = sum p ln(p / q), in nats, p the baseline's shares and q the current ones, both normalised to
 * sum to 1 (scipy.stats.entropy(p, q), which Evidently calls on filled shares). It is not
 * symmetric. Infinity where q is 0 and p is not; 0 where they are equal.
 */
export function klDivergence(p: Float64Array, q: Float64Array): number {
  const [a, b] = [sharesOf(p), sharesOf(q)];
  let sum = 0;
  // Terms p ln(p/q) + q - p add up to the same sum and none of them is negative.
  for (let i = 0; i < a.length; i += 1) sum += deviance(a[i] as number, b[i] as number);
  return sum;
}
