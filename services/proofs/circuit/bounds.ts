// How small and how large every value of an integer graph can become, exactly: from these bounds
// follows how many bits a decomposition needs, so they are part of what the proof rests on. They
// hold for whatever the inputs are within what the circuit itself enforces.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type {
  ActivateStep,
  IntegerGraph,
  LinearStep,
  MaxStep,
  TreesStep,
} from "../compiler/integer-graph.ts";
import { SAFE_BITS } from "../field.ts";

const EXACT_MAX = 2 ** 53;

/** What no value may reach in size. */
const SIZE_MAX = 1n << BigInt(SAFE_BITS);

/** Divisions by more than 2 to this are faults, not models. */
const SHIFT_BITS_MAX = 128;

/** From lo to hi, both included. */
export interface Interval {
  readonly lo: bigint;
  readonly hi: bigint;
}

/** Bits of a number that is not negative; 0 has none. */
export function bitLength(value: bigint): number {
  if (value < 0n) throw new RangeError(`${value} is negative`);
  return value === 0n ? 0 : value.toString(2).length;
}

/** The larger of the two ends in size. */
export function sizeOf({ lo, hi }: Interval): bigint {
  return largest([-lo, hi]);
}

/** The largest of at least one number. */
export function largest(values: readonly bigint[]): bigint {
  let most = values[0]!;
  for (const value of values) if (value > most) most = value;
  return most;
}

/**
 * The interval of every value of the graph, given those of the input values, in order.
 *
 * @throws InvalidArgument where a value could have more than SAFE_BITS bits: twice its size would
 *   come near the order of the field, in which numbers wrap.
 */
export function boundsOf(graph: IntegerGraph, inputs: readonly Interval[]): Interval[] {
  const bounds = new Bounds();
  let at = 0;
  for (const { name, shape } of graph.inputs) {
    const end = at + shape.reduce((total, size) => total * size, 1);
    for (; at < end; at += 1) bounds.add(inputs[at]!, name);
  }
  for (const step of graph.steps) {
    switch (step.kind) {
      case "linear":
        addLinear(bounds, step);
        break;
      case "activate":
        checkActivation(step);
        for (const value of step.values) {
          const { lo, hi } = bounds.at(value);
          bounds.add({ lo: activated(lo, step), hi: activated(hi, step) }, step.name);
        }
        break;
      case "max":
        addMax(bounds, step);
        break;
      case "trees":
        addTrees(bounds, step);
        break;
    }
  }
  return bounds.all;
}

/** What an activation gives for one value; it never falls where the value rises. */
export function activated(
  value: bigint,
  step: Pick<ActivateStep, "shiftBits" | "activation">,
): bigint {
  const half = step.shiftBits === 0 ? 0n : 1n << BigInt(step.shiftBits - 1);
  const y = (value + half) >> BigInt(step.shiftBits);
  const { activation } = step;
  switch (activation.kind) {
    case "none":
      return y;
    case "relu":
      return y > 0n ? y : 0n;
    case "leaky-relu":
      return y >= 0n ? y : y >> BigInt(activation.slopeBits);
    case "clip": {
      const least = BigInt(activation.lo);
      const most = BigInt(activation.hi);
      if (y < least) return least;
      return y > most ? most : y;
    }
  }
}

function checkActivation({ name, shiftBits, activation }: ActivateStep): void {
  const slopeBits = activation.kind === "leaky-relu" ? activation.slopeBits : 0;
  for (const bits of [shiftBits, slopeBits]) {
    if (Number.isInteger(bits) && bits >= 0 && bits <= SHIFT_BITS_MAX) continue;
    throw new RangeError(`${name} divides by 2^${bits}; it takes 0 to ${SHIFT_BITS_MAX} bits`);
  }
  if (activation.kind === "clip" && !(activation.lo <= activation.hi)) {
    throw new RangeError(`${name} clips from ${activation.lo} to ${activation.hi}`);
  }
}

