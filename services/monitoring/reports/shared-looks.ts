// What several callers look at within a short time is read once for all of them: a hundred
// dashboards cost the stores little more than one.

/** Looks that are kept; those that were taken first go first. */
const LOOKS_MAX = 1000;

interface Look {
  readonly takenMs: number;
  readonly value: Promise<unknown>;
}

/** Owns the looks that were taken last. */
export class SharedLooks {
  readonly #looks = new Map<string, Look>();

  /**
   * What a look under this key gives that began at most so long ago, or else what `read` gives, for
   * all who ask until then. A look that failed is not kept.
   */
  async get<T>(key: string, maxAgeMs: number, read: () => Promise<T>): Promise<T> {
    const nowMs = performance.now();
    const known = this.#looks.get(key);
    if (known !== undefined && nowMs - known.takenMs <= maxAgeMs) {
      return (await known.value) as T;
    }
    const value = read();
    const look = { takenMs: nowMs, value };
    this.#looks.delete(key);
    this.#looks.set(key, look);
    for (const oldest of this.#looks.keys()) {
      if (this.#looks.size <= LOOKS_MAX) {
        break;
      }
      this.#looks.delete(oldest);
    }
    try {
      return await value;
    } catch (error) {
      if (this.#looks.get(key) === look) {
        this.#looks.delete(key);
      }
      throw error;
    }
  }

  /** Forgets them all. */
  clear(): void {
    this.#looks.clear();
  }
}
