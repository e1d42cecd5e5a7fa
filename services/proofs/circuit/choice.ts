// Choosing one of many, the core of argmax and of tree thresholds. The choice is written as steps:
// wire i of count - 1 says whether the chosen one is at most i. That all differences of neighbours
// are 0 or 1 makes the wires 0...01...1, whose sum of choices is 1 without a constraint of its own.
// Which one is chosen comes from the prover; whoever uses the gadget must add range checks that
// only the right one passes, and the soundness check looks for a contradiction of every two.

import type { CircuitBuilder } from "./circuit-builder.ts";
import { constantOf, difference, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

/** The wires of one choice, for the soundness check: a place to look, nothing that it believes. */
export interface ChoiceGroup {
  /** The first of count - 1 wires that follow one another. */
  readonly first: number;
  /** How many there are to choose from. */
  readonly count: number;
}

/** Combination that is 1 where `index` is chosen, else 0. */
export function isChosen(group: ChoiceGroup, index: number): LinearCombination {
  const upTo = atMost(group, index);
  return index === 0 ? upTo : difference(upTo, atMost(group, index - 1));
}

/** Combination that is 1 where the chosen one is at most `index`, else 0. */
export function atMost(group: ChoiceGroup, index: number): LinearCombination {
  return index === group.count - 1 ? constantOf(1) : wireOf(group.first + index);
}

/** Makes the wires a choice: as many constraints as there are to choose from (one, of two). */
export function constrainChoice(builder: CircuitBuilder, group: ChoiceGroup): void {
  if (group.count === 2) {
    builder.boolean(isChosen(group, 0));
    return;
  }
  for (let i = 0; i < group.count; i += 1) builder.boolean(isChosen(group, i));
}
