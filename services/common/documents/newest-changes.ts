// What readers of a feed that may be slower than its changes are given: of each key the newest
// only, so that what waits for a reader is bounded by the number of keys, however often they change.

/** What a change leaves to be given. */
export interface PendingItem<T> {
  /** An item that still waits under the same key is overtaken: this one is given instead. */
  readonly key: string;
  readonly item: T;
  /** True: given when the one that it overtakes would have been. Absent: behind all that wait. */
  readonly keepsPlace?: boolean;
}

/**
 * The items of all changes in the order of their changes, without those that were overtaken. All
 * up to the one last given have been given or overtaken, but for those that keep a place. Ends when
 * the changes do and throws what they throw, both behind what waits; a reader that leaves has closed
 * the changes when it is gone.
 */
export async function* newestChanges<C, T>(source: {
  readonly open: (signal: AbortSignal) => AsyncIterable<C>;
  /** What a change is to its readers; nothing where it does not concern them. */
  readonly itemsOf: (change: C) => readonly PendingItem<T>[];
  readonly signal: AbortSignal;
}): AsyncGenerator<T> {
  const pending = new Map<string, T>();
  const left = new AbortController();
  const bell = newBell();
  let ending: { readonly error?: unknown } | undefined;
  const pump = (async () => {
    try {
      for await (const change of source.open(AbortSignal.any([source.signal, left.signal]))) {
        for (const { key, item, keepsPlace = false } of source.itemsOf(change)) {
          if (!keepsPlace) {
            pending.delete(key);
          }
          pending.set(key, item);
          bell.ring();
        }
      }
      ending = {};
    } catch (error) {
      ending = { error };
    }
    bell.ring();
  })();
  try {
    while (true) {
      const [next] = pending;
      if (next !== undefined) {
        pending.delete(next[0]);
        yield next[1];
      } else if (ending !== undefined) {
        if ("error" in ending) {
          throw ending.error;
        }
        return;
      } else {
        await bell.wait();
      }
    }
  } finally {
    left.abort();
    await pump;
  }
}

/** Wakes the one who waits; a ring that nobody waits for wakes the next one. */
function newBell(): { readonly ring: () => void; readonly wait: () => Promise<void> } {
  let { promise, resolve } = Promise.withResolvers<void>();
  return {
    ring: () => resolve(),
    wait: async () => {
      await promise;
      ({ promise, resolve } = Promise.withResolvers<void>());
    },
  };
}
