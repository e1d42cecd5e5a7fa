// Rows for the tests of measures: drawn with the generator that the golden numbers were drawn with,
// x = (1664525 x + 1013904223) mod 2^32.

import { type ClassRows, NO_CLASS } from "./class-rows.ts";

/** `count` numbers from 0 up to 1. */
export function lcg(seed: number, count: number): number[] {
  let x = seed;
  return Array.from({ length: count }, () => {
    x = (1664525 * x + 1013904223) % 2 ** 32;
    return x / 2 ** 32;
  });
}

/** Two classes, the second positive; scores of the positive one, labels by class or undefined. */
export function binaryRows(
  scores: readonly number[],
  labels: readonly (number | undefined)[],
  threshold = 0.5,
): ClassRows {
  const both = Float32Array.from(scores.flatMap((score) => [1 - score, score]));
  for (const [row, score] of scores.entries()) {
    both[2 * row + 1] = score;
  }
  return {
    rows: scores.length,
    predicted: Uint16Array.from(scores, (score) => (Math.fround(score) >= threshold ? 1 : 0)),
    labels: Uint16Array.from(labels, (label) => label ?? NO_CLASS),
    classes: 2,
    positive: 1,
    scored: 2,
    scores: both,
  };
}

/** Any number of classes; `scores` a row of each. */
export function classRows(
  scores: readonly (readonly number[])[],
  labels: readonly (number | undefined)[],
): ClassRows {
  const classes = scores[0]?.length ?? 0;
  const flat = Float32Array.from(scores.flat());
  const best = (row: number) => {
    const own = flat.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own));
  };
  return {
    rows: scores.length,
    predicted: Uint16Array.from(scores, (_, row) => best(row)),
    labels: Uint16Array.from(labels, (label) => label ?? NO_CLASS),
    classes,
    positive: undefined,
    scored: classes,
    scores: flat,
  };
}