/** The intervals so far, also in doubles: Infinity where a bound is no safe integer. */
class Bounds {
  readonly all: Interval[] = [];
  readonly lo: number[] = [];
  readonly hi: number[] = [];

  at(value: number): Interval {
    const interval = this.all[value];
    if (!interval) throw new RangeError(`there is no value ${value} before this step`);
    return interval;
  }

  add(interval: Interval, name: string): void {
    const size = sizeOf(interval);
    if (size >= SIZE_MAX) {
      throw new InvalidArgument(
        `values of ${name} can have ${bitLength(size)} bits; at most ${SAFE_BITS} are ` +
          "proved. Take a smaller weight scale, or rescale earlier",
        { reason: ErrorReason.UNSUPPORTED },
      );
    }
    this.all.push(interval);
    const safe = size < BigInt(EXACT_MAX);
    this.lo.push(safe ? Number(interval.lo) : Number.NEGATIVE_INFINITY);
    this.hi.push(safe ? Number(interval.hi) : Number.POSITIVE_INFINITY);
  }
}

function addLinear(bounds: Bounds, step: LinearStep): void {
  const { rowStart, columns, weights, bias } = step.rows;
  const before = bounds.all.length;
  for (let row = 0; row < bias.length; row += 1) {
    let lo = bias[row]!;
    let hi = lo;
    let size = Math.abs(lo);
    for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
      const weight = weights[at]!;
      const column = columns[at]!;
      if (!Number.isSafeInteger(weight)) throw new RangeError(`${step.name} has weight ${weight}`);
      if (column >= before) throw new RangeError(`${step.name} takes value ${column} before it is`);
      const low = weight * (weight > 0 ? bounds.lo[column]! : bounds.hi[column]!);
      const high = weight * (weight > 0 ? bounds.hi[column]! : bounds.lo[column]!);
      lo += low;
      hi += high;
      size += Math.max(Math.abs(low), Math.abs(high));
    }
    const exact = size < EXACT_MAX;
    const interval = exact ? { lo: BigInt(lo), hi: BigInt(hi) } : wideRow(bounds, step, row);
    bounds.add(interval, step.name);
  }
}

function wideRow(bounds: Bounds, step: LinearStep, row: number): Interval {
  const { rowStart, columns, weights, bias } = step.rows;
  let lo = BigInt(bias[row]!);
  let hi = lo;
  for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
    const weight = BigInt(weights[at]!);
    const of = bounds.at(columns[at]!);
    lo += weight * (weight > 0n ? of.lo : of.hi);
    hi += weight * (weight > 0n ? of.hi : of.lo);
  }
  return { lo, hi };
}

function addMax(bounds: Bounds, step: MaxStep): void {
  for (let group = 0; group + 1 < step.groupStart.length; group += 1) {
    const members = step.values.subarray(step.groupStart[group]!, step.groupStart[group + 1]!);
    if (members.length === 0) throw new RangeError(`${step.name} takes the largest of nothing`);
    const of = Array.from(members, (member) => bounds.at(member));
    const lo = largest(of.map((interval) => interval.lo));
    const hi = largest(of.map((interval) => interval.hi));
    bounds.add({ lo, hi }, step.name);
  }
}

function addTrees(bounds: Bounds, step: TreesStep): void {
  step.base.forEach((base, score) => {
    let lo = BigInt(base);
    let hi = lo;
    for (const { nodes } of step.trees) {
      const leaves = nodes.flatMap((node) => (node.kind === "leaf" ? [node.scores[score]!] : []));
      // Never by spreading: a tree may have more leaves than a call may have arguments.
      lo += BigInt(leaves.reduce((least, leaf) => Math.min(least, leaf), Number.POSITIVE_INFINITY));
      hi += BigInt(leaves.reduce((most, leaf) => Math.max(most, leaf), Number.NEGATIVE_INFINITY));
    }
    bounds.add({ lo, hi }, step.name);
  });
}
