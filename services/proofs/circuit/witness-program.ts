// Fills the wires of a circuit. It runs over the constraints themselves: each operation takes the
// row that determines its wires, evaluates it with those wires still 0, and reads off what they
// must be. Where all parts are below 2^53 in size doubles are exact; the rest is done in bigints.

import { FIELD_ORDER, fromField, toField } from "../field.ts";
import type {
  ConstraintMatrix,
  ConstraintSystem,
  Witness,
  WitnessProgram,
} from "./constraint-system.ts";

const EXACT_MAX = 2 ** 53;

interface OperationBase {
  /** Row of the constraint, or of the matrix of what is only read. */
  readonly row: number;
  /** The (first) wire that is found. */
  readonly wire: number;
  /** No part of the computation is larger than this in size. */
  readonly exactBelow: number;
}

/** How one or more wires are found. */
export type WitnessOperation =
  | ({ readonly kind: "sum" | "product" } & OperationBase)
  | ({ readonly kind: "bits"; readonly count: number; readonly meaning: string } & OperationBase)
  | ({ readonly kind: "greatest"; readonly count: number } & OperationBase)
  | ({ readonly kind: "interval"; readonly thresholds: Float64Array } & OperationBase)
  | {
      readonly kind: "bits-at";
      readonly row: number;
      readonly wire: number;
      readonly places: readonly number[];
      readonly meaning: string;
    };

/** The wires of one run: doubles, and bigints for those that are no safe integers. */
interface Wires {
  readonly small: Float64Array;
  readonly wide: Map<number, bigint>;
}

/** A program that was made together with its constraints. */
export class TapeProgram implements WitnessProgram {
  readonly #system: ConstraintSystem;
  readonly #read: ConstraintMatrix;
  readonly #operations: readonly WitnessOperation[];
  readonly #coefficients: Float64Array;

  constructor(
    system: ConstraintSystem,
    read: ConstraintMatrix,
    operations: readonly WitnessOperation[],
  ) {
    this.#system = system;
    this.#read = read;
    this.#operations = operations;
    this.#coefficients = Float64Array.from(system.coefficients, Number);
  }

  run(inputs: readonly (number | bigint)[]): Witness {
    const wires = this.#begin(inputs);
    for (const operation of this.#operations) {
      switch (operation.kind) {
        case "sum":
          this.#sum(wires, operation.row, operation.wire, operation.exactBelow < EXACT_MAX);
          break;
        case "product":
          this.#product(wires, operation.row, operation.wire, operation.exactBelow < EXACT_MAX);
          break;
        case "bits":
          this.#bits(wires, operation);
          break;
        case "bits-at":
          this.#bitsAt(wires, operation);
          break;
        case "greatest":
        case "interval":
          this.#choose(wires, operation);
          break;
      }
    }
    const witness = new Array<number | bigint>(wires.small.length);
    for (let i = 0; i < witness.length; i += 1) witness[i] = wires.small[i]!;
    for (const [wire, value] of wires.wide) witness[wire] = value;
    return witness;
  }

