// The instructions of WebAssembly that the arithmetic of the prover uses, by type. Operands in the
// order of the specification.

import { access, type Code, instruction } from "./wasm-writer.ts";

type Unary = (value: Code) => Code;
type Binary = (left: Code, right: Code) => Code;
type Load = (address: Code, offset?: number) => Code;
type Store = (address: Code, value: Code, offset?: number) => Code;

/** Numbers of 32 bits: counters and addresses. */
export const i32 = {
  add: binary([0x6a]),
  sub: binary([0x6b]),
  mul: binary([0x6c]),
  and: binary([0x71]),
  or: binary([0x72]),
  shl: binary([0x74]),
  shrU: binary([0x76]),
  eqz: unary([0x45]),
  eq: binary([0x46]),
  ltU: binary([0x49]),
  geU: binary([0x4f]),
  load: load([0x28]),
} as const;

/** Numbers of 64 bits. */
export const i64 = {
  add: binary([0x7c]),
  sub: binary([0x7d]),
  and: binary([0x83]),
  or: binary([0x84]),
  shl: binary([0x86]),
  shrS: binary([0x87]),
  shrU: binary([0x88]),
  eqz: unary([0x50]),
  ltS: binary([0x53]),
  load: load([0x29]),
  store: store([0x37]),
  fromI32U: unary([0xad]),
  fromF64: unary([0xb0]),
} as const;

/** Doubles. */
export const f64 = {
  store: store([0x39]),
  fromI64U: unary([0xba]),
} as const;

/** Two doubles or two numbers of 64 bits side by side. */
export const v128 = {
  load: load(simd(0)),
  store: store(simd(11)),
  /** Both lanes from one place. */
  loadSplat: load(simd(10)),
  /** The first lane; the second is 0. */
  loadFirst: load(simd(93)),
  /** The second lane; the first is as in the vector. */
  loadSecond: (address: Code, vector: Code, offset = 0): Code =>
    access({ bytes: simd(87), offset, lane: 1 }, address, vector),
  storeFirst: (address: Code, vector: Code, offset = 0): Code =>
    access({ bytes: simd(91), offset, lane: 0 }, address, vector),
  storeSecond: (address: Code, vector: Code, offset = 0): Code =>
    access({ bytes: simd(91), offset, lane: 1 }, address, vector),
  and: binary(simd(78)),
  or: binary(simd(80)),
  xor: binary(simd(81)),
  /** Two lanes of the four of both vectors. */
  shuffle: (left: Code, right: Code, lanes: readonly [number, number]): Code =>
    instruction(
      [...simd(13), ...lanes.flatMap((lane) => Array.from({ length: 8 }, (_, i) => 8 * lane + i))],
      left,
      right,
    ),
  /** The same 64 bits in both lanes. */
  constant: (bits: bigint): Code => {
    const bytes = new DataView(new ArrayBuffer(16));
    bytes.setBigUint64(0, BigInt.asUintN(64, bits), true);
    bytes.setBigUint64(8, BigInt.asUintN(64, bits), true);
    return [...simd(12), ...new Uint8Array(bytes.buffer)];
  },
} as const;

/** Lanes as numbers of 64 bits. */
export const i64x2 = {
  /** One number in each lane. */
  pair: (first: Code, second: Code): Code =>
    instruction([...simd(30), 1], instruction(simd(18), first), second),
  add: binary(simd(206)),
  shrU: binary(simd(205)),
} as const;

/** Lanes as doubles. */
export const f64x2 = {
  add: binary(simd(240)),
  sub: binary(simd(241)),
  mul: binary(simd(242)),
  splat: unary(simd(20)),
  lane: (vector: Code, lane: number): Code => instruction([...simd(33), lane], vector),
  /** left * right + addend, rounded once where the machine can do that. */
  multiplyAdd: (left: Code, right: Code, addend: Code): Code =>
    instruction(simd(0x107), left, right, addend),
  /** addend - left * right, likewise. */
  multiplySubtract: (left: Code, right: Code, addend: Code): Code =>
    instruction(simd(0x108), left, right, addend),
} as const;

/** The bits of a double. */
export function bitsOf(value: number): bigint {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, value);
  return bytes.getBigUint64(0);
}

function simd(code: number): Code {
  return code < 0x80 ? [0xfd, code] : [0xfd, (code & 0x7f) | 0x80, code >> 7];
}

function unary(bytes: Code): Unary {
  return (value) => instruction(bytes, value);
}

function binary(bytes: Code): Binary {
  return (left, right) => instruction(bytes, left, right);
}

function load(bytes: Code): Load {
  return (address, offset = 0) => access({ bytes, offset }, address);
}

function store(bytes: Code): Store {
  return (address, value, offset = 0) => access({ bytes, offset }, address, value);
}
