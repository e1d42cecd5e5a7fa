// Growing storage of a matrix in compressed form: rows are added one by one, and the arrays double
// when they are full.

import type { Coefficient } from "./combination.ts";
import type { ConstraintMatrix, LinearCombination } from "./constraint-system.ts";

/** Coefficients up to this size are found by index rather than by hash: nearly all weights. */
const DIRECT_MAX = 1 << 16;

const FIRST_ENTRIES = 1024;

/** The different coefficients of a circuit, each with a number. */
export class CoefficientList {
  readonly #direct = new Int32Array(2 * DIRECT_MAX + 1).fill(-1);
  readonly #others = new Map<Coefficient, number>();
  readonly #values: Coefficient[] = [];

  /** The number of a coefficient in normal form; a new one gets the next. */
  indexOf(value: Coefficient): number {
    if (typeof value === "number" && value >= -DIRECT_MAX && value <= DIRECT_MAX) {
      const slot = value + DIRECT_MAX;
      let index = this.#direct[slot]!;
      if (index < 0) {
        index = this.#values.push(value) - 1;
        this.#direct[slot] = index;
      }
      return index;
    }
    let index = this.#others.get(value);
    if (index === undefined) {
      index = this.#values.push(value) - 1;
      this.#others.set(value, index);
    }
    return index;
  }

  /** All of them by number. */
  values(): readonly Coefficient[] {
    return this.#values;
  }
}

/** Rows of one matrix as they come. */
export class MatrixBuilder {
  readonly #list: CoefficientList;
  #rowStart = new Int32Array(FIRST_ENTRIES);
  #wires = new Int32Array(FIRST_ENTRIES);
  #coefficients = new Int32Array(FIRST_ENTRIES);
  #rows = 0;
  #entries = 0;

  constructor(list: CoefficientList) {
    this.#list = list;
  }

  /** How many rows there are. */
  get rows(): number {
    return this.#rows;
  }

  /** Adds a row and returns its number. */
  add(row: LinearCombination): number {
    const { wires, coefficients } = row;
    const end = this.#entries + wires.length;
    if (end > this.#wires.length) {
      const size = Math.max(end, 2 * this.#wires.length);
      this.#wires = grown(this.#wires, size);
      this.#coefficients = grown(this.#coefficients, size);
    }
    if (this.#rows + 2 > this.#rowStart.length) {
      this.#rowStart = grown(this.#rowStart, 2 * this.#rowStart.length);
    }
    let at = this.#entries;
    for (let i = 0; i < wires.length; i += 1, at += 1) {
      this.#wires[at] = wires[i]!;
      this.#coefficients[at] = this.#list.indexOf(coefficients[i]!);
    }
    this.#entries = end;
    this.#rows += 1;
    this.#rowStart[this.#rows] = end;
    return this.#rows - 1;
  }

  /** The matrix as it stands, in arrays of just its size. */
  matrix(): ConstraintMatrix {
    return {
      rowStart: this.#rowStart.slice(0, this.#rows + 1),
      wires: this.#wires.slice(0, this.#entries),
      coefficients: this.#coefficients.slice(0, this.#entries),
    };
  }
}

function grown(array: Int32Array<ArrayBuffer>, size: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(size);
  larger.set(array);
  return larger;
}
