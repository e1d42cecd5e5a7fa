// Division by a power of two, rounding and the activation in one decomposition. Quotient, remainder
// and sign all come from the same bits, and a number has those bits only; a remainder that the
// prover could choose, as other libraries have it, does not exist.

import type { ActivateStep } from "../compiler/integer-graph.ts";
import { coefficientOf, rangeCheck, signedBits } from "./bits.ts";
import type { Interval } from "./bounds.ts";
import { activated, bitLength, sizeOf } from "./bounds.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import { binarySum, constantOf, difference, shifted, sum, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

type Activation = Pick<ActivateStep, "shiftBits" | "activation">;

/**
 * The value of an activation. Costs about as many constraints as the value has bits; nothing where
 * its bounds leave one result only, or where there is nothing to do.
 */
export function activate(
  builder: CircuitBuilder,
  value: LinearCombination,
  interval: Interval,
  step: Activation,
): LinearCombination {
  const { shiftBits, activation } = step;
  const result = { lo: activated(interval.lo, step), hi: activated(interval.hi, step) };
  if (result.lo === result.hi) return constantOf(coefficientOf(result.lo));
  const half = shiftBits === 0 ? 0n : 1n << BigInt(shiftBits - 1);
  const raised: Raised = {
    value: shifted(value, coefficientOf(half)),
    interval: { lo: interval.lo + half, hi: interval.hi + half },
    shiftBits,
  };
  const magnitude = Number(sizeOf(result));
  switch (activation.kind) {
    case "none":
      return floored(builder, raised);
    case "relu":
      return raised.interval.lo >= 0n
        ? floored(builder, raised)
        : wireOf(positivePart(builder, raised, magnitude));
    case "leaky-relu":
      return leaky(builder, raised, activation.slopeBits, magnitude);
    case "clip":
      return clipped(builder, raised, activation);
  }
}

/** A value to be divided by 2^shiftBits, rounded down. */
interface Raised {
  readonly value: LinearCombination;
  readonly interval: Interval;
  readonly shiftBits: number;
}

/** floor(value / 2^shiftBits). */
function floored(builder: CircuitBuilder, raised: Raised): LinearCombination {
  const { value, interval, shiftBits } = raised;
  if (shiftBits === 0) return value;
  const least = interval.lo >> BigInt(shiftBits);
  const base = least << BigInt(shiftBits);
  if (interval.hi - base < 1n << BigInt(shiftBits)) return constantOf(coefficientOf(least));
  const above = shifted(value, coefficientOf(-base));
  const { first, count } = rangeCheck(builder, above, interval.hi - base);
  return shifted(binarySum(first + shiftBits, count - shiftBits), coefficientOf(least));
}

/** Wire of max(floor(value / 2^shiftBits), 0), where both are possible. */
function positivePart(builder: CircuitBuilder, raised: Raised, magnitude: number): number {
  const { first, half, sign } = signedBits(builder, raised.value, raised.interval);
  return builder.multiply(
    wireOf(sign),
    binarySum(first + raised.shiftBits, half - raised.shiftBits),
    { magnitude },
  );
}

/** y = floor(value / 2^shiftBits) where that is at least 0, else floor(y / 2^slopeBits). */
function leaky(
  builder: CircuitBuilder,
  raised: Raised,
  slopeBits: number,
  magnitude: number,
): LinearCombination {
  const { value, interval, shiftBits } = raised;
  const steep = shiftBits + slopeBits;
  if (interval.lo >= 0n) return floored(builder, raised);
  if (interval.hi < 0n) return floored(builder, { value, interval, shiftBits: steep });
  const { first, half, sign } = signedBits(builder, value, interval, { halfMin: steep });
  const quotient = (shift: number): LinearCombination => {
    const offset = -(1n << BigInt(half - shift));
    return shifted(binarySum(first + shift, half + 1 - shift), coefficientOf(offset));
  };
  const added = quotient(steep);
  const rise = difference(quotient(shiftBits), added);
  return wireOf(builder.multiply(wireOf(sign), rise, { added, magnitude }));
}

/** floor(value / 2^shiftBits), held within lo and hi; not all of it inside. */
function clipped(
  builder: CircuitBuilder,
  raised: Raised,
  { lo, hi }: { readonly lo: number; readonly hi: number },
): LinearCombination {
  const shift = BigInt(raised.shiftBits);
  const above = relativeTo(raised, BigInt(lo));
  const atLeast =
    above.interval.lo >= 0n
      ? undefined
      : positivePart(builder, above, Number(sizeOf(above.interval)));
  const most = raised.interval.hi >> shift;
  if (atLeast === undefined) {
    if (most <= BigInt(hi)) return floored(builder, raised);
    return held(builder, relativeTo(raised, BigInt(hi)), hi);
  }
  if (most <= BigInt(hi)) return shifted(wireOf(atLeast), lo);
  const span = BigInt(hi) - BigInt(lo);
  const top = { lo: -span, hi: most - BigInt(hi) };
  const over = shifted(wireOf(atLeast), coefficientOf(-span));
  return held(builder, { value: over, interval: top, shiftBits: 0 }, hi);
}

/** hi + min(floor(value / 2^shiftBits), 0), where both are possible. */
function held(builder: CircuitBuilder, over: Raised, hi: number): LinearCombination {
  const { first, half, sign } = signedBits(builder, over.value, over.interval, {
    halfMin: over.shiftBits,
  });
  const offset = coefficientOf(-(1n << BigInt(half - over.shiftBits)));
  const quotient = shifted(binarySum(first + over.shiftBits, half + 1 - over.shiftBits), offset);
  const isUnder = difference(constantOf(1), wireOf(sign));
  const magnitude = 2 ** bitLength(sizeOf(over.interval));
  return shifted(wireOf(builder.multiply(isUnder, quotient, { magnitude })), hi);
}

/** The value less `from` times 2^shiftBits: its quotient is less by `from`. */
function relativeTo({ value, interval, shiftBits }: Raised, from: bigint): Raised {
  const base = from << BigInt(shiftBits);
  return {
    value: sum([1, value], [-1, constantOf(coefficientOf(base))]),
    interval: { lo: interval.lo - base, hi: interval.hi - base },
    shiftBits,
  };
}
