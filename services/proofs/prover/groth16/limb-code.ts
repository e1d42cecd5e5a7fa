// Montgomery arithmetic on vectors of two elements, as WebAssembly code on locals.
//
// The product of two limbs, up to 2^102, is had exactly from two fused multiplications and
// additions (N. Emmart, "Faster modular exponentiation using double precision floating point
// arithmetic on the GPU", 2018): high = a b + 3 2^102 is rounded to a multiple of 2^51, so that its
// bits are those of the constant plus a b / 2^51, and low = a b - (high - 3 2^102) + 3 2^51 has the
// bits of 3 2^51 plus what is left, of either sign. Both are added up as whole numbers of 64 bits,
// column by column, and the bits of the constants are taken off where a column begins.
//
// Bounds: limbs of at most 2^50 (a few more are harmless) are called tidy. The limbs of two
// operands must multiply to at most 2^102: sums and differences of two tidy ones need no carries.

import { type FieldNumbers, LIMB_BITS, LIMBS } from "./field-limbs.ts";
import { bitsOf, f64x2, i64x2, v128 } from "./wasm-instructions.ts";
import { type Code, i32Constant, type Local, type WasmFunction } from "./wasm-writer.ts";

const HIGH = 3 * 2 ** 102;
const LOW = 3 * 2 ** 51;
const HALF_LIMB = 1n << BigInt(LIMB_BITS - 1);
const LIMB_MASK = (1n << BigInt(LIMB_BITS)) - 1n;
/** Keeps columns from being negative, for there is no signed shift; their sums are below 2^57. */
const COLUMN_BIAS = 1n << 10n;
/** In [2^52, 2^53) a double is its lowest bits plus 2^52. */
const DIGIT_EXPONENT = bitsOf(2 ** 52);

/** Rounds with the modulus itself: two, so that they add no more than p / 2 to the result. */
const EXACT_ROUNDS = 2;
/** Added and taken off again, rounds a double to a whole number. */
const ROUNDER = 3 * 2 ** 51;

/** The limbs of two elements side by side, each as code. */
export type Limbs = readonly Code[];

/** Products to add up, round by round: left times right counts 2^(51 column). */
export type Rounds = readonly (readonly {
  readonly column: number;
  readonly left: Code;
  readonly right: Code;
}[])[];

/** Locals of a function that multiplies; the same serve all products in it. */
export interface Workspace {
  readonly columns: readonly Local[];
  readonly high: Local;
  readonly digit: Local;
  /** A constant in both lanes. */
  readonly constant: (bits: bigint) => Code;
  /** Sets the constants: stands before all other code, and is asked for when that is made. */
  readonly begin: () => Code;
}

/**
 * Makes the locals. Constants are locals too: made in the place where it is used, a constant costs
 * three instructions, and the whole multiplication twice the time.
 */
export function workspace(made: WasmFunction): Workspace {
  const constants = new Map<bigint, Local>();
  return {
    columns: made.locals(2 * LIMBS, "v128"),
    high: made.local("v128"),
    digit: made.local("v128"),
    constant: (bits) => {
      const known = constants.get(bits) ?? made.local("v128");
      constants.set(bits, known);
      return known.get;
    },
    begin: () => [...constants].flatMap(([bits, known]) => known.set(v128.constant(bits))),
  };
}

/** The limbs of the pair at an address. */
export function pairLimbs(address: Code, offset = 0): Limbs {
  return Array.from({ length: LIMBS }, (_, i) => v128.load(address, offset + 16 * i));
}

/** The rounds of left times right. */
export function productRounds(left: Limbs, right: Limbs): Rounds {
  return left.map((a, i) => right.map((b, j) => ({ column: i + j, left: a, right: b })));
}

/** The rounds of the square of a tidy element: its limbs, and twice its limbs. */
export function squareRounds(limbs: Limbs, doubled: Limbs): Rounds {
  return limbs.map((a, i) =>
    limbs.slice(i).map((b, j) => ({
      column: 2 * i + j,
      left: a,
      right: j === 0 ? b : doubled[i + j]!,
    })),
  );
}

/** The rounds of a sum of products. */
export function sumRounds(...products: readonly Rounds[]): Rounds {
  return Array.from({ length: LIMBS }, (_, i) => products.flatMap((rounds) => rounds[i]!));
}

/**
 * The sum of products divided by 2^255, modulo the prime: tidy, and at most p / 2 + 0.378 |s| / p
 * for the sum s. It is given to store limb by limb after everything was read.
 */
