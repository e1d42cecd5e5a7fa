// Whether a constraint breaks whichever wire of a good witness is changed. It finds what uniqueness
// finds, by another way: a wire that nothing holds in its place.

import { toField } from "../field.ts";
import { RowEvaluator } from "./check-witness.ts";
import { wireRows } from "./constraint-index.ts";
import type { ConstraintMatrix, ConstraintSystem, Witness } from "./constraint-system.ts";

const EXACT_MAX = 2 ** 53;

/** By how much a wire is changed: to its neighbours, and to somewhere else. */
const CHANGES = [1, -1, 1_234_567] as const;

/**
 * The wires, ascending, of which some change leaves every constraint satisfied. Wire 0 is 1 by
 * definition and not changed.
 *
 * @param witness One that satisfies the constraints.
 */
export function survivingWires(system: ConstraintSystem, witness: Witness): number[] {
  const rows = new RowValues(system, witness);
  const { start, rows: byWire } = wireRows(system.wires, [system.a, system.b, system.c]);
  const survivors: number[] = [];
  for (let wire = 1; wire < system.wires; wire += 1) {
    const own = byWire.subarray(start[wire]!, start[wire + 1]!);
    const survives = (change: number): boolean => own.every((row) => rows.holds(row, wire, change));
    if (CHANGES.some(survives)) survivors.push(wire);
  }
  return survivors;
}

/** The rows under a witness, and under one that differs from it in one wire. */
class RowValues {
  readonly #system: ConstraintSystem;
  readonly #evaluator: RowEvaluator;
  readonly #values: readonly Float64Array[];

  constructor(system: ConstraintSystem, witness: Witness) {
    this.#system = system;
    this.#evaluator = new RowEvaluator(system, witness);
    this.#values = [system.a, system.b, system.c].map((matrix) =>
      Float64Array.from({ length: system.constraintCount }, (_, row) =>
        this.#evaluator.approximate(matrix, row),
      ),
    );
  }

  /** Whether the row holds where the wire is larger by `change`. */
  holds(row: number, wire: number, change: number): boolean {
    const { a, b, c } = this.#system;
    const left = this.#values[0]![row]! + change * this.#small(a, row, wire);
    const right = this.#values[1]![row]! + change * this.#small(b, row, wire);
    const result = this.#values[2]![row]! + change * this.#small(c, row, wire);
    const isExact =
      Math.abs(left * right) < EXACT_MAX &&
      Math.abs(left) < EXACT_MAX &&
      Math.abs(right) < EXACT_MAX &&
      Math.abs(result) < EXACT_MAX;
    if (isExact) return left * right === result;
    const exact = (matrix: ConstraintMatrix): bigint =>
      this.#evaluator.exact(matrix, row) + BigInt(change) * this.#coefficient(matrix, row, wire);
    return toField(exact(a) * exact(b) - exact(c)) === 0n;
  }

  #small(matrix: ConstraintMatrix, row: number, wire: number): number {
    const at = entryOf(matrix, row, wire);
    return at < 0 ? 0 : Number(this.#system.coefficients[matrix.coefficients[at]!]!);
  }

  #coefficient(matrix: ConstraintMatrix, row: number, wire: number): bigint {
    const at = entryOf(matrix, row, wire);
    return at < 0 ? 0n : BigInt(this.#system.coefficients[matrix.coefficients[at]!]!);
  }
}

/** Where the wire stands in the row, or -1. */
function entryOf({ rowStart, wires }: ConstraintMatrix, row: number, wire: number): number {
  let from = rowStart[row]!;
  let to = rowStart[row + 1]!;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (wires[middle]! < wire) from = middle + 1;
    else to = middle;
  }
  return from < rowStart[row + 1]! && wires[from] === wire ? from : -1;
}
