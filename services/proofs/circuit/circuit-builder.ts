// Makes a circuit piece by piece. Whoever adds a wire says in the same call which constraint
// determines it, and that constraint is also how a witness finds its value: there is no second
// description of the computation that could say something else.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { binarySum, difference, powerOfTwo, product, wireOf, ZERO } from "./combination.ts";
import type { ConstraintSystem, LinearCombination, WitnessProgram } from "./constraint-system.ts";
import { CoefficientList, MatrixBuilder } from "./matrix-builder.ts";
import type { WitnessOperation } from "./witness-program.ts";
import { TapeProgram } from "./witness-program.ts";

/**
 * Bits of the longest decomposition. 2^252 is below p/2: no number has two decompositions, which
 * with 254 bits it would have (v and v + p).
 */
export const DECOMPOSITION_BITS_MAX = 252;

/** What is beyond the limit is counted up to here, so that its owner hears how much it is. */
const COUNTED_MAX = 2 ** 23;

export interface CircuitShape {
  readonly outputs: number;
  readonly publicInputs: number;
  readonly privateInputs: number;
  /** A circuit of more constraints is refused when it is finished; its constraints are not kept. */
  readonly constraintsMax: number;
}

/** A constraint that defines a wire: what it is, and how large it can become. */
export interface WireOptions {
  /** An output instead of a new wire. */
  readonly into?: number;
  /** The value is at most so large in size; default: what follows from the parts. */
  readonly magnitude?: number;
}

export class CircuitBuilder {
  readonly #shape: CircuitShape;
  readonly #list = new CoefficientList();
  readonly #a = new MatrixBuilder(this.#list);
  readonly #b = new MatrixBuilder(this.#list);
  readonly #c = new MatrixBuilder(this.#list);
  /** Combinations that only the witness needs. */
  readonly #read = new MatrixBuilder(this.#list);
  readonly #operations: WitnessOperation[] = [];
  /** How large each wire can become in size; Infinity: an element of the field. */
  readonly #magnitudes: number[];
  #linear = 0;
  /** Constraints that were counted and not kept. */
  #beyond = 0;

  constructor(shape: CircuitShape) {
    this.#shape = shape;
    const given = shape.outputs + shape.publicInputs + shape.privateInputs;
    this.#magnitudes = [1, ...new Array<number>(given).fill(Number.POSITIVE_INFINITY)];
  }

