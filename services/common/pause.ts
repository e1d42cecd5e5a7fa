// Waiting between attempts, which whoever stops does not sit out.

import { setTimeout as sleep } from "node:timers/promises";

/** Resolves after so many milliseconds, or when the signal aborts. Keeps no process from ending. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
