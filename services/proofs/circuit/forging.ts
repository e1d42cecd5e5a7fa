// The dishonest prover of the tests: it forces some wires to values of its choosing, fills in the
// rest as the constraints ask, and sees whether they all hold. And circuits with a constraint cut
// out of them, which the soundness checks must notice.

import { FIELD_ORDER, fromField, toField } from "../field.ts";
import { firstViolation } from "./check-witness.ts";
import type {
  Constraint,
  ConstraintMatrix,
  ConstraintSystem,
  LinearCombination,
  Witness,
} from "./constraint-system.ts";
import { constraintAt } from "./constraint-system.ts";

/** Whether a witness with these wires, and everything else as best it can be, is accepted. */
export function isAccepted(
  system: ConstraintSystem,
  inputs: readonly (number | bigint)[],
  forced: ReadonlyMap<number, number | bigint>,
): boolean {
  const witness = completed(system, inputs, forced);
  return firstViolation(system, witness) === undefined;
}

/** The witness that a forger ends up with. */
function completed(
  system: ConstraintSystem,
  inputs: readonly (number | bigint)[],
  forced: ReadonlyMap<number, number | bigint>,
): Witness {
  const values = new Map<number, bigint>([[0, 1n]]);
  inputs.forEach((value, i) => {
    values.set(1 + system.outputs + i, BigInt(value));
  });
  for (const [wire, value] of forced) values.set(wire, toField(BigInt(value)));
  const rows = Array.from({ length: system.constraintCount }, (_, row) =>
    constraintAt(system, row),
  );
  for (let before = -1; before !== values.size; ) {
    before = values.size;
    for (const row of rows) solve(row, values);
  }
  return Array.from({ length: system.wires }, (_, wire) => {
    const nearest = fromField(values.get(wire) ?? 0n);
    const small = Number(nearest);
    return Number.isSafeInteger(small) ? small : nearest;
  });
}

/** The system without some of its constraints. */
export function without(
  system: ConstraintSystem,
  isCut: (constraint: Constraint, row: number) => boolean,
): ConstraintSystem {
  const kept = Array.from({ length: system.constraintCount }, (_, row) => row).filter(
    (row) => !isCut(constraintAt(system, row), row),
  );
  if (kept.length === system.constraintCount) throw new Error("no constraint was cut out");
  const cut = (matrix: ConstraintMatrix): ConstraintMatrix => {
    const entries = kept.flatMap((row) =>
      Array.from(
        { length: matrix.rowStart[row + 1]! - matrix.rowStart[row]! },
        (_, i) => matrix.rowStart[row]! + i,
      ),
    );
    const rowStart = new Int32Array(kept.length + 1);
    kept.forEach((row, i) => {
      rowStart[i + 1] = rowStart[i]! + matrix.rowStart[row + 1]! - matrix.rowStart[row]!;
    });
    return {
      rowStart,
      wires: Int32Array.from(entries, (at) => matrix.wires[at]!),
      coefficients: Int32Array.from(entries, (at) => matrix.coefficients[at]!),
    };
  };
  const { a, b, c } = system;
  return { ...system, constraintCount: kept.length, a: cut(a), b: cut(b), c: cut(c) };
}

/** Whether a row says that this wire is 0 or 1. */
export function isBooleanOf({ a, c }: Constraint, wire: number): boolean {
  return a.wires.length === 1 && a.wires[0] === wire && c.wires[0] === wire;
}

function solve({ a, b, c }: Constraint, values: Map<number, bigint>): void {
  const isOpen = (wire: number): boolean => !values.has(wire);
  if ([...a.wires, ...b.wires].some(isOpen)) return;
  const open = c.wires.filter(isOpen);
  if (open.length === 0) return;
  const rest = toField(evaluated(a, values) * evaluated(b, values) - evaluated(c, values));
  const weightOf = (wire: number): bigint => BigInt(c.coefficients[c.wires.indexOf(wire)]!);
  if (open.length === 1) {
    values.set(open[0]!, toField(rest * inverse(weightOf(open[0]!))));
    return;
  }
  // Only bits come more than one at a time here: the highest that fits, and so on.
  const sign = weightOf(open[0]!) < 0n ? -1n : 1n;
  let left = toField(sign * rest);
  const heaviest = open.sort((p, q) => (sign * weightOf(p) < sign * weightOf(q) ? 1 : -1));
  for (const wire of heaviest) {
    const weight = sign * weightOf(wire);
    const isSet = weight > 0n && left >= weight;
    values.set(wire, isSet ? 1n : 0n);
    if (isSet) left -= weight;
  }
}

/** Value of the wires that are known. */
function evaluated(
  { wires, coefficients }: LinearCombination,
  values: Map<number, bigint>,
): bigint {
  return wires.reduce(
    (total, wire, i) => total + (values.get(wire) ?? 0n) * BigInt(coefficients[i]!),
    0n,
  );
}

function inverse(value: bigint): bigint {
  let [base, power, result] = [toField(value), FIELD_ORDER - 2n, 1n];
  for (; power > 0n; power >>= 1n, base = (base * base) % FIELD_ORDER) {
    if (power & 1n) result = (result * base) % FIELD_ORDER;
  }
  return result;
}
