// How much may be under way at once: so much in all, and so much for each key.

export interface SlotLimits {
  readonly total: number;
  readonly perKey: number;
}

/** Counts what is under way. */
export class Slots {
  readonly #limits: SlotLimits;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Whether nothing more fits, whatever its key. */
  get isFull(): boolean {
    return this.#total >= this.#limits.total;
  }

  /** Takes a slot; false where there is none. */
  take(key: string): boolean {
    const taken = this.#taken.get(key) ?? 0;
    if (this.isFull || taken >= this.#limits.perKey) {
      return false;
    }
    this.#taken.set(key, taken + 1);
    this.#total += 1;
    return true;
  }

  /** Gives a slot back that was taken. */
  release(key: string): void {
    const left = (this.#taken.get(key) ?? 0) - 1;
    this.#total -= 1;
    if (left > 0) {
      this.#taken.set(key, left);
    } else {
      this.#taken.delete(key);
    }
  }
}