  #begin(inputs: readonly (number | bigint)[]): Wires {
    const { wires, outputs, publicInputs, privateInputs } = this.#system;
    const expected = publicInputs + privateInputs;
    if (inputs.length !== expected) {
      throw new RangeError(`the circuit takes ${expected} input signals, not ${inputs.length}`);
    }
    const state: Wires = { small: new Float64Array(wires), wide: new Map() };
    state.small[0] = 1;
    inputs.forEach((value, i) => {
      if (typeof value === "number" && !Number.isSafeInteger(value)) {
        throw new RangeError(`input signal ${i} is ${value}, not a whole number`);
      }
      if (BigInt(value) <= -FIELD_ORDER || BigInt(value) >= FIELD_ORDER) {
        throw new RangeError(`input signal ${i} is outside of the field`);
      }
      put(state, 1 + outputs + i, BigInt(value));
    });
    return state;
  }

  #sum(wires: Wires, row: number, wire: number, exact: boolean): void {
    const { c } = this.#system;
    if (exact) wires.small[wire] = this.#exact(c, row, wires.small) + 0;
    else put(wires, wire, this.#wide(c, row, wires));
  }

  #product(wires: Wires, row: number, wire: number, exact: boolean): void {
    const { a, b, c } = this.#system;
    if (exact) {
      const times = this.#exact(a, row, wires.small) * this.#exact(b, row, wires.small);
      wires.small[wire] = times - this.#exact(c, row, wires.small) + 0;
      return;
    }
    const times = this.#wide(a, row, wires) * this.#wide(b, row, wires);
    put(wires, wire, times - this.#wide(c, row, wires));
  }

  #bits(wires: Wires, operation: Extract<WitnessOperation, { kind: "bits" }>): void {
    const { row, wire, count, meaning } = operation;
    const { small } = wires;
    if (operation.exactBelow < EXACT_MAX) {
      let rest = this.#exact(this.#system.c, row, small);
      if (rest < 0 || rest >= 2 ** count) throw new RangeError(meaning);
      // Halves of numbers above 2^31 are taken in doubles, the rest in 32-bit integers.
      let bit = 0;
      for (; rest > 0x7fffffff; bit += 1) {
        const half = Math.floor(rest / 2);
        small[wire + bit] = rest - 2 * half;
        rest = half;
      }
      for (; rest > 0; bit += 1, rest >>= 1) small[wire + bit] = rest & 1;
      return;
    }
    let rest = fromField(toField(this.#wide(this.#system.c, row, wires)));
    if (rest < 0n || rest >> BigInt(count) !== 0n) throw new RangeError(meaning);
    for (let bit = 0; rest > 0n; bit += 1, rest >>= 1n) small[wire + bit] = Number(rest & 1n);
  }

  #bitsAt(wires: Wires, operation: Extract<WitnessOperation, { kind: "bits-at" }>): void {
    const { row, wire, places, meaning } = operation;
    const value = fromField(toField(this.#wide(this.#system.c, row, wires)));
    if (value < 0n) throw new RangeError(meaning);
    const bits = value.toString(2);
    let found = 0;
    places.forEach((place, i) => {
      if (bits[bits.length - 1 - place] !== "1") return;
      wires.small[wire + i] = 1;
      found += 1;
    });
    if (found < bits.replaceAll("0", "").length) throw new RangeError(meaning);
  }

  #choose(
    wires: Wires,
    operation: Extract<WitnessOperation, { kind: "greatest" | "interval" }>,
  ): void {
    const { row, wire, exactBelow } = operation;
    const read = (at: number): number | bigint =>
      exactBelow < EXACT_MAX
        ? this.#exact(this.#read, at, wires.small)
        : fromField(toField(this.#wide(this.#read, at, wires)));
    if (operation.kind === "interval") {
      const { thresholds } = operation;
      const chosen = intervalIndex(read(row), thresholds);
      for (let i = chosen; i < thresholds.length; i += 1) wires.small[wire + i] = 1;
      return;
    }
    const chosen = greatestIndex(Array.from({ length: operation.count }, (_, i) => read(row + i)));
    for (let i = chosen; i < operation.count - 1; i += 1) wires.small[wire + i] = 1;
  }

  #exact(matrix: ConstraintMatrix, row: number, small: Float64Array): number {
    const { wires, coefficients } = matrix;
    const values = this.#coefficients;
    const end = matrix.rowStart[row + 1]!;
    let total = 0;
    for (let at = matrix.rowStart[row]!; at < end; at += 1) {
      total += values[coefficients[at]!]! * small[wires[at]!]!;
    }
    return total;
  }

  #wide(matrix: ConstraintMatrix, row: number, state: Wires): bigint {
    const { wires, coefficients } = matrix;
    const values = this.#system.coefficients;
    const end = matrix.rowStart[row + 1]!;
    let total = 0n;
    for (let at = matrix.rowStart[row]!; at < end; at += 1) {
      const wire = wires[at]!;
      const value = state.wide.get(wire) ?? BigInt(state.small[wire]!);
      if (value !== 0n) total += BigInt(values[coefficients[at]!]!) * value;
    }
    return total;
  }
}

function put(wires: Wires, wire: number, value: bigint): void {
  const nearest = fromField(toField(value));
  const small = Number(nearest);
  if (Number.isSafeInteger(small)) wires.small[wire] = small;
  else wires.wide.set(wire, nearest);
}

/** Index of the first of the greatest. */
function greatestIndex(values: readonly (number | bigint)[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i]! > values[best]!) best = i;
  return best;
}

/** How many of the ascending thresholds are below the value: 0 where value <= thresholds[0]. */
function intervalIndex(value: number | bigint, thresholds: Float64Array): number {
  let from = 0;
  let to = thresholds.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (value <= thresholds[middle]!) to = middle;
    else from = middle + 1;
  }
  return from;
}
