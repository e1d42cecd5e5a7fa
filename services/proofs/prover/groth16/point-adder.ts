// Adds points in batches: takes additions one by one, does them together (curve-code.ts), and knows
// what to do where points are zero, the same, or cancel each other out.

import {
  ADDITION_BYTES,
  batchBytes,
  type Group,
  POINT_BYTES,
  STEP_ADDITIONS,
  ZERO_MARK,
} from "./curve-code.ts";
import type { CurveInstance } from "./curve-instance.ts";
import { PAIR_BYTES } from "./field-limbs.ts";

/** Steps of a batch: its inversion takes as long as 60 steps. */
const STEPS_MAX = 2048;

/** Additions that wait for their batch. What they give may be read after flush alone. */
export class PointAdder {
  readonly #instance: CurveInstance;
  readonly #group: Group;
  readonly #additionsMax: number;
  readonly #list: number;
  readonly #work: number;
  /** A vector, then two points with different x, then a place for their sum. */
  readonly #spare: number;
  /** Kept here, for they are used a million times a sum. */
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  #waiting = 0;
  #madeZeros = false;

  /** Takes memory of the instance, the last that is taken before the additions. */
  constructor(instance: CurveInstance, group: Group) {
    this.#instance = instance;
    this.#group = group;
    this.#additionsMax = STEPS_MAX * STEP_ADDITIONS[group];
    this.#list = instance.take(this.#additionsMax * ADDITION_BYTES);
    this.#work = instance.take(batchBytes(STEPS_MAX));
    this.#spare = instance.take(PAIR_BYTES + 3 * POINT_BYTES[group]);
    const first = (this.#spare + PAIR_BYTES) / 8;
    this.#words = instance.words;
    this.#doubles = instance.doubles;
    this.#doubles.fill(1, first, first + POINT_BYTES[group] / 8);
    this.#doubles.fill(0, first + POINT_BYTES[group] / 8, first + (3 * POINT_BYTES[group]) / 8);
  }

  /** Whether a sum was the zero point since this was asked last. */
  get madeZeros(): boolean {
    return this.#madeZeros;
  }

  /** Whether the point that is referred to is the zero point. */
  isZero(reference: number): boolean {
    return this.#doubles[reference >>> 3] === ZERO_MARK;
  }

  /** Makes it the zero point. */
  setZero(address: number): void {
    this.#doubles[address >>> 3] = ZERO_MARK;
  }

  /** Puts a point, or its negative, to an address. */
  copy(reference: number, address: number): void {
    if (reference === address) return;
    const doubles = this.#doubles;
    const from = (reference & -2) / 8;
    const to = address / 8;
    const length = POINT_BYTES[this.#group] / 8;
    doubles.copyWithin(to, from, from + length);
    if ((reference & 1) === 0) return;
    const [start, step] = this.#group === "g1" ? [1, 2] : [length / 2, 1];
    for (let i = to + start; i < to + length; i += step) doubles[i] = -doubles[i]!;
  }

  /** sum = first + second, none of which is the zero point. sum may be the place of an operand. */
  add(first: number, second: number, sum: number): void {
    this.#put(this.#waiting++, first, second, sum);
    if (this.#waiting === this.#additionsMax) this.flush();
  }

  /** Likewise of points that may be zero. */
  addAny(first: number, second: number, sum: number): void {
    if (this.isZero(second)) this.copy(first, sum);
    else if (this.isZero(first)) this.copy(second, sum);
    else this.add(first, second, sum);
  }

  /** Does all additions. */
  flush(): void {
    const count = this.#waiting;
    if (!this.#run("add", count)) this.#runApart(count);
    this.#waiting = 0;
  }

  /** Does the first additions of the list in a batch; false where it did nothing. */
  #run(kind: "add" | "double", additions: number): boolean {
    if (additions === 0) return true;
    const perStep = STEP_ADDITIONS[this.#group];
    const steps = Math.ceil(additions / perStep);
    const one = this.#spare + PAIR_BYTES;
    const size = POINT_BYTES[this.#group];
    for (let i = additions; i < steps * perStep; i++) this.#put(i, one, one + size, one + 2 * size);
    return this.#instance.functions.batches[this.#group][kind](this.#list, steps, this.#work) === 1;
  }

  /** Does additions of which some are of points with the same x. */
  #runApart(count: number): void {
    const from = this.#list >>> 2;
    const waiting = this.#words.slice(from, from + (ADDITION_BYTES / 4) * count);
    const doubles: number[] = [];
    let others = 0;
    for (let i = 0; i < waiting.length; i += 3) {
      const [first, second, sum] = [waiting[i]!, waiting[i + 1]!, waiting[i + 2]!];
      const likeness = this.#likeness(first, second);
      if (likeness === "different") this.#put(others++, first, second, sum);
      else if (likeness === "same") doubles.push(first, sum);
      else {
        this.setZero(sum);
        this.#madeZeros = true;
      }
    }
    this.#run("add", others);
    for (let i = 0; i < doubles.length; i += 2) {
      this.#put(i / 2, doubles[i]!, doubles[i]!, doubles[i + 1]!);
    }
    this.#run("double", doubles.length / 2);
  }

  #likeness(first: number, second: number): "different" | "same" | "opposite" {
    const { functions } = this.#instance;
    const [a, b] = [first & -2, second & -2];
    const sameSign = ((first ^ second) & 1) === 0;
    functions.coordinates.g1.subtract(this.#spare, a, b);
    const zeros = functions.zeros(this.#spare);
    let sameY = (zeros & 2) !== 0;
    if (this.#group === "g1") {
      if ((zeros & 1) === 0) return "different";
    } else {
      if (zeros !== 3) return "different";
      functions.coordinates.g1.subtract(this.#spare, a + PAIR_BYTES, b + PAIR_BYTES);
      sameY = functions.zeros(this.#spare) === 3;
    }
    return sameY === sameSign ? "same" : "opposite";
  }

  #put(index: number, first: number, second: number, sum: number): void {
    const at = (this.#list >>> 2) + 3 * index;
    this.#words[at] = first;
    this.#words[at + 1] = second;
    this.#words[at + 2] = sum;
  }
}
