// From a float program to whole numbers. Every value gets a scale, a power of two; every layer of
// rows one scale for its results, and activations divide by the difference of the two.

import { valueEncoding } from "../verifier/signal-encoding.ts";
import { exponentAbove, powerOfTwo } from "./binary-scale.ts";
import type { FloatActivate, FloatMax, FloatProgram, FloatTrees } from "./float-program.ts";
import { stepSize } from "./float-program.ts";
import { type FloatRows, plainValues } from "./float-rows.ts";
import type {
  ActivateStep,
  InputEncoding,
  IntegerGraph,
  SparseRows,
  Step,
} from "./integer-graph.ts";
import { type QuantizedRows, quantizeRows, type RowScale } from "./quantize-rows.ts";
import { quantizeTrees } from "./quantize-trees.ts";
import { ValueBounds } from "./value-bounds.ts";

/** Another one may make another graph of the same bytes and options. */
const COMPILER_VERSION = 1;

export interface QuantizeOptions {
  /** One for each input of the program. */
  readonly encodings: readonly InputEncoding[];
  /** The largest size of each value of the program in the samples. */
  readonly sizes: Float64Array;
  /** Bits of the largest weight of a layer. */
  readonly weightBits: number;
  /** Bits of the largest activation of a layer. */
  readonly activationBits: number;
  /** Bits of the largest value of a leaf. */
  readonly leafBits: number;
}

export interface Quantized {
  readonly graph: IntegerGraph;
  /** For each step of the graph the number of its first value. */
  readonly firsts: readonly number[];
  /** Worst cases by number of the value. */
  readonly bounds: ValueBounds;
}

/**
 * Weights of a layer whose results the model itself rounds: so fine that the quotient is that of
 * the model unless it is closer to a tie than float32 tells apart.
 */
const ROUND_WEIGHT_BITS_MIN = 26;

/** Values of 2^-100 are nothing, and values of 2^100 have no place among the safe integers. */
const OUT_BITS_MAX = 100;

export function quantizeProgram(program: FloatProgram, options: QuantizeOptions): Quantized {
  return new Quantizing(program, options).result();
}

class Quantizing {
  readonly #program: FloatProgram;
  readonly #options: QuantizeOptions;
  readonly #bounds = new ValueBounds();
  readonly #steps: Step[] = [];
  readonly #firsts: number[] = [];
  /** By value of the program: its number in the graph, and its scale. */
  readonly #numbers: Int32Array;
  readonly #bits: Int32Array;
  /** By value of the program: 1 where it has a scale that other values of its input do not. */
  readonly #ownScale: Uint8Array;

  constructor(program: FloatProgram, options: QuantizeOptions) {
    this.#program = program;
    this.#options = options;
    this.#numbers = new Int32Array(program.values);
    this.#bits = new Int32Array(program.values);
    this.#ownScale = new Uint8Array(program.values);
  }

  result(): Quantized {
    const { inputs, steps, output } = this.#program;
    inputs.forEach((input, i) => {
      this.#input(input, this.#options.encodings[i]!);
    });
    steps.forEach((step) => {
      switch (step.kind) {
        case "activate":
          this.#activate(step, this.#range(step));
          break;
        case "max":
          this.#max(step);
          break;
        case "trees":
          this.#trees(step);
      }
    });
    const { numbers, scaleBits } = this.#output(output.rows);
    const graph: IntegerGraph = {
      compilerVersion: COMPILER_VERSION,
      inputs: inputs.map(({ name, shape }, i) => {
        return { name, shape, encoding: this.#options.encodings[i]! };
      }),
      steps: this.#steps,
      output: {
        name: output.name,
        shape: output.shape,
        values: numbers,
        scaleBits,
        after: output.after,
        argmax: output.argmax,
        classLabels: output.classLabels,
      },
    };
    return { graph, firsts: this.#firsts, bounds: this.#bounds };
  }

  #input(input: { first: number; size: number }, encoding: InputEncoding): void {
    for (let i = 0; i < input.size; i++) {
      const own = valueEncoding(encoding, i);
      const { scaleBits, lo, hi } =
        own.kind === "fixed" ? own : { scaleBits: 0, lo: 0, hi: 2 ** 32 - 1 };
      this.#numbers[input.first + i] = this.#bounds.add({ lo, hi, error: 0, scaleBits });
      this.#bits[input.first + i] = scaleBits;
      this.#ownScale[input.first + i] = encoding.kind === "fixed-each" ? 1 : 0;
    }
  }

  #push(step: Step): void {
    this.#steps.push(step);
    this.#firsts.push(this.#bounds.count);
  }

