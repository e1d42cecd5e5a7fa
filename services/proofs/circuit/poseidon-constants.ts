// The constants of the Poseidon hash over BN254's scalar field (x^5, 8 full rounds), derived as its
// authors prescribe from a Grain LFSR that is seeded with the parameters themselves: nothing up
// anyone's sleeve, and no table of thousands of numbers to trust. The hash is the one that circomlib
// and others call poseidon, so a commitment can be computed with any of them.
// Source: Grassi et al., "Poseidon: A New Hash Function for Zero-Knowledge Proof Systems", appendix F.

import { FIELD_ORDER } from "../field.ts";

/** Rounds in which all elements pass the S-box, half of them at either end. */
export const FULL_ROUNDS = 8;

/** Rounds in which only the first element does, for 1, 2, ... 16 inputs. */
const PARTIAL_ROUNDS = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68] as const;

/** Most elements that one hash takes. */
export const POSEIDON_INPUTS_MAX = PARTIAL_ROUNDS.length;

const FIELD_BITS = 254;
const STATE_BITS = 80;
const TAPS = [62, 51, 38, 23, 13, 0] as const;

export interface PoseidonConstants {
  /** Elements of the state: inputs + 1. */
  readonly width: number;
  readonly partialRounds: number;
  /** Added before each round: `width` of them a round. */
  readonly round: readonly bigint[];
  /** New element i is the sum of mix[i][j] times element j. */
  readonly mix: readonly (readonly bigint[])[];
}

const byWidth = new Map<number, PoseidonConstants>();

/** The constants for so many inputs; computed once in a process. */
export function poseidonConstants(inputs: number): PoseidonConstants {
  const partialRounds = PARTIAL_ROUNDS[inputs - 1];
  if (partialRounds === undefined) {
    throw new RangeError(`Poseidon takes 1 to ${POSEIDON_INPUTS_MAX} inputs, not ${inputs}`);
  }
  const width = inputs + 1;
  let constants = byWidth.get(width);
  if (!constants) {
    constants = derive(width, partialRounds);
    byWidth.set(width, constants);
  }
  return constants;
}

function derive(width: number, partialRounds: number): PoseidonConstants {
  const grain = new Grain([
    [1, 2],
    [0, 4],
    [FIELD_BITS, 12],
    [width, 12],
    [FULL_ROUNDS, 10],
    [partialRounds, 10],
    [2 ** 30 - 1, 30],
  ]);
  const round = Array.from({ length: (FULL_ROUNDS + partialRounds) * width }, () => {
    for (;;) {
      const value = grain.number(FIELD_BITS);
      if (value < FIELD_ORDER) return value;
    }
  });
  return { width, partialRounds, round, mix: cauchyMatrix(grain, width) };
}

/** 1 / (x_i + y_j): every square part of it can be inverted. */
function cauchyMatrix(grain: Grain, width: number): bigint[][] {
  for (;;) {
    const drawn = Array.from({ length: 2 * width }, () => grain.number(FIELD_BITS) % FIELD_ORDER);
    if (new Set(drawn).size < drawn.length) continue;
    const xs = drawn.slice(0, width);
    const ys = drawn.slice(width);
    if (xs.some((x) => ys.some((y) => (x + y) % FIELD_ORDER === 0n))) continue;
    return xs.map((x) => ys.map((y) => inverse((x + y) % FIELD_ORDER)));
  }
}

/** A bit generator of 80 bits in self-shrinking mode. */
class Grain {
  readonly #state = new Uint8Array(STATE_BITS);
  #at = 0;

  constructor(seed: readonly (readonly [value: number, bits: number])[]) {
    let at = 0;
    for (const [value, bits] of seed) {
      for (let bit = bits - 1; bit >= 0; bit -= 1) this.#state[at++] = (value >>> bit) & 1;
    }
    for (let i = 0; i < 2 * STATE_BITS; i += 1) this.#step();
  }

  /** A number of so many bits, the highest first. */
  number(bits: number): bigint {
    let text = "0b";
    for (let i = 0; i < bits; i += 1) text += this.#bit();
    return BigInt(text);
  }

  /** Of each two bits the second counts, where the first is 1. */
  #bit(): number {
    for (;;) {
      const isTaken = this.#step() === 1;
      const bit = this.#step();
      if (isTaken) return bit;
    }
  }

  #step(): number {
    const state = this.#state;
    const at = this.#at;
    let bit = 0;
    for (const tap of TAPS) bit ^= state[(at + tap) % STATE_BITS]!;
    state[at] = bit;
    this.#at = (at + 1) % STATE_BITS;
    return bit;
  }
}

function inverse(value: bigint): bigint {
  let [a, b] = [value, FIELD_ORDER];
  let [x, y] = [1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b] = [b, a - quotient * b];
    [x, y] = [y, x - quotient * y];
  }
  return x < 0n ? x + FIELD_ORDER : x;
}
