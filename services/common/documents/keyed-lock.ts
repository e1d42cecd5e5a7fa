// One at a time for each key, in the order of asking.

const tails = new Map<string, Promise<unknown>>();

/** Runs a function once everything in this process that asked for the same key before has ended. */
export function withKey<R>(key: string, run: () => Promise<R>): Promise<R> {
  const turn = (tails.get(key) ?? Promise.resolve()).then(run);
  const tail = turn.catch(() => {});
  tails.set(key, tail);
  void tail.then(() => {
    if (tails.get(key) === tail) tails.delete(key);
  });
  return turn;
}
