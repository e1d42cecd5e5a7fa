// Sparse matrices of float64: how values depend linearly on the values that a circuit keeps. The
// linear part of a network between two activations becomes one of these before it is rounded to
// whole numbers, however many nodes it was.

import { invalidModel } from "./unsupported.ts";

/** Value i is bias + sum of weight times value; the layout is that of SparseRows. */
export interface FloatRows {
  readonly rowStart: Int32Array;
  /** Ascending within a row. */
  readonly columns: Int32Array;
  /** None 0. */
  readonly weights: Float64Array;
  readonly bias: Float64Array;
}

/** All weights of one layer, unrolled: 32 million are 400 MB. */
const ENTRIES_MAX = 32 * 1024 * 1024;
const ENTRIES_FIRST = 1024;

export function rowCount(rows: FloatRows): number {
  return rows.bias.length;
}

/** Puts rows together, one entry after another. */
export class RowBuilder {
  readonly #rowStart: number[] = [0];
  readonly #bias: number[] = [];
  #columns = new Int32Array(ENTRIES_FIRST);
  #weights = new Float64Array(ENTRIES_FIRST);
  #count = 0;

  /** An entry of the row that is being made; 0 is left out. @throws InvalidArgument: not finite */
  entry(column: number, weight: number): void {
    if (weight === 0) {
      return;
    }
    if (!Number.isFinite(weight)) {
      throw invalidModel(`folding its constants gives the weight ${weight}`);
    }
    if (this.#count === this.#columns.length) {
      this.#grow();
    }
    this.#columns[this.#count] = column;
    this.#weights[this.#count] = weight;
    this.#count += 1;
  }

  /** Ends the row. @throws InvalidArgument: not finite */
  end(bias: number): void {
    if (!Number.isFinite(bias)) {
      throw invalidModel(`folding its constants gives the bias ${bias}`);
    }
    // Adding 0 makes a negative zero a plain one.
    this.#bias.push(bias + 0);
    this.#rowStart.push(this.#count);
  }

