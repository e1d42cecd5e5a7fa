// How far predicted numbers were from the right ones. Sums are of values in units of about the
// largest, so that their squares neither overflow nor vanish, and compensated (Neumaier 1974), so
// that a million small errors count beside a large one.

/** Of doubles that have all their digits. */
const EXPONENT_MIN = -1022;
const EXPONENT_MAX = 1023;

/** See plinth.monitoring.v1.RegressionMetrics; what cannot be computed is absent. */
export interface NumberMetrics {
  /** Rows that have a finite prediction and a label. */
  readonly rows: number;
  readonly mae?: number;
  readonly mse?: number;
  readonly rmse?: number;
  readonly r2?: number;
  readonly meanError?: number;
}

/**
 * Of the rows where both numbers are finite. `r2` is 1 - sum of squared errors / sum of squared
 * distances of the labels to their mean; absent where all labels are alike.
 */
export function numberMetrics(predicted: Float64Array, labels: Float64Array): NumberMetrics {
  const errors = new Float64Array(labels.length);
  const truths = new Float64Array(labels.length);
  let rows = 0;
  for (let row = 0; row < labels.length; row++) {
    if (Number.isFinite(predicted[row]) && Number.isFinite(labels[row])) {
      // Halves: the difference of two finite numbers may not be one.
      errors[rows] = predicted[row]! / 2 - labels[row]! / 2;
      truths[rows++] = labels[row]!;
    }
  }
  return rows === 0 ? { rows } : measured(errors.subarray(0, rows), truths.subarray(0, rows));
}

function measured(halfErrors: Float64Array, labels: Float64Array): NumberMetrics {
  const rows = labels.length;
  const unit = unitOf(largest(halfErrors));
  const squares = sumOf(rows, (row) => (halfErrors[row]! / unit) ** 2);
  const absolute = sumOf(rows, (row) => Math.abs(halfErrors[row]! / unit));
  const signed = sumOf(rows, (row) => halfErrors[row]! / unit);
  const rmse = 2 * unit * Math.sqrt(squares / rows);
  const r2 = varianceExplained(labels, { squares, unit });
  return {
    rows,
    ...finite("mae", 2 * unit * (absolute / rows)),
    ...finite("mse", rmse * rmse),
    ...finite("rmse", rmse),
    ...finite("meanError", 2 * unit * (signed / rows)),
    ...(r2 === undefined ? {} : finite("r2", r2)),
  };
}

/** Absent where a double cannot hold it. */
function finite(name: keyof NumberMetrics, value: number): Partial<NumberMetrics> {
  return Number.isFinite(value) ? { [name]: value } : {};
}

function varianceExplained(
  labels: Float64Array,
  errors: { readonly squares: number; readonly unit: number },
): number | undefined {
  const rows = labels.length;
  const labelUnit = unitOf(largest(labels));
  if (labels.every((label) => label === labels[0])) {
    return undefined;
  }
  const mean = sumOf(rows, (row) => labels[row]! / labelUnit) / rows;
  const spread = (row: number) => labels[row]! / labelUnit - mean;
  const widest = unitOf(largestOf(rows, spread));
  const squares = sumOf(rows, (row) => (spread(row) / widest) ** 2);
  // Errors are halves: (2 unit)^2 stands for their scale.
  const ratio = ((errors.unit / labelUnit) * 2) / widest;
  return 1 - ratio * ratio * (errors.squares / squares);
}

/** A power of two as large as the value, about, so that dividing by it rounds nothing. */
function unitOf(value: number): number {
  const exponent = value === 0 ? 0 : Math.ceil(Math.log2(value));
  return 2 ** Math.min(Math.max(exponent, EXPONENT_MIN), EXPONENT_MAX);
}

function largest(values: Float64Array): number {
  return largestOf(values.length, (row) => values[row]!);
}

function largestOf(rows: number, value: (row: number) => number): number {
  let most = 0;
  for (let row = 0; row < rows; row++) {
    most = Math.max(most, Math.abs(value(row)));
  }
  return most;
}

function sumOf(rows: number, value: (row: number) => number): number {
  let sum = 0;
  let rest = 0;
  for (let row = 0; row < rows; row++) {
    const next = value(row);
    const total = sum + next;
    rest += Math.abs(sum) >= Math.abs(next) ? sum - total + next : next - total + sum;
    sum = total;
  }
  return sum + rest;
}
