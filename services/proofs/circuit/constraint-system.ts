// Rank-1 constraints over the field, and how the wires of a circuit are filled. Wire 0 is 1; then
// come the outputs, the public inputs, the private inputs, and what the circuit itself needs.
//
// The three matrices are flat: a network of two million weights is a few typed arrays, not
// millions of objects. Weights repeat, so an entry names its coefficient by index in one list of
// the different ones; whoever must encode or convert coefficients does so once for each.

/** One matrix in compressed form: constraint i has the entries rowStart[i] to rowStart[i+1]. */
export interface ConstraintMatrix {
  /** One more than there are constraints. */
  readonly rowStart: Int32Array;
  /** Ascending within a row; none repeats. */
  readonly wires: Int32Array;
  /** Indexes into ConstraintSystem.coefficients. */
  readonly coefficients: Int32Array;
}

/** For each constraint i: (row i of a) times (row i of b) equals (row i of c). */
export interface ConstraintSystem {
  readonly wires: number;
  readonly outputs: number;
  readonly publicInputs: number;
  readonly privateInputs: number;
  readonly constraintCount: number;
  readonly a: ConstraintMatrix;
  readonly b: ConstraintMatrix;
  /** Where a row of a and b is empty the constraint is linear: row of c equals 0. */
  readonly c: ConstraintMatrix;
  /**
   * The different coefficients, as whole numbers nearest to 0, none 0: safe integers as numbers,
   * larger ones as bigints.
   */
  readonly coefficients: readonly (number | bigint)[];
}

/** A sum of coefficient times wire. */
export interface LinearCombination {
  /** Ascending; none repeats. */
  readonly wires: readonly number[];
  /** None 0; safe integers as numbers, larger ones as bigints. */
  readonly coefficients: readonly (number | bigint)[];
}

/** a times b equals c. */
export interface Constraint {
  readonly a: LinearCombination;
  readonly b: LinearCombination;
  readonly c: LinearCombination;
}

/** The values of all wires, as the whole numbers nearest to 0 (an element above p/2 is negative). */
export type Witness = readonly (number | bigint)[];

/** Fills the wires from the public and private inputs, in order. */
export interface WitnessProgram {
  /** @throws RangeError that names the input, where a value is outside of what is proved. */
  run(inputs: readonly (number | bigint)[]): Witness;
}

/** Constraint i as objects: for people, tests and whatever looks at few of them. */
export function constraintAt(system: ConstraintSystem, index: number): Constraint {
  const row = (matrix: ConstraintMatrix): LinearCombination => {
    const from = matrix.rowStart[index]!;
    const to = matrix.rowStart[index + 1]!;
    const indexes = Array.from(matrix.coefficients.subarray(from, to));
    return {
      wires: Array.from(matrix.wires.subarray(from, to)),
      coefficients: indexes.map((at) => system.coefficients[at]!),
    };
  };
  return { a: row(system.a), b: row(system.b), c: row(system.c) };
}

/** The public values of a witness, in order: outputs, then public inputs. */
export function publicValuesOf(system: ConstraintSystem, witness: Witness): (number | bigint)[] {
  return witness.slice(1, 1 + system.outputs + system.publicInputs);
}
