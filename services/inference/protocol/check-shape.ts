// Whether the shape of a request fits a signature, and how many elements it means. No product of
// dimensions from a request is trusted before it is known to be exact.

import type { TensorSpec } from "../tensor.ts";
import { showShape } from "./violations.ts";

/**
 * No tensor that fits in a message has a longer dimension, and onnxruntime counts in 32 bits in
 * places.
 */
const DIMENSION_MAX = 2 ** 31 - 1;

/** What is wrong with a shape, or undefined. */
export function shapeFault(shape: readonly number[], spec: TensorSpec): string | undefined {
  const wanted = spec.anyRank === true ? shape.map(() => -1) : spec.shape;
  const misfit = (why: string): string =>
    `shape ${showShape(shape)} does not fit ${showShape(wanted)}: ${why}`;
  if (shape.length !== wanted.length) {
    return misfit(`${wanted.length} dimensions are expected, ${shape.length} came`);
  }
  for (let i = 0; i < shape.length; i++) {
    const dimension = shape[i]!;
    if (dimension < 0) {
      return misfit(`dimension ${i} is ${dimension}; a request gives every dimension its size`);
    }
    if (wanted[i]! >= 0 && dimension !== wanted[i]) {
      return misfit(`dimension ${i} must be ${wanted[i]}`);
    }
    if (dimension > DIMENSION_MAX) {
      return misfit(`dimension ${i} is larger than ${DIMENSION_MAX}`);
    }
  }
  return undefined;
}

/** The product of the dimensions, 1 for a scalar; undefined where it is beyond 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  let exact = true;
  for (const dimension of shape) {
    if (dimension === 0) {
      return 0;
    }
    count *= dimension;
    exact &&= count <= Number.MAX_SAFE_INTEGER;
  }
  return exact ? count : undefined;
}
