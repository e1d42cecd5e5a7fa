// Rounds rows of float64 to whole numbers: one scale, a power of two, for all rows of a layer.

import { exponentAbove, powerOfTwo } from "./binary-scale.ts";
import type { FloatRows } from "./float-rows.ts";
import type { SparseRows } from "./integer-graph.ts";
import { invalidModel } from "./unsupported.ts";

export interface QuantizedRows {
  readonly rows: SparseRows;
  /** A result stands for result / 2^scaleBits. */
  readonly scaleBits: number;
  /** Whether nothing was rounded. */
  readonly isExact: boolean;
}

export interface RowScale {
  /**
   * Rounding a weight moves a result by 2^-weightBits of the largest product at most: where all
   * values are of one size, the largest weight has so many bits.
   */
  readonly weightBits: number;
  /** The scale has at least so many; absent: as few as the rows need. */
  readonly scaleBitsMin?: number;
}

/** What the rows are over, by number of the value. */
export interface RowValues {
  /** Its scale. */
  readonly columnBits: Int32Array;
  /** Which number it has in the integer graph, ascending with its own. */
  readonly columns: Int32Array;
  /** How large it becomes in the samples. */
  readonly sizes: Float64Array;
}

/** A bias has at most so many bits, which leaves a sum room among the safe integers. */
const BIAS_BITS_MAX = 50;
/** A weight too. */
const WEIGHT_BITS_MAX = 50;
const SCALE_BITS_MAX = 200;

/**
 * Weights of `columnBits` fixed-point values become weights of their whole numbers.
 */
export function quantizeRows(rows: FloatRows, values: RowValues, scale: RowScale): QuantizedRows {
  const { columnBits } = values;
  const scaleBits = scaleFor(rows, values, scale);
  const weights = new Float64Array(rows.weights.length);
  let isExact = true;
  const whole = (value: number): number => {
    const nearest = Math.floor(value);
    const rest = value - nearest;
    isExact &&= rest === 0;
    const rounded = (rest >= 0.5 ? nearest + 1 : nearest) + 0;
    if (!Number.isSafeInteger(rounded)) {
      throw invalidModel(
        `a weight or bias of one of its layers is ${value}, too large beside the others to be ` +
          "held exactly; scale the inputs or the layer down",
      );
    }
    return rounded;
  };
  for (let i = 0; i < weights.length; i++) {
    weights[i] = whole(rows.weights[i]! * powerOfTwo(scaleBits - columnBits[rows.columns[i]!]!));
  }
  const bias = rows.bias.map((value) => whole(value * powerOfTwo(scaleBits)));
  const floor = scale.scaleBitsMin ?? Number.NEGATIVE_INFINITY;
  const spare = Math.min(sharedZeros([weights, bias]), scaleBits - floor);
  const divisor = powerOfTwo(-Math.max(spare, 0));
  return {
    rows: withoutZeros({
      rowStart: rows.rowStart,
      columns: rows.columns.map((column) => values.columns[column]!),
      weights: weights.map((weight) => weight * divisor),
      bias: bias.map((value) => value * divisor),
    }),
    scaleBits: scaleBits - Math.max(spare, 0),
    isExact,
  };
}

function scaleFor(rows: FloatRows, values: RowValues, scale: RowScale): number {
  const { columnBits, sizes } = values;
  let largest = 0;
  let product = 0;
  let size = 0;
  for (let i = 0; i < rows.weights.length; i++) {
    const value = rows.columns[i]!;
    const unit = powerOfTwo(-columnBits[value]!);
    const weight = Math.abs(rows.weights[i]!);
    largest = Math.max(largest, weight * unit);
    product = Math.max(product, weight * sizes[value]!);
    size = Math.max(size, sizes[value]! / unit);
  }
  const bias = rows.bias.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const byBias = BIAS_BITS_MAX - (bias === 0 ? 0 : exponentAbove(bias));
  const top = largest === 0 ? 0 : exponentAbove(largest);
  const byProduct = product === 0 ? -top : -exponentAbove(product / size);
  const floor = scale.scaleBitsMin ?? Number.NEGATIVE_INFINITY;
  const free = Math.min(scale.weightBits + byProduct, WEIGHT_BITS_MAX - top);
  const scaleBits = Math.max(Math.min(free, byBias, SCALE_BITS_MAX), floor);
  if (largest > 0 && scaleBits + top > WEIGHT_BITS_MAX) {
    throw invalidModel(
      "the weights of one of its layers are too large for the scale that its values need; " +
        "take fewer activation bits or input bits",
    );
  }
  return scaleBits;
}

/** How often 2 divides all numbers; a large number where all are 0. */
function sharedZeros(lists: readonly Float64Array[]): number {
  let zeros = 60;
  let divisor = powerOfTwo(-zeros);
  for (const list of lists) {
    for (const value of list) {
      while (!Number.isInteger(value * divisor)) {
        zeros -= 1;
        divisor *= 2;
      }
      if (zeros === 0) {
        return 0;
      }
    }
  }
  return zeros === 60 ? 0 : zeros;
}

/** A weight that is rounded to 0 is none. */
function withoutZeros(rows: SparseRows): SparseRows {
  if (rows.weights.every((weight) => weight !== 0)) {
    return rows;
  }
  const count = rows.weights.reduce((sum, weight) => sum + (weight === 0 ? 0 : 1), 0);
  const rowStart = new Int32Array(rows.rowStart.length);
  const columns = new Int32Array(count);
  const weights = new Float64Array(count);
  let at = 0;
  for (let row = 0; row + 1 < rowStart.length; row++) {
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      if (rows.weights[entry] !== 0) {
        columns[at] = rows.columns[entry]!;
        weights[at] = rows.weights[entry]!;
        at += 1;
      }
    }
    rowStart[row + 1] = at;
  }
  return { rowStart, columns, weights, bias: rows.bias };
}
