// Waking the readers of a feed: something happened, or it is time to look again.

/** A wait that ends with the signal's next notification, the time, or the abort. */
export interface Wait {
  readonly promise: Promise<void>;
  /** Ends it now and frees its timer and listener. */
  cancel(): void;
}

/** Everyone who waits at the time of a notification is woken by it. */
export class Signal {
  readonly #waiting = new Set<() => void>();

  notify(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Starts to wait; a notification from now on counts, even before the promise is awaited. */
  wait(maxMs: number, abort: AbortSignal): Wait {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      clearTimeout(timer);
      abort.removeEventListener("abort", end);
      this.#waiting.delete(end);
      resolve();
    };
    const timer = setTimeout(end, maxMs);
    this.#waiting.add(end);
    abort.addEventListener("abort", end, { once: true });
    if (abort.aborted) end();
    return { promise, cancel: end };
  }
}

const shared = new Map<string, WeakRef<Signal>>();

/** One signal for everything in this process that names the same feed of the same database. */
export function sharedSignal(key: string): Signal {
  const existing = shared.get(key)?.deref();
  if (existing !== undefined) return existing;
  const signal = new Signal();
  shared.set(key, new WeakRef(signal));
  return signal;
}
