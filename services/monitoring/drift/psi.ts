// Population stability index: how far two divisions into the same bins are apart, counted both
// ways.

/**
 * PSI = sum (p - q) ln(p / q), in nats, p the baseline's shares and q the current ones (Evidently's
 * psi; the credit-risk form is the same sum over decile bins). It is KL(p|q) + KL(q|p). Both
 * vectors must be of one length. A bin that is empty on both sides adds nothing; one that is empty
 * on one side makes it Infinity: fill or floor the shares first (shares.ts). 0 where they are
 * equal.
 */
export function populationStabilityIndex(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < p.length; i += 1) {
    const [a, b] = [p[i] as number, q[i] as number];
    if (a !== b) sum += (a - b) * logRatio(a, b);
  }
  return sum;
}

/** ln(a / b), with its digits also where a and b are close. */
function logRatio(a: number, b: number): number {
  const relative = (a - b) / (a + b);
  return Math.abs(relative) < 0.5 ? 2 * Math.atanh(relative) : Math.log(a / b);
}
