// The check that every circuit must pass before a key is made of it, whoever compiled it.

import { firstViolation } from "./check-witness.ts";
import type { ChoiceGroup } from "./choice.ts";
import type { ConstraintSystem, Witness } from "./constraint-system.ts";
import { survivingWires } from "./mutation.ts";
import { undeterminedWires } from "./uniqueness.ts";

export interface SoundnessReport {
  /** Nothing was found. */
  readonly isSound: boolean;
  /** Wires that the inputs do not determine. */
  readonly undetermined: readonly number[];
  /** Wires that may be changed in the witness without breaking a constraint. */
  readonly survivors: readonly number[];
}

/**
 * Looks for wires that a prover could choose.
 *
 * @param witness Of any inputs; must satisfy the constraints.
 * @throws RangeError where it does not.
 */
export function checkSoundness(
  circuit: { readonly system: ConstraintSystem; readonly choices: readonly ChoiceGroup[] },
  witness: Witness,
): SoundnessReport {
  const violated = firstViolation(circuit.system, witness);
  if (violated !== undefined) {
    throw new RangeError(`the witness to check with breaks constraint ${violated}`);
  }
  const undetermined = undeterminedWires(circuit.system, circuit.choices);
  const survivors = survivingWires(circuit.system, witness);
  return { isSound: undetermined.length + survivors.length === 0, undetermined, survivors };
}
