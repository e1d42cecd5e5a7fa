// The Poseidon hash, in a circuit and outside of it, and the commitment to inputs that is made of
// it. Only the S-boxes cost constraints; all between them is linear, and a partial round, which has
// one S-box, is written straight in terms of the S-boxes before it.

import { FIELD_ORDER, fromField, toField } from "../field.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Coefficient, Term } from "./combination.ts";
import { constantIn, constantOf, normal, sumOf, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";
import type { PoseidonConstants } from "./poseidon-constants.ts";
import { FULL_ROUNDS, POSEIDON_INPUTS_MAX, poseidonConstants } from "./poseidon-constants.ts";

/** Poseidon of 1 to 16 elements. */
export function poseidon(inputs: readonly bigint[]): bigint {
  const { width, partialRounds, round, mix } = poseidonConstants(inputs.length);
  let state = [0n, ...inputs.map(toField)];
  for (let at = 0; at < FULL_ROUNDS + partialRounds; at += 1) {
    const isFull = at < FULL_ROUNDS / 2 || at >= FULL_ROUNDS / 2 + partialRounds;
    const boxed = state.map((value, i) => {
      const sum = value + round[at * width + i]!;
      return isFull || i === 0 ? fifthPower(sum) : sum;
    });
    state = mix.map((row) => dot(row, boxed));
  }
  return state[0]!;
}

/**
 * The commitment to packed inputs: chained hashes of up to 16 elements, the salt the first of the
 * first, each hash the first of the next.
 */
export function commitmentOf(salt: bigint, signals: readonly bigint[]): bigint {
  return chunksOf(signals).reduce((chain, chunk) => poseidon([chain, ...chunk]), salt);
}

/** The same in a circuit. */
export function commitWires(
  builder: CircuitBuilder,
  salt: number,
  signals: readonly number[],
): LinearCombination {
  const start = wireOf(salt);
  return chunksOf(signals).reduce(
    (chain, chunk) => hashCombinations(builder, [chain, ...chunk.map(wireOf)]),
    start,
  );
}

/** What each chained hash takes beside the one before; one hash at least, so that the salt hides. */
function chunksOf<T>(signals: readonly T[]): T[][] {
  const size = POSEIDON_INPUTS_MAX - 1;
  const chunks: T[][] = [];
  for (let at = 0; at === 0 || at < signals.length; at += size) {
    chunks.push(signals.slice(at, at + size));
  }
  return chunks;
}

function hashCombinations(
  builder: CircuitBuilder,
  inputs: readonly LinearCombination[],
): LinearCombination {
  const constants = poseidonConstants(inputs.length);
  const { width, partialRounds, round, mix } = constants;
  const half = FULL_ROUNDS / 2;
  const fullRound = (state: readonly LinearCombination[], at: number): LinearCombination[] =>
    state.map((value, i) =>
      fifthPowerWire(
        builder,
        sumOf([
          [1, value],
          [1, constantOf(nearest(round[at * width + i]!))],
        ]),
      ),
    );
  let boxed = fullRound([constantOf(0), ...inputs], 0);
  for (let at = 1; at < half; at += 1) boxed = fullRound(mixed(mix, boxed), at);
  let state = partialPart(builder, constants, boxed);
  for (let at = half + partialRounds; at < FULL_ROUNDS + partialRounds; at += 1) {
    boxed = fullRound(state, at);
    state = at + 1 < FULL_ROUNDS + partialRounds ? mixed(mix, boxed) : mixed([mix[0]!], boxed);
  }
  return state[0]!;
}

/** The state after the partial rounds, from the S-boxes of the last full round before them. */
function partialPart(
  builder: CircuitBuilder,
  constants: PoseidonConstants,
  before: readonly LinearCombination[],
): LinearCombination[] {
  const { first, after } = unrolled(constants);
  const boxes = [...before];
  for (const row of first) boxes.push(fifthPowerWire(builder, ofBoxes(row, boxes)));
  return after.map((row) => ofBoxes(row, boxes));
}

/** A linear function of S-boxes. */
interface BoxRow {
  readonly constant: bigint;
  /** For the S-boxes of the last full round, then those of the partial rounds. */
  readonly factors: readonly bigint[];
}

interface Unrolled {
  /** What enters the S-box of each partial round. */
  readonly first: readonly BoxRow[];
  /** The state after the last. */
  readonly after: readonly BoxRow[];
}

const unrolledByWidth = new Map<number, Unrolled>();

/**
 * An element of the state k rounds on is a row vector times the state: each round back multiplies
 * the vector by the mixing matrix, once its first entry, which belongs to the S-box of that round,
 * is taken out. So one chain of vectors serves all rounds.
 */
function unrolled(constants: PoseidonConstants): Unrolled {
  const { width, partialRounds, mix } = constants;
  let rows = unrolledByWidth.get(width);
  if (!rows) {
    const chain = vectorChain(mix, mix[0]!, partialRounds);
    const first = Array.from({ length: partialRounds }, (_, k) => {
      const row = boxRow(constants, chain, k);
      const own = constants.round[(FULL_ROUNDS / 2 + k) * width]!;
      return { ...row, constant: (row.constant + own) % FIELD_ORDER };
    });
    const after = mix.map((from) =>
      boxRow(constants, vectorChain(mix, from, partialRounds), partialRounds),
    );
    rows = { first, after };
    unrolledByWidth.set(width, rows);
  }
  return rows;
}

/** start, then each vector without its first entry times the matrix: `count` + 1 vectors. */
function vectorChain(
  mix: PoseidonConstants["mix"],
  start: readonly bigint[],
  count: number,
): (readonly bigint[])[] {
  const columns = mix.map((_, j) => mix.map((row) => row[j]!));
  const chain = [start];
  for (let i = 0; i < count; i += 1) {
    const [, ...rest] = chain[i]!;
    chain.push(columns.map((column) => dot(column.slice(1), rest)));
  }
  return chain;
}

/** The element before partial round k whose vector is the chain's first, as a row of S-boxes. */
function boxRow(
  constants: PoseidonConstants,
  chain: readonly (readonly bigint[])[],
  k: number,
): BoxRow {
  const { width, round } = constants;
  const factors = [...chain[k]!];
  let constant = 0n;
  for (let back = k; back >= 1; back -= 1) {
    const vector = chain[back - 1]!;
    const at = (FULL_ROUNDS / 2 + k - back) * width;
    for (let i = 1; i < width; i += 1) constant += vector[i]! * round[at + i]!;
    factors.push(vector[0]!);
  }
  return { constant: constant % FIELD_ORDER, factors };
}

function ofBoxes(row: BoxRow, boxes: readonly LinearCombination[]): LinearCombination {
  const terms: Term[] = row.factors.map((factor, i) => [nearest(factor), boxes[i]!]);
  return sumOf([...terms, [1, constantOf(nearest(row.constant))]]);
}

function mixed(
  mix: PoseidonConstants["mix"],
  boxed: readonly LinearCombination[],
): LinearCombination[] {
  return mix.map((row) => ofBoxes({ constant: 0n, factors: row }, boxed));
}

/** Wire of x^5, or the constant. */
function fifthPowerWire(builder: CircuitBuilder, x: LinearCombination): LinearCombination {
  const constant = constantIn(x);
  if (constant !== undefined) return constantOf(nearest(fifthPower(BigInt(constant))));
  const square = wireOf(builder.multiply(x, x));
  const fourth = wireOf(builder.multiply(square, square));
  return wireOf(builder.multiply(fourth, x));
}

function fifthPower(x: bigint): bigint {
  const square = (x * x) % FIELD_ORDER;
  return toField(((square * square) % FIELD_ORDER) * x);
}

function dot(a: readonly bigint[], b: readonly bigint[]): bigint {
  let total = 0n;
  for (let i = 0; i < a.length; i += 1) total += a[i]! * b[i]!;
  return total % FIELD_ORDER;
}

function nearest(element: bigint): Coefficient {
  return normal(fromField(element));
}
