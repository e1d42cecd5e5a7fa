// How many different categories there were, estimated by HyperLogLog: per register the longest
// run of leading zeros of the hashes that fell into it. A register is a maximum, so merging in
// any order and any number of times gives the same ones. The estimator is O. Ertl's (2017,
// "improved raw"), which needs no table and no switch between ranges; its standard error is 1.04
// / sqrt(registers).

import type { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";

/** Of a categoryHash. */
const HASH_BITS = 53;

/** 2^precision registers. */
export type Registers = Uint8Array;

export function newRegisters(precision: number): Registers {
  return new Uint8Array(2 ** precision);
}

/** Adds a category by its hash. */
export function addHash(registers: Registers, hash: number): void {
  const size = registers.length;
  const register = (hash >>> 0) & (size - 1);
  const rest = (hash - register) / size;
  const bits = HASH_BITS - 31 + Math.clz32(size);
  const high = Math.floor(rest / 2 ** 32);
  const zeros = high > 0 ? Math.clz32(high) + bits - 64 : Math.clz32(rest) + bits - 32;
  registers[register] = Math.max(registers[register]!, zeros + 1);
}

export function mergeRegistersInto(target: Registers, from: Registers): void {
  from.forEach((value, register) => {
    target[register] = Math.max(target[register]!, value);
  });
}

/** The same categories in fewer registers. */
export function foldRegisters(registers: Registers, precision: number): Registers {
  const folded = newRegisters(precision);
  const dropped = Math.log2(registers.length) - precision;
  const rankMax = HASH_BITS - Math.log2(registers.length) + 1;
  registers.forEach((value, register) => {
    const low = Math.floor(register / folded.length);
    // Only where all leading bits were zero do the bits that named the register go on with the run.
    const more = value === rankMax ? Math.clz32(low) - 32 + dropped : 0;
    const place = register % folded.length;
    folded[place] = Math.max(folded[place]!, value === 0 ? 0 : value + more);
  });
  return folded;
}

export function estimateDistinct(registers: Registers): number {
  const size = registers.length;
  const bits = HASH_BITS - Math.log2(size);
  const histogram = new Float64Array(bits + 2);
  for (const value of registers) {
    histogram[value] = histogram[value]! + 1;
  }
  let z = size * tau(1 - histogram[bits + 1]! / size);
  for (let value = bits; value >= 1; value--) {
    z = 0.5 * (z + histogram[value]!);
  }
  z += size * sigma(histogram[0]! / size);
  return Math.round((size * size) / (2 * Math.LN2 * z));
}

/** Half a byte a register above the smallest, and those that do not fit it. */
export function writeRegisters(writer: SketchWriter, registers: Registers): void {
  const base = registers.reduce((least, value) => Math.min(least, value), HASH_BITS);
  writer.byte(base);
  const halves = new Uint8Array(registers.length / 2);
  const tall: number[] = [];
  registers.forEach((value, register) => {
    const half = Math.min(value - base, 15);
    halves[register >>> 1]! |= half << (4 * (register & 1));
    if (half === 15) {
      tall.push(value);
    }
  });
  writer.raw(halves);
  writer.raw(Uint8Array.from(tall));
}

/** @throws DataLoss */
export function readRegisters(reader: SketchReader, precision: number): Registers {
  const registers = newRegisters(precision);
  const valueMax = HASH_BITS - precision + 1;
  const base = reader.byte();
  const halves = reader.raw(registers.length / 2);
  for (let register = 0; register < registers.length; register++) {
    const half = (halves[register >>> 1]! >>> (4 * (register & 1))) & 15;
    const value = half === 15 ? reader.byte() : base + half;
    if (value > valueMax || value < base + half) {
      throw damaged(
        `a register of the distinct count is ${value}, at most ${valueMax} is possible`,
      );
    }
    registers[register] = value;
  }
  return registers;
}

function sigma(x: number): number {
  if (x === 1) {
    return Number.POSITIVE_INFINITY;
  }
  let power = x;
  let weight = 1;
  let total = x;
  for (let before = -1; before !== total; ) {
    power *= power;
    before = total;
    total += power * weight;
    weight *= 2;
  }
  return total;
}

function tau(x: number): number {
  if (x === 0 || x === 1) {
    return 0;
  }
  let root = x;
  let weight = 1;
  let total = 1 - x;
  for (let before = -1; before !== total; ) {
    root = Math.sqrt(root);
    before = total;
    weight *= 0.5;
    total -= (1 - root) ** 2 * weight;
  }
  return total / 3;
}
