// The name of a circuit: the same bytes of a model and the same options give the same hash on every
// machine, so that anyone can compile the model again and compare.

import { createHash } from "node:crypto";
import type { ConstraintSystem } from "./constraint-system.ts";
import { writeR1cs } from "./r1cs-file.ts";

/** Lower-case hex SHA-256 of the circuit's .r1cs bytes; give them where they are at hand. */
export function circuitHash(
  system: ConstraintSystem,
  r1cs: Uint8Array = writeR1cs(system),
): string {
  return createHash("sha256").update(r1cs).digest("hex");
}
