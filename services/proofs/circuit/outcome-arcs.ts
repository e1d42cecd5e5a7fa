// Whether outcomes exclude each other because a value would have to be in two places. Numbers of
// the field lie on a circle; "from 0 to some maximum" is an arc of it. With an arc for each outcome
// one look at the sorted arcs tells what comparing all pairs would tell, for thousands of outcomes.

import { FIELD_ORDER, toField } from "../field.ts";

/** What an outcome says of a value v: `sign * v + constant` is from 0 to `most`. */
export interface ArcPremise {
  readonly outcome: number;
  readonly sign: 1 | -1;
  readonly constant: bigint;
  readonly most: bigint;
}

/** The elements from `lo` on, `length` + 1 of them. */
interface Arc {
  readonly lo: bigint;
  readonly length: bigint;
}

/**
 * Whether no v satisfies the premises of two outcomes. False where it cannot be told like this: an
 * outcome that says nothing of v, or too little.
 */
export function areArcsApart(premises: Iterable<ArcPremise>, outcomes: number): boolean {
  const arcs = new Array<Arc | "none" | undefined>(outcomes).fill(undefined);
  for (const premise of premises) {
    const arc = arcOf(premise);
    const before = arcs[premise.outcome];
    // Two arcs below half of the circle meet in one arc or not at all.
    if (arc === undefined || before === "none") continue;
    arcs[premise.outcome] = before === undefined ? arc : common(before, arc);
  }
  const possible: Arc[] = [];
  for (const arc of arcs) {
    if (arc === undefined) return false;
    if (arc !== "none") possible.push(arc);
  }
  possible.sort((p, q) => (p.lo < q.lo ? -1 : p.lo > q.lo ? 1 : 0));
  return possible.every(({ lo, length }, i) => {
    const next = possible[i + 1];
    return lo + length < (next === undefined ? possible[0]!.lo + FIELD_ORDER : next.lo);
  });
}

/** Where v is; undefined: as good as anywhere. */
function arcOf({ sign, constant, most }: ArcPremise): Arc | undefined {
  if (most < 0n || 2n * most >= FIELD_ORDER) return undefined;
  return { lo: toField(sign === 1 ? -constant : constant - most), length: most };
}

function common(a: Arc, b: Arc): Arc | "none" {
  const toB = toField(b.lo - a.lo);
  if (toB <= a.length) return { lo: b.lo, length: least(a.length - toB, b.length) };
  const toA = toField(a.lo - b.lo);
  return toA <= b.length ? { lo: a.lo, length: least(b.length - toA, a.length) } : "none";
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
