// Jensen-Shannon distance: symmetric, bounded, and at ease with empty bins.

import { sharesOf } from "./shares.ts";

/** Base of the logarithm: e as Evidently has it (bound 0.8326), 2 as NannyML (bound 1). */
export type LogarithmBase = "e" | "2";

/**
 * JS = sqrt((KL(p|m) + KL(q|m)) / 2) with m = (p + q) / 2: the distance, which is the square root
 * of the divergence (scipy.spatial.distance.jensenshannon). Shares are normalised to sum to 1;
 * zeros need no filling. 0 where they are equal; sqrt(ln 2), or 1 in base 2, where they have
 * nothing in common.
 */
export function jensenShannonDistance(
  p: Float64Array,
  q: Float64Array,
  { base }: { readonly base: LogarithmBase },
): number {
  const [a, b] = [sharesOf(p), sharesOf(q)];
  let divergence = 0;
  for (let i = 0; i < a.length; i += 1) divergence += lossOf(a[i] as number, b[i] as number);
  return Math.sqrt(base === "2" ? divergence / Math.LN2 : divergence);
}

/**
 * (a ln(a / m) + b ln(b / m)) / 2 with m = (a + b) / 2, never below zero: near a = b it is written
 * in d = (a - b) / (a + b), where the two logarithms would cancel.
 */
function lossOf(a: number, b: number): number {
  const sum = a + b;
  if (a === b) return 0;
  if (a === 0 || b === 0) return (sum * Math.LN2) / 2;
  const d = (a - b) / sum;
  if (Math.abs(d) < 0.5) return (sum / 2) * (d * Math.atanh(d) + Math.log1p(-d * d) / 2);
  return (a * Math.log((2 * a) / sum) + b * Math.log((2 * b) / sum)) / 2;
}