  /** Wire of output i. */
  output(index: number): number {
    return inRange("output", index, this.#shape.outputs) + 1;
  }

  /** Wire of public input i. */
  publicInput(index: number): number {
    return inRange("public input", index, this.#shape.publicInputs) + 1 + this.#shape.outputs;
  }

  /** Wire of private input i. */
  privateInput(index: number): number {
    const before = 1 + this.#shape.outputs + this.#shape.publicInputs;
    return inRange("private input", index, this.#shape.privateInputs) + before;
  }

  /** How many of the constraints are linear. */
  get linearCount(): number {
    return this.#linear;
  }

  /** How large the value of a combination can become in size. */
  magnitudeOf(of: LinearCombination): number {
    let total = 0;
    for (let i = 0; i < of.wires.length; i += 1) {
      total += Math.abs(Number(of.coefficients[i]!)) * this.#magnitudes[of.wires[i]!]!;
    }
    return total;
  }

  /** A wire that has the value of the combination: one linear constraint. */
  assign(value: LinearCombination, options: WireOptions = {}): number {
    const wire = options.into ?? this.#newWires(1);
    const row = this.#constrain(ZERO, ZERO, lessNew(value, wireOf(wire)));
    const magnitude = this.magnitudeOf(value);
    this.#magnitudes[wire] = Math.min(options.magnitude ?? Number.POSITIVE_INFINITY, magnitude);
    this.#keep({ kind: "sum", row, wire, exactBelow: magnitude });
    return wire;
  }

  /** A wire of value a times b, plus `added`: one constraint. */
  multiply(
    a: LinearCombination,
    b: LinearCombination,
    options: WireOptions & { readonly added?: LinearCombination } = {},
  ): number {
    const added = options.added ?? ZERO;
    const wire = options.into ?? this.#newWires(1);
    const row = this.#constrain(a, b, difference(wireOf(wire), added));
    const magnitude = this.magnitudeOf(a) * this.magnitudeOf(b) + this.magnitudeOf(added);
    const parts = Math.max(magnitude, this.magnitudeOf(a), this.magnitudeOf(b));
    this.#magnitudes[wire] = Math.min(options.magnitude ?? Number.POSITIVE_INFINITY, magnitude);
    this.#keep({ kind: "product", row, wire, exactBelow: parts });
    return wire;
  }

  /**
   * Wires of the bits of a value, the lowest first; they follow one another. Proves that the value
   * is from 0 to 2^count - 1: `count` constraints and a linear one. Returns the first wire.
   *
   * @param meaning What is wrong where the value does not fit; for whoever gave the input.
   */
  bits(value: LinearCombination, count: number, meaning: string): number {
    if (count < 1 || count > DECOMPOSITION_BITS_MAX) {
      throw new RangeError(
        `a decomposition has 1 to ${DECOMPOSITION_BITS_MAX} bits, not ${count}: with more of ` +
          "them a number has two",
      );
    }
    const first = this.#newBits(count);
    const row = this.#constrain(ZERO, ZERO, lessNew(value, binarySum(first, count)));
    const exactBelow = Math.max(this.magnitudeOf(value), 2 ** count);
    this.#keep({ kind: "bits", row, wire: first, count, exactBelow, meaning });
    return first;
  }

  /**
   * Wires of the bits of a value at these places; they follow one another. Proves that the value has
   * no other bits: a constraint a bit and a linear one. Returns the first wire.
   *
   * @param places Each once, below DECOMPOSITION_BITS_MAX.
   * @param meaning What is wrong where it has others; for whoever gave the input.
   */
  bitsAt(value: LinearCombination, places: readonly number[], meaning: string): number {
    if (new Set(places).size < places.length || Math.max(...places) >= DECOMPOSITION_BITS_MAX) {
      throw new RangeError(
        `bits are taken at places below ${DECOMPOSITION_BITS_MAX}, each once, not ${places}`,
      );
    }
    const first = this.#newBits(places.length);
    const wires = places.map((_, i) => first + i);
    const coefficients = places.map((place) => powerOfTwo(place));
    const row = this.#constrain(ZERO, ZERO, lessNew(value, { wires, coefficients }));
    this.#keep({ kind: "bits-at", row, wire: first, places, meaning });
    return first;
  }

  /**
   * `count - 1` wires that say which of `count` is chosen: wire i is 1 where the chosen one is at
   * most i. Without a constraint; the caller adds them. For the witness: the first of the greatest,
   * or the interval that a value lies in, value <= thresholds[i] ascending.
   */
  hint(
    count: number,
    source:
      | { readonly greatestOf: readonly LinearCombination[] }
      | { readonly value: LinearCombination; readonly thresholds: readonly number[] },
  ): number {
    const first = this.#newWires(count - 1);
    for (let i = 0; i < count - 1; i += 1) this.#magnitudes[first + i] = 1;
    const of = "greatestOf" in source ? source.greatestOf : [source.value];
    const rows = of.map((combination) => this.#read.add(combination));
    const exactBelow = Math.max(...of.map((combination) => this.magnitudeOf(combination)));
    const from = { wire: first, row: rows[0]!, exactBelow };
    this.#keep(
      "greatestOf" in source
        ? { kind: "greatest", count, ...from }
        : { kind: "interval", thresholds: Float64Array.from(source.thresholds), ...from },
    );
    return first;
  }

  /** The value is 0 or 1: value times value is value. */
  boolean(value: LinearCombination): void {
    this.#constrain(value, value, value);
  }

  /**
   * The system and how to fill its wires.
   *
   * @throws FailedPrecondition: it has too many constraints
   */
  finish(): { readonly system: ConstraintSystem; readonly program: WitnessProgram } {
    if (this.#beyond > 0) throw this.#tooLarge(`${this.#c.rows + this.#beyond}`);
    const { outputs, publicInputs, privateInputs } = this.#shape;
    const system: ConstraintSystem = {
      wires: this.#magnitudes.length,
      outputs,
      publicInputs,
      privateInputs,
      constraintCount: this.#c.rows,
      a: this.#a.matrix(),
      b: this.#b.matrix(),
      c: this.#c.matrix(),
      coefficients: this.#list.values(),
    };
    return { system, program: new TapeProgram(system, this.#read.matrix(), this.#operations) };
  }

  /** New wires, each of which is 0 or 1. */
  #newBits(count: number): number {
    const first = this.#newWires(count);
    for (let bit = 0; bit < count; bit += 1) {
      this.#magnitudes[first + bit] = 1;
      this.boolean(wireOf(first + bit));
    }
    return first;
  }

  #newWires(count: number): number {
    const first = this.#magnitudes.length;
    for (let i = 0; i < count; i += 1) this.#magnitudes.push(Number.POSITIVE_INFINITY);
    return first;
  }

  #constrain(a: LinearCombination, b: LinearCombination, c: LinearCombination): number {
    if (this.#c.rows >= this.#shape.constraintsMax) {
      this.#beyond += 1;
      if (this.#c.rows + this.#beyond > COUNTED_MAX) throw this.#tooLarge(`over ${COUNTED_MAX}`);
      return this.#c.rows;
    }
    if (a.wires.length === 0 || b.wires.length === 0) this.#linear += 1;
    this.#a.add(a);
    this.#b.add(b);
    return this.#c.add(c);
  }

  #keep(operation: WitnessOperation): void {
    if (this.#beyond === 0) this.#operations.push(operation);
  }

  #tooLarge(constraints: string): FailedPrecondition {
    const description =
      `the circuit needs ${constraints} constraints; at most ${this.#shape.constraintsMax} are ` +
      "taken. Take a smaller model, fewer activation bits, or ask the operator for a higher limit";
    return new FailedPrecondition(description, {
      reason: ErrorReason.UNSUPPORTED,
      violations: [{ type: "CONSTRAINTS", subject: "circuit", description }],
    });
  }
}

/** a - b, where the wires of b are new or an output. */
function lessNew(a: LinearCombination, b: LinearCombination): LinearCombination {
  const isAfter = (a.wires.at(-1) ?? -1) < b.wires[0]!;
  if (!isAfter) return difference(a, b);
  const negative = b.coefficients.map((value) => product(-1, value));
  return { wires: a.wires.concat(b.wires), coefficients: a.coefficients.concat(negative) };
}

function inRange(what: string, index: number, count: number): number {
  if (index < 0 || index >= count) throw new RangeError(`there is no ${what} ${index} of ${count}`);
  return index;
}
