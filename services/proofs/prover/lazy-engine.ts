// The folder engine/, which is the only home of snarkjs and ffjavascript: loaded with the first task
// that needs it, in some 200 ms. Groth16 proofs do not.

import os from "node:os";

let isLoaded = false;

/**
 * Sets how many threads it may have. Only before the first use: ffjavascript makes one for every
 * processor that the machine lists, which is not what this process may use of it.
 */
export function limitEngineThreads(threads: number): void {
  const listed = os.cpus();
  const one = listed[0];
  if (one) os.cpus = () => Array.from({ length: threads }, (_, i) => listed[i] ?? one);
}

/** Development keys. */
export function devSetupEngine(): Promise<typeof import("./engine/dev-setup.ts")> {
  isLoaded = true;
  return import("./engine/dev-setup.ts");
}

/** Ceremonies and powers of tau. */
export function ceremonyEngine(): Promise<typeof import("./engine/ceremony.ts")> {
  isLoaded = true;
  return import("./engine/ceremony.ts");
}

/** PLONK. */
export function plonkEngine(): Promise<typeof import("./engine/plonk.ts")> {
  isLoaded = true;
  return import("./engine/plonk.ts");
}

/** Ends its threads, without which the process would not end by itself. */
export async function endEngine(): Promise<void> {
  if (isLoaded) await (await import("./engine/curve.ts")).endThreads();
}