  /**
   * Values with scales of their own are whole numbers of one size, so that roundings of all their
   * weights add up, where with one scale only those of the largest values count. Their sums are
   * shorter than with one scale all the same.
   */
  #quantize(rows: FloatRows, scale: RowScale): QuantizedRows {
    const values = { columnBits: this.#bits, columns: this.#numbers, sizes: this.#options.sizes };
    const isOwn = rows.columns.some((column) => this.#ownScale[column] === 1);
    const weightBits = scale.weightBits + (isOwn ? exponentAbove(longestRow(rows)) : 0);
    return quantizeRows(rows, values, { ...scale, weightBits });
  }

  /** The numbers of the rows' results, in order. */
  #linear(name: string, exact: FloatRows, rounded: QuantizedRows): Int32Array {
    const first = this.#bounds.count;
    this.#push({ kind: "linear", name, rows: rounded.rows });
    this.#bounds.linear(rounded, { rows: exact, numbers: this.#numbers });
    return Int32Array.from({ length: exact.bias.length }, (_, i) => first + i);
  }

  /** Rows that are values as they stand and have one scale: no step is needed for them. */
  #plain(
    rows: FloatRows,
  ): { readonly numbers: Int32Array; readonly scaleBits: number } | undefined {
    const values = plainValues(rows);
    const scaleBits = this.#bits[values?.[0] ?? 0]!;
    return values?.every((value) => this.#bits[value] === scaleBits)
      ? { numbers: values.map((value) => this.#numbers[value]!), scaleBits }
      : undefined;
  }

  #activate(step: FloatActivate, range: number): void {
    const { name, rows, activation } = step;
    const rounds = activation.kind === "round";
    const wanted = rounds ? 0 : this.#wantedBits(range);
    const plain = this.#plain(rows);
    if (
      plain !== undefined &&
      (plain.scaleBits === wanted || (!rounds && plain.scaleBits > wanted))
    ) {
      this.#emit(step, { ...plain, outBits: wanted });
      return;
    }
    const { weightBits } = this.#options;
    const bits = rounds ? Math.max(weightBits, ROUND_WEIGHT_BITS_MIN) : weightBits;
    const free = this.#quantize(rows, { weightBits: bits });
    // Whole numbers that are exact at a coarser scale than wanted need no finer one.
    const outBits =
      free.isExact && isExactAt(activation, free.scaleBits)
        ? Math.min(wanted, free.scaleBits)
        : wanted;
    if (plain !== undefined && plain.scaleBits === outBits) {
      this.#emit(step, { ...plain, outBits });
      return;
    }
    const rounded =
      free.scaleBits >= outBits
        ? free
        : this.#quantize(rows, { weightBits: bits, scaleBitsMin: outBits });
    const { isExact, scaleBits } = rounded;
    if (rounds && isExact && scaleBits > 0) {
      this.#roundHalfEven(step, rounded);
      return;
    }
    this.#emit(step, { numbers: this.#linear(name, rows, rounded), scaleBits, outBits });
  }

  /** The largest size of any value of a step. */
  #range(step: FloatActivate): number {
    const { sizes } = this.#options;
    let range = 0;
    for (let value = step.first; value < step.first + stepSize(step); value++) {
      range = Math.max(range, sizes[value]!);
    }
    return range;
  }

  #wantedBits(range: number): number {
    const bits = this.#options.activationBits - (range > 0 ? exponentAbove(range) : 0);
    return Math.max(-OUT_BITS_MAX, Math.min(OUT_BITS_MAX, bits));
  }

  #emit(
    step: FloatActivate,
    of: {
      readonly numbers: Int32Array;
      readonly scaleBits: number;
      readonly outBits: number;
    },
  ): void {
    const { name, activation } = step;
    const { numbers, scaleBits, outBits } = of;
    const scale = powerOfTwo(outBits);
    const bound = (value: number) => Math.floor(value * scale + 0.5) + 0;
    const held: ActivateStep["activation"] =
      activation.kind === "clip" || activation.kind === "round"
        ? { kind: "clip", lo: bound(activation.lo), hi: bound(activation.hi) }
        : activation;
    const made: ActivateStep = {
      kind: "activate",
      name,
      values: numbers,
      shiftBits: scaleBits - outBits,
      activation: held,
    };
    this.#place(step.first, { count: numbers.length, scaleBits: outBits });
    this.#push(made);
    this.#bounds.activate(made, outBits, { jumps: activation.kind === "round" });
  }

  /** The values of a step get the numbers that come next. */
  #place(first: number, of: { readonly count: number; readonly scaleBits: number }): void {
    for (let i = 0; i < of.count; i++) {
      this.#numbers[first + i] = this.#bounds.count + i;
      this.#bits[first + i] = of.scaleBits;
    }
  }

  /**
   * Ties to even where sums are exact, so that ties happen: with q = floor(x / 2^k) and its parity
   * p, the result is floor((x + 2^(k-1) - 1 + p) / 2^k).
   */
  #roundHalfEven(step: FloatActivate, rounded: QuantizedRows): void {
    const { name, rows } = step;
    const { scaleBits } = rounded;
    const sums = this.#linear(name, rows, rounded);
    const half = powerOfTwo(scaleBits - 1);
    const floors = this.#floor(name, this.#offset(name, sums, -half), scaleBits);
    const pairs = this.#floor(name, this.#offset(name, sums, -2 * half), scaleBits + 1);
    const entries = Array.from(sums, (sum, i) => [
      { value: sum, weight: 1 },
      { value: floors[i]!, weight: 1 },
      { value: pairs[i]!, weight: -2 },
    ]);
    const turned = this.#combine(name, entries, -1);
    this.#emit(step, { numbers: turned, scaleBits, outBits: 0 });
  }

  #offset(name: string, values: Int32Array, bias: number): Int32Array {
    const entries = Array.from(values, (value) => [{ value, weight: 1 }]);
    return this.#combine(name, entries, bias);
  }

  /** Values floor((x + 2^(k-1)) / 2^k). */
  #floor(name: string, values: Int32Array, shiftBits: number): Int32Array {
    const step: ActivateStep = {
      kind: "activate",
      name,
      values,
      shiftBits,
      activation: { kind: "none" },
    };
    const first = this.#bounds.count;
    this.#push(step);
    this.#bounds.activate(step, 0, { jumps: true });
    return values.map((_, i) => first + i);
  }

  /** Sums of numbers of the graph; their scale is that of the first. */
  #combine(
    name: string,
    entries: readonly (readonly { readonly value: number; readonly weight: number }[])[],
    bias: number,
  ): Int32Array {
    const rows: SparseRows = {
      rowStart: Int32Array.from([0, ...entries.map((_, i) => (i + 1) * entries[0]!.length)]),
      columns: Int32Array.from(entries.flat(), ({ value }) => value),
      weights: Float64Array.from(entries.flat(), ({ weight }) => weight),
      bias: new Float64Array(entries.length).fill(bias),
    };
    const first = this.#bounds.count;
    this.#push({ kind: "linear", name, rows });
    for (const row of entries) {
      const ends = (lowest: boolean) =>
        row.reduce(
          (sum, { value, weight }) =>
            sum +
            weight * (weight > 0 === lowest ? this.#bounds.lo(value) : this.#bounds.hi(value)),
          bias,
        );
      const of = row[0]!.value;
      const { error, scaleBits } = {
        error: this.#bounds.error(of),
        scaleBits: this.#bounds.scaleBits(of),
      };
      this.#bounds.add({ lo: ends(true), hi: ends(false), error, scaleBits });
    }
    return Int32Array.from(entries, (_, i) => first + i);
  }

  #max(step: FloatMax): void {
    const { weightBits } = this.#options;
    const plain = this.#plain(step.rows);
    const rounded = plain === undefined ? this.#quantize(step.rows, { weightBits }) : undefined;
    const scaleBits = plain?.scaleBits ?? rounded!.scaleBits;
    const numbers = plain?.numbers ?? this.#linear(step.name, step.rows, rounded!);
    const values = step.members.map((member) => numbers[member]!);
    this.#place(step.first, { count: stepSize(step), scaleBits });
    this.#push({ kind: "max", name: step.name, groupStart: step.groupStart, values });
    for (let group = 0; group < stepSize(step); group++) {
      this.#bounds.largest(values.subarray(step.groupStart[group], step.groupStart[group + 1]));
    }
  }

  #trees(step: FloatTrees): void {
    const { base, trees, scaleBits, error, ranges } = quantizeTrees(step, this.#options.leafBits);
    this.#place(step.first, { count: base.length, scaleBits });
    const features = step.features.map((feature) => this.#numbers[feature]!);
    this.#push({ kind: "trees", name: step.name, features, base, trees });
    for (const range of ranges) {
      this.#bounds.add({ ...range, error, scaleBits });
    }
  }

  #output(rows: FloatRows): { readonly numbers: Int32Array; readonly scaleBits: number } {
    const plain = this.#plain(rows);
    if (plain !== undefined && plain.scaleBits >= 0) {
      return plain;
    }
    const { weightBits } = this.#options;
    const rounded = this.#quantize(rows, { weightBits, scaleBitsMin: 0 });
    const numbers = this.#linear(this.#program.output.name, rows, rounded);
    return { numbers, scaleBits: rounded.scaleBits };
  }
}

/** Entries of the row that has the most of them. */
function longestRow({ rowStart }: FloatRows): number {
  return rowStart.reduce((most, start, i) => Math.max(most, start - (rowStart[i - 1] ?? 0)), 1);
}

/** Whether an activation of values at a scale gives values at that scale. */
function isExactAt(activation: FloatActivate["activation"], scaleBits: number): boolean {
  switch (activation.kind) {
    case "none":
    case "relu":
      return true;
    case "leaky-relu":
    case "round":
      return false;
    case "clip": {
      const scale = powerOfTwo(scaleBits);
      return Number.isInteger(activation.lo * scale) && Number.isInteger(activation.hi * scale);
    }
  }
}
