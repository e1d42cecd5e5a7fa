// A caller who may leave: a stream has many requests under way and one signal. An EventTarget looks
// through all its listeners at each that is added or removed, so that all requests of a caller
// share one listener.

/** What waits for a caller. */
export interface Waiting {
  /** The caller has left. */
  callerLeft(): void;
}

/** All that waits for one caller. */
export class Caller {
  readonly #waiting = new Set<Waiting>();

  add(one: Waiting): void {
    this.#waiting.add(one);
  }

  delete(one: Waiting): void {
    this.#waiting.delete(one);
  }

  /** As a listener; an object saves a closure for each signal. */
  handleEvent(): void {
    for (const one of this.#waiting) {
      one.callerLeft();
    }
  }
}

const CALLER = Symbol("caller");

/**
 * The caller behind a signal. It is kept on the signal itself: an entry of a WeakMap costs a
 * microsecond, and the signal of a unary call has one request only.
 */
export function callerOf(signal: AbortSignal & { [CALLER]?: Caller }): Caller {
  let caller = signal[CALLER];
  if (caller === undefined) {
    caller = new Caller();
    signal[CALLER] = caller;
    signal.addEventListener("abort", caller);
  }
  return caller;
}
