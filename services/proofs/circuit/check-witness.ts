// Whether a witness satisfies every constraint. The provers do not ask: from a wrong witness they
// make a proof that fails, or a bug of ours stays hidden until then.

import { toField } from "../field.ts";
import type { ConstraintMatrix, ConstraintSystem, Witness } from "./constraint-system.ts";

const EXACT_MAX = 2 ** 53;

/**
 * Index of the first constraint that does not hold, or undefined where all hold.
 *
 * @throws RangeError where the witness is not of this circuit's number of wires or its first value
 *   is not 1.
 */
export function firstViolation(system: ConstraintSystem, witness: Witness): number | undefined {
  if (witness.length !== system.wires || witness[0] !== 1) {
    throw new RangeError(
      `a witness of this circuit has ${system.wires} values, the first of them 1; this one has ` +
        `${witness.length}, beginning with ${witness[0]}`,
    );
  }
  const evaluator = new RowEvaluator(system, witness);
  for (let row = 0; row < system.constraintCount; row += 1) {
    if (!evaluator.holds(row)) return row;
  }
  return undefined;
}

/** Evaluates rows on a witness: in doubles where that is exact, else in bigints. */
export class RowEvaluator {
  readonly #system: ConstraintSystem;
  readonly #witness: Witness;
  readonly #values: Float64Array;
  readonly #coefficients: Float64Array;
  /** Sum of the sizes of the parts of the row that was evaluated last. */
  #size = 0;

  constructor(system: ConstraintSystem, witness: Witness) {
    this.#system = system;
    this.#witness = witness;
    this.#values = new Float64Array(witness.length);
    for (let i = 0; i < witness.length; i += 1) this.#values[i] = Number(witness[i]!);
    this.#coefficients = Float64Array.from(system.coefficients, Number);
  }

  /** Whether a times b is c in this row. */
  holds(row: number): boolean {
    const { a, b, c } = this.#system;
    const left = this.#fast(a, row);
    const leftSize = this.#size;
    const right = this.#fast(b, row);
    const rightSize = this.#size;
    const result = this.#fast(c, row);
    // Every number in between is then a safe integer, and far below p.
    if (leftSize * rightSize < EXACT_MAX && this.#size < EXACT_MAX) {
      if (leftSize < EXACT_MAX && rightSize < EXACT_MAX) return left * right === result;
    }
    return toField(this.exact(a, row) * this.exact(b, row) - this.exact(c, row)) === 0n;
  }

  /** Value of one row of one matrix, not reduced. */
  exact(matrix: ConstraintMatrix, row: number): bigint {
    const end = matrix.rowStart[row + 1]!;
    let total = 0n;
    for (let at = matrix.rowStart[row]!; at < end; at += 1) {
      const value = this.#witness[matrix.wires[at]!]!;
      if (value !== 0 && value !== 0n) {
        total += BigInt(this.#system.coefficients[matrix.coefficients[at]!]!) * BigInt(value);
      }
    }
    return total;
  }

  /** The same as a double: exact, or beyond the safe integers. */
  approximate(matrix: ConstraintMatrix, row: number): number {
    const value = this.#fast(matrix, row);
    return this.#size < EXACT_MAX ? value : Number.POSITIVE_INFINITY;
  }

  #fast(matrix: ConstraintMatrix, row: number): number {
    const end = matrix.rowStart[row + 1]!;
    let total = 0;
    let size = 0;
    for (let at = matrix.rowStart[row]!; at < end; at += 1) {
      const part = this.#coefficients[matrix.coefficients[at]!]! * this.#values[matrix.wires[at]!]!;
      total += part;
      size += Math.abs(part);
    }
    this.#size = size;
    return total;
  }
}
