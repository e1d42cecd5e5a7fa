// From counts to the shares the binned measures compare, and what stands in for a share of zero
// where a formula divides by it.

import assert from "node:assert";

/** What Evidently puts where a share is zero, unless it exceeds the smallest share there is. */
const ZERO_FILL = 0.0001;
/** Where it is more, zero becomes the smallest share over this. */
const ZERO_FILL_DIVISOR = 1e6;
/** Least share of the decile form of PSI. */
const SHARE_FLOOR = 0.0001;

/** Counts over their sum; they sum to 1. The sum must not be 0. */
export function sharesOf(counts: Float64Array): Float64Array {
  const sum = counts.reduce((total, count) => total + count, 0);
  assert(sum > 0, "shares are of something");
  return counts.map((count) => count / sum);
}

/**
 * Evidently's fill for PSI and Kullback-Leibler: each zero becomes 0.0001 where the smallest other
 * share of this vector is more than that, and that share over a million where it is not. Shares are
 * not normalised again, so they may sum to a little more than 1.
 */
export function fillZeroShares(shares: Float64Array): Float64Array {
  let smallest = Number.POSITIVE_INFINITY;
  for (const share of shares) if (share > 0 && share < smallest) smallest = share;
  const fill = smallest > ZERO_FILL ? ZERO_FILL : smallest / ZERO_FILL_DIVISOR;
  return shares.map((share) => (share === 0 ? fill : share));
}

/** Lifts shares to at least the floor (absent: 0.0001), as credit-risk PSI does; not normalised. */
export function floorShares(shares: Float64Array, floor: number = SHARE_FLOOR): Float64Array {
  return shares.map((share) => Math.max(share, floor));
}
