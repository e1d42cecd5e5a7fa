// The parts that a canonical integer graph is made of, each with its bounds.

import { invalidModel } from "./unsupported.ts";

export type JsonMembers = Readonly<Record<string, unknown>>;

const TEXT_CHARACTERS_MAX = 4096;
/** Of one list; as typed arrays they are some hundred megabytes. */
const ENTRIES_MAX = 2 ** 26;

/** Reads values, and counts those of the graph that there are so far. */
export class CanonicalReading {
  #values = 0;

  /** How many values inputs and steps gave so far: what a step may take. */
  get values(): number {
    return this.#values;
  }

  /** Counts values that an input or step gives. */
  addValues(name: string, count: number, max: number): void {
    this.#values += count;
    if (!(this.#values <= max)) throw this.broken(name, `of at most ${max} values together`);
  }

  /** What is wrong with a model. */
  broken(name: string, expected: string): Error {
    return invalidModel(`${name} of the canonical model is not what was expected: ${expected}`);
  }

  members(name: string, source: unknown): JsonMembers {
    if (typeof source === "object" && source !== null && !Array.isArray(source)) {
      return source as JsonMembers;
    }
    throw this.broken(name, "an object");
  }

  list(name: string, source: unknown, max: number): readonly unknown[] {
    if (Array.isArray(source) && source.length <= max) return source;
    throw this.broken(name, `a list of at most ${max}`);
  }

  text(name: string, source: unknown): string {
    if (typeof source === "string" && source.length <= TEXT_CHARACTERS_MAX) return source;
    throw this.broken(name, `a text of at most ${TEXT_CHARACTERS_MAX} characters`);
  }

  whole(name: string, source: unknown, lo: number, hi: number): number {
    if (Number.isSafeInteger(source) && (source as number) >= lo && (source as number) <= hi) {
      return source as number;
    }
    throw this.broken(name, `a whole number from ${lo} to ${hi}`);
  }

  safe(name: string, source: unknown): number {
    return this.whole(name, source, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }

  safes(name: string, source: unknown, max: number): Float64Array {
    const list = this.list(name, source, Math.min(max, ENTRIES_MAX));
    const values = new Float64Array(list.length);
    for (let i = 0; i < values.length; i++) values[i] = this.safe(name, list[i]);
    return values;
  }

  /** Numbers of values before this one, or of whatever there are `count` of. */
  indexes(name: string, source: unknown, count: number): Int32Array {
    const list = this.list(name, source, ENTRIES_MAX);
    const values = new Int32Array(list.length);
    for (let i = 0; i < values.length; i++) values[i] = this.whole(name, list[i], 0, count - 1);
    return values;
  }

  /** From 0 to `end`, never falling. */
  starts(name: string, source: unknown, end: number): Int32Array {
    const list = this.list(name, source, ENTRIES_MAX);
    const values = new Int32Array(list.length);
    for (let i = 0; i < values.length; i++) {
      values[i] = this.whole(name, list[i], i === 0 ? 0 : values[i - 1]!, i === 0 ? 0 : end);
    }
    if (values.length === 0 || values.at(-1) !== end) {
      throw this.broken(name, `from 0 to ${end}`);
    }
    return values;
  }
}