  rows(): FloatRows {
    return {
      rowStart: Int32Array.from(this.#rowStart),
      columns: this.#columns.slice(0, this.#count),
      weights: this.#weights.slice(0, this.#count),
      bias: Float64Array.from(this.#bias),
    };
  }

  #grow(): void {
    const size = this.#columns.length * 2;
    if (size > ENTRIES_MAX) {
      throw invalidModel(`a layer of it has more than ${ENTRIES_MAX / 2} weights when unrolled`);
    }
    const columns = new Int32Array(size);
    columns.set(this.#columns);
    this.#columns = columns;
    const weights = new Float64Array(size);
    weights.set(this.#weights);
    this.#weights = weights;
  }
}

/** Row i is value first + i. */
export function identityRows(first: number, count: number): FloatRows {
  return {
    rowStart: Int32Array.from({ length: count + 1 }, (_, i) => i),
    columns: Int32Array.from({ length: count }, (_, i) => first + i),
    weights: new Float64Array(count).fill(1),
    bias: new Float64Array(count),
  };
}

/** Rows that depend on nothing. */
export function constantRows(bias: Float64Array): FloatRows {
  return {
    rowStart: new Int32Array(bias.length + 1),
    columns: new Int32Array(0),
    weights: new Float64Array(0),
    bias: bias.map((value) => value + 0),
  };
}

/** The values that the rows are, where each is one value as it stands. */
export function plainValues(rows: FloatRows): Int32Array | undefined {
  const isPlain =
    rows.columns.length === rowCount(rows) &&
    rows.rowStart.every((start, i) => start === i) &&
    rows.weights.every((weight) => weight === 1) &&
    rows.bias.every((bias) => bias === 0);
  return isPlain ? rows.columns : undefined;
}

/** Row i is row from[i] of the parts, numbered one after another; -1 is the constant `fill`. */
export function selectRows(
  parts: readonly FloatRows[],
  from: Int32Array | undefined,
  fill: number,
): FloatRows {
  const [first] = parts;
  if (from === undefined && first !== undefined && parts.length === 1) {
    return first;
  }
  const builder = new RowBuilder();
  const starts: number[] = [];
  let total = 0;
  for (const part of parts) {
    starts.push(total);
    total += rowCount(part);
  }
  const order = from ?? Int32Array.from({ length: total }, (_, i) => i);
  for (const index of order) {
    if (index < 0) {
      builder.end(fill);
      continue;
    }
    let at = starts.length - 1;
    while (starts[at]! > index) {
      at -= 1;
    }
    copyRow(builder, parts[at]!, index - starts[at]!, 1);
    builder.end(parts[at]!.bias[index - starts[at]!]!);
  }
  return builder.rows();
}

function copyRow(builder: RowBuilder, rows: FloatRows, row: number, factor: number): void {
  for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
    builder.entry(rows.columns[entry]!, factor * rows.weights[entry]!);
  }
}

/** Row by row: factor * left + otherFactor * right, for two of the same number of rows. */
export function addRows(
  left: { readonly rows: FloatRows; readonly factor: number },
  right: { readonly rows: FloatRows; readonly factor: number },
): FloatRows {
  const builder = new RowBuilder();
  const a = left.rows;
  const b = right.rows;
  for (let row = 0; row < rowCount(a); row++) {
    let i = a.rowStart[row]!;
    let j = b.rowStart[row]!;
    const iEnd = a.rowStart[row + 1]!;
    const jEnd = b.rowStart[row + 1]!;
    while (i < iEnd || j < jEnd) {
      const x = i < iEnd ? a.columns[i]! : Number.POSITIVE_INFINITY;
      const y = j < jEnd ? b.columns[j]! : Number.POSITIVE_INFINITY;
      const weight =
        (x <= y ? left.factor * a.weights[i]! : 0) + (y <= x ? right.factor * b.weights[j]! : 0);
      builder.entry(Math.min(x, y), weight);
      i += x <= y ? 1 : 0;
      j += y <= x ? 1 : 0;
    }
    builder.end(left.factor * a.bias[row]! + right.factor * b.bias[row]!);
  }
  return builder.rows();
}

/** How many products `composeRows` makes. */
export function compositionWork(outer: FloatRows, inner: FloatRows): number {
  let work = 0;
  for (const column of outer.columns) {
    work += inner.rowStart[column + 1]! - inner.rowStart[column]!;
  }
  return work;
}

/** Rows over what `inner` is over, `outer` being rows over the rows of `inner`. */
export function composeRows(outer: FloatRows, inner: FloatRows): FloatRows {
  const builder = new RowBuilder();
  const sums = new Map<number, number>();
  for (let row = 0; row < rowCount(outer); row++) {
    let bias = outer.bias[row]!;
    const start = outer.rowStart[row]!;
    const end = outer.rowStart[row + 1]!;
    if (isAscending(outer, inner, { start, end })) {
      for (let entry = start; entry < end; entry++) {
        const at = outer.columns[entry]!;
        const weight = outer.weights[entry]!;
        bias += weight * inner.bias[at]!;
        copyRow(builder, inner, at, weight);
      }
      builder.end(bias);
      continue;
    }
    sums.clear();
    for (let entry = start; entry < end; entry++) {
      const at = outer.columns[entry]!;
      const weight = outer.weights[entry]!;
      bias += weight * inner.bias[at]!;
      for (let i = inner.rowStart[at]!; i < inner.rowStart[at + 1]!; i++) {
        const column = inner.columns[i]!;
        sums.set(column, (sums.get(column) ?? 0) + weight * inner.weights[i]!);
      }
    }
    for (const [column, weight] of [...sums].sort(([a], [b]) => a - b)) {
      builder.entry(column, weight);
    }
    builder.end(bias);
  }
  return builder.rows();
}

/** Whether the inner rows, one after another, are in order without a repetition. */
function isAscending(
  outer: FloatRows,
  inner: FloatRows,
  range: { readonly start: number; readonly end: number },
): boolean {
  let last = -1;
  for (let entry = range.start; entry < range.end; entry++) {
    const at = outer.columns[entry]!;
    const from = inner.rowStart[at]!;
    const to = inner.rowStart[at + 1]!;
    if (from < to) {
      if (inner.columns[from]! <= last) {
        return false;
      }
      last = inner.columns[to - 1]!;
    }
  }
  return true;
}
