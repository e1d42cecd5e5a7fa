// What compiling a model cost in accuracy: the figures that its owner decides by.

/** Kept with every circuit. Errors are in units of the output before `after`. */
export interface CalibrationReport {
  /** Rows of calibration data; 0: the figures are of made-up rows. */
  readonly samples: number;
  /** Rows that the figures are of. */
  readonly rows: number;
  /** Rows of the calibration data with a value that the inputs' encoding does not take. */
  readonly refusedRows: number;
  /** Where labels were given. */
  readonly metric?: CalibrationMetric;
  /**
   * How often float and circuit agree on the largest output; of one output with a sigmoid: on its
   * sign. Absent: one output that is no class.
   */
  readonly argmaxAgreement?: number;
  /** By output value, in order. */
  readonly outputs: readonly OutputError[];
  readonly layers: readonly LayerReport[];
  readonly weightBits: number;
  readonly activationBits: number;
}

export interface CalibrationMetric {
  readonly name: "accuracy" | "rmse";
  readonly float: number;
  readonly quantized: number;
}

/** How far the circuit's output is from the float model's. */
export interface OutputError {
  readonly max: number;
  readonly mean: number;
  readonly rms: number;
  readonly p99: number;
  /**
   * Proved: no input that the encoding holds exactly has a larger error, against the model in exact
   * arithmetic.
   */
  readonly bound: number;
}

/** One step of the integer graph. */
export interface LayerReport {
  readonly name: string;
  readonly kind: "linear" | "activate" | "max" | "trees";
  readonly values: number;
  /** Bits of the largest size that a value can have at all, without its sign. */
  readonly bitsMax: number;
  /** Bits of the largest size that was seen. */
  readonly bitsSeen: number;
  /** bitsMax - bitsSeen. */
  readonly headroomBits: number;
  /** Activations that give the same for every input. */
  readonly dead: number;
  /** Values that were the same in all rows. */
  readonly constant: number;
}

/** Sums up errors of one output value. */
export function outputError(errors: Float64Array, bound: number): OutputError {
  const count = Math.max(errors.length, 1);
  const sorted = errors.toSorted();
  const sum = errors.reduce((total, error) => total + error, 0);
  const squares = errors.reduce((total, error) => total + error * error, 0);
  return {
    max: sorted[sorted.length - 1] ?? 0,
    mean: sum / count,
    rms: Math.sqrt(squares / count),
    p99: sorted[Math.max(0, Math.ceil(0.99 * sorted.length) - 1)] ?? 0,
    bound,
  };
}
