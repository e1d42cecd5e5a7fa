// The largest of several values, by knock-out: each match is one decomposition of the difference.

import { signedBits } from "./bits.ts";
import type { Interval } from "./bounds.ts";
import { largest, sizeOf } from "./bounds.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import { difference, same, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

/** A value and what it can be. */
export interface Bounded {
  readonly value: LinearCombination;
  readonly interval: Interval;
}

/** The largest of the values, of which there is at least one. */
export function maximum(builder: CircuitBuilder, values: readonly Bounded[]): Bounded {
  let round = values;
  while (round.length > 1) {
    const winners: Bounded[] = [];
    for (let i = 0; i < round.length; i += 2) {
      const other = round[i + 1];
      winners.push(other ? larger(builder, round[i]!, other) : round[i]!);
    }
    round = winners;
  }
  return round[0]!;
}

function larger(builder: CircuitBuilder, a: Bounded, b: Bounded): Bounded {
  if (a.interval.lo >= b.interval.hi || same(a.value, b.value)) return a;
  if (b.interval.lo >= a.interval.hi) return b;
  const apart = difference(a.value, b.value);
  const lead = { lo: a.interval.lo - b.interval.hi, hi: a.interval.hi - b.interval.lo };
  const { sign } = signedBits(builder, apart, lead);
  const interval = {
    lo: largest([a.interval.lo, b.interval.lo]),
    hi: largest([a.interval.hi, b.interval.hi]),
  };
  // b, and where a leads what it leads by.
  const wire = builder.multiply(wireOf(sign), apart, {
    added: b.value,
    magnitude: Number(sizeOf(interval)),
  });
  return { value: wireOf(wire), interval };
}
