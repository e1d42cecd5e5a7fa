// The curve BN254 as ffjavascript has it: built once in this process, with threads of its own, and
// shared with snarkjs, which takes the one that is there.

import { buildBn128, type Curve } from "ffjavascript";
import { addFixedBase } from "./fixed-base-code.ts";

let curve: Promise<Curve> | undefined;

/** The curve; the first call takes about 150 ms. */
export function theCurve(): Promise<Curve> {
  curve ??= buildBn128(false, addFixedBase);
  return curve;
}

/** Ends the threads, without which the process would not end by itself. */
export async function endThreads(): Promise<void> {
  const ending = curve;
  curve = undefined;
  await (await ending)?.terminate();
}
