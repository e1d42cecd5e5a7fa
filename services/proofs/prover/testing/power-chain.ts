// A circuit of any size with wires full of bits: each constraint squares the value before.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConstraintSystem, LinearCombination } from "../../circuit/constraint-system.ts";
import { CoefficientList, MatrixBuilder } from "../../circuit/matrix-builder.ts";
import { writeR1cs } from "../../circuit/r1cs-file.ts";
import { writeWitness } from "../../circuit/witness-file.ts";
import { fromField, toField } from "../../field.ts";
import type { CircuitFiles } from "./files.ts";

/**
 * Writes the circuit and a witness. Public values are in no constraint, as a context is; the last
 * wire is in no row of A and B, where the key has points at infinity for it.
 */
export function writePowerChain(
  folder: string,
  name: string,
  size: { readonly constraints: number; readonly publicInputs: number },
  start = 5n,
): CircuitFiles {
  const { constraints, publicInputs } = size;
  const first = 1 + publicInputs;
  const values = Array.from({ length: first }, (_, i) => (i === 0 ? 1n : BigInt(i) ** 3n));
  let value = start;
  for (let i = 0; i <= constraints; i += 1, value = toField(value * value)) values.push(value);
  const witness = values.map((one) => small(fromField(one)));
  const path = (end: string): string => join(folder, `${name}.${end}`);
  writeFileSync(path("r1cs"), writeR1cs(powerChain(constraints, publicInputs)));
  writeFileSync(path("wtns"), writeWitness(witness));
  return { r1cs: path("r1cs"), zkey: path("zkey"), witness: path("wtns"), values: witness };
}

function powerChain(constraintCount: number, publicInputs: number): ConstraintSystem {
  const list = new CoefficientList();
  const [a, b, c] = [new MatrixBuilder(list), new MatrixBuilder(list), new MatrixBuilder(list)];
  for (let i = 0; i < constraintCount; i += 1) {
    const wire = 1 + publicInputs + i;
    // 3 x times x is 3 x^2: a coefficient that is not 1.
    a.add(term(wire, 3));
    b.add(term(wire, 1));
    c.add(term(wire + 1, 3));
  }
  return {
    wires: 2 + publicInputs + constraintCount,
    outputs: 0,
    publicInputs,
    privateInputs: 1,
    constraintCount,
    a: a.matrix(),
    b: b.matrix(),
    c: c.matrix(),
    coefficients: list.values(),
  };
}

function term(wire: number, coefficient: number): LinearCombination {
  return { wires: [wire], coefficients: [coefficient] };
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
