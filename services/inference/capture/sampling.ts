// Whether an inference is captured. It is chosen by its id, so that a shadow's copy, and what
// another replica captures of it, is chosen with it.

import { textHash } from "../engine/routing.ts";

/** Another seed than routing has, so that the versions' shares of what is captured are those of the traffic. */
const SEED = 0x9e3779b9;

/** In [0, 1), the same for equal ids everywhere. */
export function drawOf(id: string): number {
  return textHash(id, SEED) / 0x1_0000_0000;
}
