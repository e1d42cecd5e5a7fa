// Between which thresholds a value lies. All trees share the thresholds of a feature: what costs is
// one constraint a threshold and two range checks a feature, not a comparison a node.

import { coefficientOf, rangeCheck } from "./bits.ts";
import type { ChoiceGroup } from "./choice.ts";
import { constrainChoice, isChosen } from "./choice.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Term } from "./combination.ts";
import { difference, sumOf } from "./combination.ts";
import type { Bounded } from "./maximum.ts";

/**
 * Chooses the interval of a value: choice i is value <= thresholds[i] and above the one before.
 * atMost(choice, i) is then value <= thresholds[i].
 *
 * @param thresholds Ascending, none twice, each at least the value's lowest and below its highest.
 */
export function intervalChoice(
  builder: CircuitBuilder,
  { value, interval }: Bounded,
  thresholds: readonly number[],
): ChoiceGroup {
  const count = thresholds.length + 1;
  const choice = { first: builder.hint(count, { value, thresholds }), count };
  constrainChoice(builder, choice);
  const lows: Term[] = [];
  const highs: Term[] = [];
  let longest = 0n;
  for (let i = 0; i < count; i += 1) {
    const lo = i === 0 ? interval.lo : BigInt(thresholds[i - 1]!) + 1n;
    const hi = i === count - 1 ? interval.hi : BigInt(thresholds[i]!);
    if (hi < lo) throw new RangeError("thresholds must ascend inside of the value's bounds");
    if (hi - lo > longest) longest = hi - lo;
    lows.push([coefficientOf(lo), isChosen(choice, i)]);
    highs.push([coefficientOf(hi), isChosen(choice, i)]);
  }
  // The two leave no other interval: it would have to begin at or below the value and end at or
  // above it, and the intervals do not overlap.
  rangeCheck(builder, difference(value, sumOf(lows)), longest);
  rangeCheck(builder, difference(sumOf(highs), value), longest);
  return choice;
}
