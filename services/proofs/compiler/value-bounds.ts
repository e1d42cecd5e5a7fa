// How large each value of an integer graph can become, and how far it can be from the float that it
// stands for: worst cases over all inputs that the encoding takes, followed from step to step.

import { powerOfTwo } from "./binary-scale.ts";
import type { FloatRows } from "./float-rows.ts";
import type { ActivateStep, SparseRows } from "./integer-graph.ts";

/** Sums of float64 are a little off; a bound must not be. */
const SLACK = 1 + 1e-9;
const VALUES_FIRST = 1024;

/** Bounds by number of the value. */
export class ValueBounds {
  #lo = new Float64Array(VALUES_FIRST);
  #hi = new Float64Array(VALUES_FIRST);
  #error = new Float64Array(VALUES_FIRST);
  #bits = new Int32Array(VALUES_FIRST);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A value of the graph: whole numbers from lo to hi at a scale; `error` in floats. */
  add(value: { lo: number; hi: number; error: number; scaleBits: number }): number {
    if (this.#count === this.#lo.length) {
      this.#grow();
    }
    const at = this.#count++;
    this.#lo[at] = value.lo;
    this.#hi[at] = value.hi;
    this.#error[at] = value.error;
    this.#bits[at] = value.scaleBits;
    return at;
  }

  lo(value: number): number {
    return this.#lo[value]!;
  }

  hi(value: number): number {
    return this.#hi[value]!;
  }

  /** In floats: from the value itself to what it stands for. */
  error(value: number): number {
    return this.#error[value]!;
  }

  scaleBits(value: number): number {
    return this.#bits[value]!;
  }

  /** Adds a value for each row. `exact` are the rows that were rounded, over `numbers`. */
  linear(
    rounded: { readonly rows: SparseRows; readonly scaleBits: number },
    exact: { readonly rows: FloatRows; readonly numbers: Int32Array },
  ): void {
    const unit = powerOfTwo(-rounded.scaleBits);
    for (let row = 0; row < rounded.rows.bias.length; row++) {
      const range = this.#rowRange(rounded.rows, row);
      const error = this.#rowError(rounded, exact, row) * SLACK;
      const biasError = Math.abs(exact.rows.bias[row]! - rounded.rows.bias[row]! * unit);
      this.add({ ...range, error: error + biasError, scaleBits: rounded.scaleBits });
    }
  }

  #rowRange(rows: SparseRows, row: number): { lo: number; hi: number } {
    let lo = rows.bias[row]!;
    let hi = lo;
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      const weight = rows.weights[entry]!;
      const value = rows.columns[entry]!;
      lo += weight * (weight > 0 ? this.#lo[value]! : this.#hi[value]!);
      hi += weight * (weight > 0 ? this.#hi[value]! : this.#lo[value]!);
    }
    return { lo, hi };
  }

  #rowError(
    rounded: { readonly rows: SparseRows; readonly scaleBits: number },
    exact: { readonly rows: FloatRows; readonly numbers: Int32Array },
    row: number,
  ): number {
    const { rows, numbers } = { rows: exact.rows, numbers: exact.numbers };
    let at = rounded.rows.rowStart[row]!;
    const end = rounded.rows.rowStart[row + 1]!;
    let error = 0;
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      const value = numbers[rows.columns[entry]!]!;
      const isKept = at < end && rounded.rows.columns[at] === value;
      const whole = isKept ? rounded.rows.weights[at]! : 0;
      at += isKept ? 1 : 0;
      const bits = this.#bits[value]!;
      const weight = whole * powerOfTwo(bits - rounded.scaleBits);
      const size = Math.max(-this.#lo[value]!, this.#hi[value]!, 0) * powerOfTwo(-bits);
      error += Math.abs(weight) * this.#error[value]!;
      error += Math.abs(rows.weights[entry]! - weight) * (size + this.#error[value]!);
    }
    return error;
  }

  /** Adds a value for each value of a step. `jumps`: the float model rounds there too. */
  activate(step: ActivateStep, scaleBits: number, options: { readonly jumps: boolean }): void {
    const unit = powerOfTwo(-scaleBits);
    for (const value of step.values) {
      const { lo, hi } = { lo: this.#lo[value]!, hi: this.#hi[value]! };
      const given = this.#error[value]!;
      const rounding = step.shiftBits > 0 ? unit / 2 : 0;
      const slope = step.activation.kind === "leaky-relu" ? unit : 0;
      const bound = step.activation.kind === "clip" ? unit / 2 : 0;
      const error = options.jumps
        ? given === 0
          ? 0
          : given + unit
        : given + rounding + slope + bound;
      const range = { lo: activated(lo, step), hi: activated(hi, step) };
      this.add({ ...range, error, scaleBits });
    }
  }

  /** Adds the largest of some values. */
  largest(values: Int32Array): void {
    let lo = Number.NEGATIVE_INFINITY;
    let hi = Number.NEGATIVE_INFINITY;
    let error = 0;
    for (const value of values) {
      lo = Math.max(lo, this.#lo[value]!);
      hi = Math.max(hi, this.#hi[value]!);
      error = Math.max(error, this.#error[value]!);
    }
    this.add({ lo, hi, error, scaleBits: this.#bits[values[0]!]! });
  }

  #grow(): void {
    const double = <T extends Float64Array | Int32Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const size = this.#lo.length * 2;
    this.#lo = double(this.#lo, new Float64Array(size));
    this.#hi = double(this.#hi, new Float64Array(size));
    this.#error = double(this.#error, new Float64Array(size));
    this.#bits = double(this.#bits, new Int32Array(size));
  }
}

/** What an activation makes of a whole number; monotone, so it maps bounds to bounds. */
function activated(value: number, step: ActivateStep): number {
  const half = step.shiftBits > 0 ? powerOfTwo(step.shiftBits - 1) : 0;
  const y = Math.floor((value + half) * powerOfTwo(-step.shiftBits));
  switch (step.activation.kind) {
    case "none":
      return y;
    case "relu":
      return Math.max(y, 0);
    case "leaky-relu":
      return y >= 0 ? y : Math.floor(y * powerOfTwo(-step.activation.slopeBits));
    case "clip":
      return Math.min(Math.max(y, step.activation.lo), step.activation.hi);
  }
}
