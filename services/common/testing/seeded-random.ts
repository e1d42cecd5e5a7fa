// Repeatable randomness for tests: one seed, one sequence.

/** A small generator (mulberry32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 up to 2^32 - 1. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 up to, not including, `bound`. */
  below(bound: number): number {
    return Math.floor((this.uint32() / 4294967296) * bound);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** An int64, small ones as likely as large ones. */
  int64(): bigint {
    const bits = BigInt.asIntN(64, (BigInt(this.uint32()) << 32n) | BigInt(this.uint32()));
    return bits >> BigInt(this.below(64));
  }

  /** Up to `max` characters, now and then beyond ASCII. */
  text(max: number): string {
    const alphabet = this.below(4) === 0 ? "aé漢😀" : "abcxyz_019";
    const characters = [...alphabet];
    return Array.from({ length: this.below(max) }, () => {
      return characters[this.below(characters.length)];
    }).join("");
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}
