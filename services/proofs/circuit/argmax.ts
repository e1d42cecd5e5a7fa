// Which of several values is the largest, the first of equals as ONNX's ArgMax has it. The prover
// chooses; that the chosen value less every other is at least 0, and at least 1 for those before
// it, leaves one choice.

import { rangeCheck } from "./bits.ts";
import { largest, sizeOf } from "./bounds.ts";
import type { ChoiceGroup } from "./choice.ts";
import { atMost, constrainChoice, isChosen } from "./choice.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Term } from "./combination.ts";
import { constantOf, difference, sum, sumOf, wireOf, ZERO } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";
import type { Bounded } from "./maximum.ts";

/** The index, and the choice behind it where there was one. */
export interface Argmax {
  readonly index: LinearCombination;
  readonly choice?: ChoiceGroup;
}

/** Index of the first largest of at least one value. */
export function argmax(builder: CircuitBuilder, values: readonly Bounded[]): Argmax {
  if (values.length === 1) return { index: ZERO };
  const count = values.length;
  const first = builder.hint(count, { greatestOf: values.map(({ value }) => value) });
  const choice = { first, count };
  constrainChoice(builder, choice);
  const last = values[count - 1]!.value;
  const most = largest(values.map(({ interval }) => interval.hi));
  const magnitude = Number(largest(values.map(({ interval }) => sizeOf(interval))));
  const parts: Term[] = [[1, last]];
  for (let i = 0; i < count - 1; i += 1) {
    const above = difference(values[i]!.value, last);
    parts.push([1, wireOf(builder.multiply(isChosen(choice, i), above))]);
  }
  const greatest = wireOf(builder.assign(sumOf(parts), { magnitude }));
  values.forEach(({ value, interval }, i) => {
    const isAfter = difference(constantOf(1), atMost(choice, i));
    rangeCheck(builder, sum([1, greatest], [-1, value], [-1, isAfter]), most - interval.lo);
  });
  const index: Term[] = [[1, constantOf(count - 1)]];
  for (let i = 0; i < count - 1; i += 1) index.push([-1, atMost(choice, i)]);
  return { index: sumOf(index), choice };
}
