// Many multiples of the generator of a group: a table of multiples for each window of bits of the
// scalar, then one addition a window. It is what makes a set-up of our own fast.

import type { Curve, Group, TaskStep } from "ffjavascript";
import { sumFunction, tableFunction } from "./fixed-base-code.ts";

/** Bits of a scalar. */
const SCALAR_BITS = 254;
const SCALAR_BYTES = 32;
const DIGIT_BYTES = 2;

/** Tables of more than 13 bits a window no longer fit into the caches of a processor. */
const WINDOW_BITS_MIN = 6;
const WINDOW_BITS_MAX = 13;

/** Points of one task of a thread: some tens of milliseconds, a few MB. */
const TASK_POINTS = 8_192;

/** Multiples of a generator, made by the curve's threads. */
export class FixedBase {
  readonly #curve: Curve;
  readonly #prefix: "g1m" | "g2m";
  readonly #coordinateBytes: number;
  readonly #windowBits: number;
  readonly #windows: number;
  readonly #table: Uint8Array;

  private constructor(
    curve: Curve,
    options: {
      readonly prefix: "g1m" | "g2m";
      readonly coordinateBytes: number;
      readonly windowBits: number;
      readonly windows: number;
      readonly table: Uint8Array;
    },
  ) {
    this.#curve = curve;
    this.#prefix = options.prefix;
    this.#coordinateBytes = options.coordinateBytes;
    this.#windowBits = options.windowBits;
    this.#windows = options.windows;
    this.#table = options.table;
  }

  /** Makes the table; `expected` is how many multiples will be asked for, about. */
  static async of(curve: Curve, group: "G1" | "G2", expected: number): Promise<FixedBase> {
    const { windowBits, windows } = windowsFor(expected);
    const prefix = group === "G1" ? "g1m" : "g2m";
    const coordinateBytes = curve[group].F.n8;
    const bases = Array.from({ length: windows }, (_, window) =>
      multipleOfGenerator(curve[group], 1n << BigInt(window * windowBits)),
    );
    const parts = await Promise.all(
      bases.map((base) =>
        curve.tm.queueAction(tableTask(base, { prefix, coordinateBytes, windowBits })),
      ),
    );
    const table = concatenate(parts.map(([part]) => part!));
    return new FixedBase(curve, { prefix, coordinateBytes, windowBits, windows, table });
  }

  /**
   * The multiples, affine and in Montgomery form, one after the other; all zeros stands for the
   * point at infinity.
   *
   * @param scalars 32 bytes each, lowest first, below the order of the group.
   */
  async multiply(scalars: Uint8Array): Promise<Uint8Array> {
    const count = scalars.length / SCALAR_BYTES;
    const threads = this.#curve.tm.concurrency;
    const size = Math.max(1, Math.min(TASK_POINTS, Math.ceil(count / threads)));
    const parts: Promise<readonly Uint8Array[]>[] = [];
    for (let from = 0; from < count; from += size) {
      const to = Math.min(count, from + size);
      const some = scalars.subarray(SCALAR_BYTES * from, SCALAR_BYTES * to);
      parts.push(this.#curve.tm.queueAction(this.#task(some)));
    }
    return concatenate((await Promise.all(parts)).map(([part]) => part!));
  }

  #task(scalars: Uint8Array): TaskStep[] {
    const count = scalars.length / SCALAR_BYTES;
    const affine = 2 * this.#coordinateBytes;
    const digits = digitsOf(scalars, this.#windowBits, this.#windows);
    const windowBytes = affine * 2 ** this.#windowBits;
    return [
      { cmd: "ALLOCSET", var: 0, buff: this.#table },
      { cmd: "ALLOCSET", var: 1, buff: digits },
      // Last and largest: ffjavascript leaves as much room behind it, which batchToAffine needs.
      { cmd: "ALLOC", var: 2, len: 3 * this.#coordinateBytes * count },
      {
        cmd: "CALL",
        fnName: sumFunction(this.#prefix),
        params: [
          { var: 0 },
          { val: windowBytes },
          { var: 1 },
          { val: this.#windows },
          { val: count },
          { var: 2 },
        ],
      },
      toAffine(this.#prefix, 2, count),
      { cmd: "GET", out: 0, var: 2, len: affine * count },
    ];
  }
}

/** Few multiples need no large table: the cheapest sum of both in additions. */
function windowsFor(expected: number): { readonly windowBits: number; readonly windows: number } {
  const cost = (bits: number): number => Math.ceil(SCALAR_BITS / bits) * (expected + 2 ** bits);
  let windowBits = WINDOW_BITS_MIN;
  for (let bits = WINDOW_BITS_MIN; bits <= WINDOW_BITS_MAX; bits += 1) {
    if (cost(bits) < cost(windowBits)) windowBits = bits;
  }
  return { windowBits, windows: Math.ceil(SCALAR_BITS / windowBits) };
}

function tableTask(
  base: Uint8Array,
  options: {
    readonly prefix: "g1m" | "g2m";
    readonly coordinateBytes: number;
    readonly windowBits: number;
  },
): TaskStep[] {
  const count = 2 ** options.windowBits;
  return [
    { cmd: "ALLOCSET", var: 0, buff: base },
    { cmd: "ALLOC", var: 1, len: 3 * options.coordinateBytes * count },
    {
      cmd: "CALL",
      fnName: tableFunction(options.prefix),
      params: [{ var: 0 }, { val: count }, { var: 1 }],
    },
    toAffine(options.prefix, 1, count),
    { cmd: "GET", out: 0, var: 1, len: 2 * options.coordinateBytes * count },
  ];
}

function toAffine(prefix: string, place: number, count: number): TaskStep {
  const params = [{ var: place }, { val: count }, { var: place }];
  return { cmd: "CALL", fnName: `${prefix}_batchToAffine`, params };
}

function multipleOfGenerator(group: Group, scalar: bigint): Uint8Array {
  return group.toAffine(group.timesScalar(group.g, scalar));
}

/** The digits of each scalar in base 2^bits, the lowest first, 16 bits each. */
function digitsOf(scalars: Uint8Array, bits: number, windows: number): Uint8Array {
  const count = scalars.length / SCALAR_BYTES;
  const digits = new Uint8Array(DIGIT_BYTES * windows * count);
  const mask = 2 ** bits - 1;
  let out = 0;
  for (let i = 0; i < count; i += 1) {
    const end = SCALAR_BYTES * (i + 1);
    let at = SCALAR_BYTES * i;
    let held = 0;
    let heldBits = 0;
    for (let window = 0; window < windows; window += 1) {
      for (; heldBits < bits && at < end; at += 1, heldBits += 8) held |= scalars[at]! << heldBits;
      const digit = held & mask;
      held >>>= bits;
      heldBits -= bits;
      digits[out++] = digit & 0xff;
      digits[out++] = digit >>> 8;
    }
  }
  return digits;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
