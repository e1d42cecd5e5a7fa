// Who counts next: batches that came together are counted in turns of the thread of their own, so
// that a call that shares it, a prediction in a mesh of one process, waits for one of them at most.

import { setImmediate as nextTurn } from "node:timers/promises";

/** Owns the line of those who wait. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves in a turn that nobody else was given. */
  next(): Promise<void> {
    this.#last = this.#last.then(() => nextTurn());
    return this.#last;
  }
}
