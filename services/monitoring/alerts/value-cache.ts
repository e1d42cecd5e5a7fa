// Keeps values of metrics in memory, so many numbers and no more.

import type { Clock } from "../../common/clock.ts";
import type { MetricValues } from "./metric-values.ts";

/** Some ten megabytes. */
const NUMBERS_MAX = 200_000;

interface Kept {
  readonly values: MetricValues;
  readonly keptMs: number;
}

/** Owns the values; those that were read least recently go first. */
export class ValueCache {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  #numbers = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is kept, if it is not older than that; else what `read` gives, which is then kept. */
  async get(key: string, ttlMs: number, read: () => Promise<MetricValues>): Promise<MetricValues> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#clock.monotonicMs() - kept.keptMs <= ttlMs) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept.values;
    }
    const values = await read();
    this.#drop(key);
    this.#kept.set(key, { values, keptMs: this.#clock.monotonicMs() });
    this.#numbers += values.size + 1;
    for (const oldest of this.#kept.keys()) {
      if (this.#numbers <= NUMBERS_MAX) {
        break;
      }
      this.#drop(oldest);
    }
    return values;
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#kept.delete(key);
      this.#numbers -= kept.values.size + 1;
    }
  }
}
