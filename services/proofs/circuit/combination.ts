// Exact arithmetic of linear combinations while a circuit is built. Coefficients are numbers as
// long as they are safe integers, and bigints from there on: bigints everywhere would cost ten
// times the time, and nearly all coefficients are small.

import { fromField, toField } from "../field.ts";
import type { LinearCombination } from "./constraint-system.ts";

/** A coefficient: a safe integer as a number, anything larger as a bigint below p/2 in size. */
export type Coefficient = number | bigint;

/** One summand: so many times a combination. */
export type Term = readonly [times: Coefficient, of: LinearCombination];

/** The wire that is always 1. */
export const ONE_WIRE = 0;

/** Nothing: 0. */
export const ZERO: LinearCombination = { wires: [], coefficients: [] };

/** One wire. */
export function wireOf(wire: number): LinearCombination {
  return { wires: [wire], coefficients: [1] };
}

/** A constant. */
export function constantOf(value: Coefficient): LinearCombination {
  const coefficient = normal(value);
  return coefficient === 0 ? ZERO : { wires: [ONE_WIRE], coefficients: [coefficient] };
}

/** Sum of 2^i times wire i, for wires that follow one another. */
export function binarySum(first: number, count: number): LinearCombination {
  const wires: number[] = [];
  const coefficients: Coefficient[] = [];
  for (let bit = 0; bit < count; bit += 1) {
    wires.push(first + bit);
    coefficients.push(powerOfTwo(bit));
  }
  return { wires, coefficients };
}

/** The sum of the terms; like wires are put together. */
export function sum(...terms: readonly Term[]): LinearCombination {
  return sumOf(terms);
}

/** The same of a list, which may be long. */
export function sumOf(terms: readonly Term[]): LinearCombination {
  if (terms.length === 2) return merged(terms[0]!, terms[1]!);
  const wires: number[] = [];
  const coefficients: Coefficient[] = [];
  for (const [times, of] of terms) {
    if (times === 0) continue;
    for (let i = 0; i < of.wires.length; i += 1) {
      wires.push(of.wires[i]!);
      coefficients.push(times === 1 ? of.coefficients[i]! : product(times, of.coefficients[i]!));
    }
  }
  return gathered(wires, coefficients);
}

/** a - b. */
export function difference(a: LinearCombination, b: LinearCombination): LinearCombination {
  return sum([1, a], [-1, b]);
}

/** a + value; the rows of dense layers come through here, so the rest is copied as it is. */
export function shifted(a: LinearCombination, value: Coefficient): LinearCombination {
  if (value === 0) return a;
  const hasConstant = a.wires[0] === ONE_WIRE;
  const constant = hasConstant ? plus(a.coefficients[0]!, value) : value;
  const rest = hasConstant ? 1 : 0;
  const before: Coefficient[] = constant === 0 ? [] : [constant];
  return {
    wires: (constant === 0 ? [] : [ONE_WIRE]).concat(a.wires.slice(rest)),
    coefficients: before.concat(a.coefficients.slice(rest)),
  };
}

/** Whether both are the same, term by term. */
export function same(a: LinearCombination, b: LinearCombination): boolean {
  return (
    a.wires.length === b.wires.length &&
    a.wires.every((wire, i) => wire === b.wires[i] && a.coefficients[i] === b.coefficients[i])
  );
}

/** The value, where the combination is a constant. */
export function constantIn(a: LinearCombination): Coefficient | undefined {
  if (a.wires.length === 0) return 0;
  return a.wires.length === 1 && a.wires[0] === ONE_WIRE ? a.coefficients[0] : undefined;
}

/**
 * Brings unordered terms into the form that a combination must have: ascending, none twice, none 0.
 * The arrays are taken over. Terms that stand well already, as the rows of a dense layer do, cost
 * one comparison each.
 */
export function gathered(wires: number[], coefficients: Coefficient[]): LinearCombination {
  let orderly = true;
  for (let i = 0; i < wires.length && orderly; i += 1) {
    orderly = coefficients[i] !== 0 && (i === 0 || wires[i - 1]! < wires[i]!);
  }
  if (orderly) return { wires, coefficients };
  const order = wires.map((_, i) => i).sort((p, q) => wires[p]! - wires[q]!);
  const outWires: number[] = [];
  const outCoefficients: Coefficient[] = [];
  for (let at = 0; at < order.length; ) {
    const wire = wires[order[at]!]!;
    let total = coefficients[order[at]!]!;
    for (at += 1; at < order.length && wires[order[at]!] === wire; at += 1) {
      total = plus(total, coefficients[order[at]!]!);
    }
    if (total === 0) continue;
    outWires.push(wire);
    outCoefficients.push(total);
  }
  return { wires: outWires, coefficients: outCoefficients };
}

/** The sum of two, each of which is in order. */
function merged([timesA, a]: Term, [timesB, b]: Term): LinearCombination {
  const wires: number[] = [];
  const coefficients: Coefficient[] = [];
  let i = 0;
  let j = 0;
  while (i < a.wires.length || j < b.wires.length) {
    const wireA = i < a.wires.length ? a.wires[i]! : Number.POSITIVE_INFINITY;
    const wireB = j < b.wires.length ? b.wires[j]! : Number.POSITIVE_INFINITY;
    let total: Coefficient = 0;
    if (wireA <= wireB) total = product(timesA, a.coefficients[i++]!);
    if (wireB <= wireA) total = plus(total, product(timesB, b.coefficients[j++]!));
    if (total === 0) continue;
    wires.push(Math.min(wireA, wireB));
    coefficients.push(total);
  }
  return { wires, coefficients };
}

/** a times b, exactly; in the field where it is beyond the safe integers. */
export function product(a: Coefficient, b: Coefficient): Coefficient {
  if (typeof a === "number" && typeof b === "number") {
    const value = a * b;
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  }
  return normal(BigInt(a) * BigInt(b));
}

/** a plus b, exactly; in the field where it is beyond the safe integers. */
function plus(a: Coefficient, b: Coefficient): Coefficient {
  if (typeof a === "number" && typeof b === "number") {
    const value = a + b;
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  }
  return normal(BigInt(a) + BigInt(b));
}

/** 2^bits. */
export function powerOfTwo(bits: number): Coefficient {
  return bits < 53 ? 2 ** bits : 1n << BigInt(bits);
}

/** The form in which a coefficient is kept: nearest to 0, a number where it is safe. */
export function normal(value: Coefficient): Coefficient {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`);
    return value === 0 ? 0 : value;
  }
  const nearest = fromField(toField(value));
  const small = Number(nearest);
  return Number.isSafeInteger(small) ? small : nearest;
}
