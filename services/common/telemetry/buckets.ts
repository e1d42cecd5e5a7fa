// Histogram boundaries that the platform's metrics share, so that they can be laid over each other.

/**
 * Seconds, from a fast batch (100 us) to the patience of a caller (10 s), about 2.3 times a step.
 */
export const LATENCY_BOUNDARIES_S: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Rows of a batch, powers of two. */
export const ROWS_BOUNDARIES: readonly number[] = [
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
];
