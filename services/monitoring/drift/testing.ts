// For the tests of the measures: the reference inputs, which any language can make again, and a
// comparison by relative error.

import { expect } from "vitest";
import { histogramOf, type NumericHistogram, type NumericSample } from "./distribution.ts";

/** x = (1664525 x + 1013904223) mod 2^32 from a seed; values are x / 2^32. */
export function lcg(seed: number, length: number): Float64Array {
  let x = seed;
  return Float64Array.from({ length }, () => {
    x = (1664525 * x + 1013904223) % 2 ** 32;
    return x / 2 ** 32;
  });
}

/** Fails unless actual is within `relative` of expected; 0 and Infinity must be met exactly. */
export function expectClose(actual: number, expected: number, relative: number, what = ""): void {
  const error = actual === expected ? 0 : Math.abs(actual - expected) / Math.abs(expected);
  expect(error, `${what} is ${actual}, expected ${expected}`).toBeLessThanOrEqual(relative);
}

/** The histogram of a sample in so many equal bins from `from` to `to`. */
export function equalBins(
  sample: NumericSample,
  { bins, from = 0, to = 1 }: { bins: number; from?: number; to?: number },
): NumericHistogram {
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => from + ((to - from) * i) / bins);
  return histogramOf(sample, edges);
}
