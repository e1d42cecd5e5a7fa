// Two categorical columns over one list of categories, where each may have kept only its most
// frequent ones and summed up the rest.

import type { PairedCounts } from "./bins.ts";
import type { CategoricalDistribution } from "./distribution.ts";

/** Counts of both over the same categories. */
export interface PairedCategories extends PairedCounts {
  /** Sorted by code unit; without `other`, which has the last count where either side has one. */
  readonly categories: readonly string[];
}

/**
 * Both over the categories of either. A category is kept where both sides know its count: it is
 * listed, or it is not and the side has no `other` to hide it in. All else is summed up in one last
 * count, which is left out where it is 0 on both sides.
 */
export function pairCategories(
  baseline: CategoricalDistribution,
  current: CategoricalDistribution,
): PairedCategories {
  const known = ({ counts, other }: CategoricalDistribution, category: string) =>
    other === 0 || counts.has(category);
  const categories: string[] = [];
  let otherBaseline = baseline.other;
  let otherCurrent = current.other;
  for (const category of [
    ...new Set([...baseline.counts.keys(), ...current.counts.keys()]),
  ].sort()) {
    const a = baseline.counts.get(category) ?? 0;
    const b = current.counts.get(category) ?? 0;
    if (known(baseline, category) && known(current, category)) {
      if (a > 0 || b > 0) categories.push(category);
    } else {
      otherBaseline += a;
      otherCurrent += b;
    }
  }
  const hasOther = otherBaseline > 0 || otherCurrent > 0;
  const countsOf = ({ counts }: CategoricalDistribution, other: number) =>
    Float64Array.from([
      ...categories.map((category) => counts.get(category) ?? 0),
      ...(hasOther ? [other] : []),
    ]);
  return {
    categories,
    baseline: countsOf(baseline, otherBaseline),
    current: countsOf(current, otherCurrent),
  };
}
