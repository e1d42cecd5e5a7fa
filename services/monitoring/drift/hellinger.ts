// Hellinger distance: the Euclidean distance of the square roots of shares.

import { sharesOf } from "./shares.ts";

/**
 * H = sqrt(1 - sum sqrt(p q)) = sqrt(sum (sqrt p - sqrt q)^2 / 2), between 0 for equal shares and 1
 * for shares with nothing in common. Evidently has it in the first form, over categories or over
 * Sturges bins of the different values, where density times bin width is the share; NannyML in the
 * second, which is used here because it does not cancel. Shares are normalised to sum to 1.
 */
export function hellingerDistance(p: Float64Array, q: Float64Array): number {
  const [a, b] = [sharesOf(p), sharesOf(q)];
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) {
    sum += (Math.sqrt(a[i] as number) - Math.sqrt(b[i] as number)) ** 2;
  }
  return Math.min(1, Math.sqrt(sum / 2));
}