export function multiply(
  field: FieldNumbers,
  { columns, high, digit, constant }: Workspace,
  rounds: Rounds,
  store: (limb: number, value: Code) => Code,
): Code {
  const doubles = (value: number) => constant(bitsOf(value));
  const starts = columnStarts(rounds);
  const begun = new Set<number>();
  const addTo = (column: number, value: Code): Code => {
    const sum = begun.has(column) ? columns[column]!.get : constant(starts[column]!);
    begun.add(column);
    return columns[column]!.set(i64x2.add(value, sum));
  };
  const addProduct = (column: number, left: Code, right: Code): Code => [
    ...high.set(f64x2.multiplyAdd(left, right, doubles(HIGH))),
    ...addTo(column + 1, high.get),
    ...addTo(column, lowOf(left, right)),
  ];
  const lowOf = (left: Code, right: Code) =>
    f64x2.multiplyAdd(left, right, f64x2.sub(doubles(HIGH + LOW), high.get));
  const digitOf = (bits: Code) =>
    f64x2.sub(v128.or(bits, constant(DIGIT_EXPONENT)), doubles(2 ** 52 + 2 ** (LIMB_BITS - 1)));
  const lowDigit = (column: number) => digitOf(v128.and(columns[column]!.get, constant(LIMB_MASK)));
  const carry = (column: number) =>
    addTo(column + 1, i64x2.shrU(columns[column]!.get, i32Constant(LIMB_BITS)));
  const fold = (i: number) => [
    ...carry(i),
    ...field.foldLimbs.flatMap((limb, j) => addProduct(i + 1 + j, digit.get, doubles(limb))),
  ];
  const foldExactly = (i: number) => {
    const inverse = doubles(field.negativeInverse);
    return [
      ...high.set(f64x2.multiplyAdd(digit.get, inverse, doubles(HIGH))),
      ...digit.set(f64x2.sub(lowOf(digit.get, inverse), doubles(LOW))),
      ...field.modulusLimbs.flatMap((limb, j) => addProduct(i + j, digit.get, doubles(limb))),
      ...carry(i),
    ];
  };

  const code: Code[] = rounds.map((products, i) => [
    ...products.flatMap(({ column, left, right }) => addProduct(column, left, right)),
    ...digit.set(lowDigit(i)),
    ...(i < LIMBS - EXACT_ROUNDS ? fold(i) : foldExactly(i)),
  ]);
  for (let i = 0; i < LIMBS - 1; i++) code.push(store(i, lowDigit(LIMBS + i)), carry(LIMBS + i));
  return [...code.flat(), ...store(LIMBS - 1, digitOf(columns[2 * LIMBS - 1]!.get))];
}

/**
 * A sum or difference of up to three tidy elements, at most 2.4 p either way, in locals: makes it
 * tidy and at most 0.51 p.
 */
export function reduce(
  field: FieldNumbers,
  { high, constant }: Workspace,
  limbs: readonly Local[],
): Code {
  const doubles = (value: number) => constant(bitsOf(value));
  const rounded = (value: Code, factor: number) =>
    f64x2.sub(f64x2.multiplyAdd(value, doubles(factor), doubles(ROUNDER)), doubles(ROUNDER));
  const top = limbs.at(-1)!;
  const topUnit = Number((1n << 320n) / field.modulus) / 2 ** (320 - LIMB_BITS * (LIMBS - 1));
  const code: Code[] = [high.set(rounded(top.get, topUnit))];
  limbs.forEach((limb, i) => {
    const multiple = doubles(field.modulusLimbs[i]!);
    code.push(limb.set(f64x2.multiplySubtract(high.get, multiple, limb.get)));
  });
  // From the top down, so that each limb gives its carry before it takes one.
  for (let i = LIMBS - 2; i >= 0; i--) {
    const [limb, next] = [limbs[i]!, limbs[i + 1]!];
    code.push(
      high.set(rounded(limb.get, 2 ** -LIMB_BITS)),
      limb.set(f64x2.multiplySubtract(high.get, doubles(2 ** LIMB_BITS), limb.get)),
      next.set(f64x2.add(next.get, high.get)),
    );
  }
  return code.flat();
}

/** What each column begins with, given what will be added to it. */
function columnStarts(rounds: Rounds): readonly bigint[] {
  const starts = Array.from({ length: 2 * LIMBS }, () => 0n);
  const count = (column: number) => {
    starts[column]! -= bitsOf(LOW);
    starts[column + 1]! -= bitsOf(HIGH);
  };
  rounds.forEach((products, i) => {
    for (const { column } of products) count(column);
    const reduced = i < LIMBS - EXACT_ROUNDS ? i + 1 : i;
    for (let j = 0; j < LIMBS; j++) count(reduced + j);
  });
  return starts.map((start, column) => {
    const carried = column === 0 ? 0n : COLUMN_BIAS;
    const bias = column === 2 * LIMBS - 1 ? 0n : COLUMN_BIAS << BigInt(LIMB_BITS);
    return BigInt.asUintN(64, start - carried + bias + HALF_LIMB);
  });
}
