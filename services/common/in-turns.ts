// Long work in short turns, so that whoever shares the thread waits for one turn at most: in a mesh
// of one process that is every prediction.

import { setImmediate as nextTurn } from "node:timers/promises";

/** A prediction of a small model takes less than this; one that waits for a turn twice as long. */
const TURN_MS = 2;

/** Runs the steps, letting others run about every 2 ms; rejects with the signal's reason. */
export async function inTurns<T>(steps: Generator<undefined, T>, signal?: AbortSignal): Promise<T> {
  let turnEnd = performance.now() + TURN_MS;
  for (;;) {
    const step = steps.next();
    if (step.done) {
      return step.value;
    }
    if (performance.now() >= turnEnd) {
      await nextTurn();
      signal?.throwIfAborted();
      turnEnd = performance.now() + TURN_MS;
    }
  }
}
