// What it means for an operator to be linear: the seam between the operators and the two who use
// them, the interpreter and the lowering.

import type { Shape } from "../tensor.ts";
import type { NodeContext, Operand } from "./node-context.ts";

/** The output of a node, by element. */
export interface LinearMap {
  readonly shape: Shape;
  /** Which input it is linear in. */
  readonly source: number;
  /** Tells the terms of one element (which element of the source, its weight); gives the bias. */
  readonly row: (output: number, term: (input: number, weight: number) => void) => number;
}

export type Inputs = readonly (Operand | undefined)[];
/** How an operator is linear. @throws NodeRefusal: it is not */
export type LinearMapper = (context: NodeContext, inputs: Inputs) => LinearMap;

/** One term an element. */
export function perElement(
  shape: Shape,
  weight: (element: number) => number,
  bias: (element: number) => number,
): LinearMap {
  return {
    shape,
    source: 0,
    row: (output, term) => {
      term(output, weight(output));
      return bias(output);
    },
  };
}
