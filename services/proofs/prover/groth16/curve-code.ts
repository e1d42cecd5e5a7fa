// Batches of additions of affine points of BN254, in WebAssembly. An addition of affine points
// needs one division, 2 multiplications and a square; divisions of a batch share one inversion, for
// 3 multiplications each (Montgomery's trick). The curve is y^2 = x^3 + b, of which b does not
// matter.
//
// Points. Of the first group: the pair of x and y (field-code.ts), POINT_BYTES.g1 (80). Of the
// second: the pair of x and the pair of y, each of their real and imaginary part, POINT_BYTES.g2
// (160). They start at multiples of 16. The zero point has the double ZERO_MARK first and the rest
// is anything; it is no operand of the functions here. Coordinates are tidy and below 0.7 p.
//
// A reference is the address of a point, plus 1 for its negative. A step is what one turn of the
// loops does: two additions of the first group, side by side in vectors, or one of the second.
// Steps are read from a list of (reference, reference, address of the sum), 32 bits each. Sums may
// be in the place of an operand; none may be in that of an operand of another step.

import type { FieldFunctions } from "./field-code.ts";
import { LIMBS, PAIR_BYTES } from "./field-limbs.ts";
import { type Limbs, pairLimbs, reduce, workspace } from "./limb-code.ts";
import type { CoordinateFunctions } from "./quadratic-field-code.ts";
import { f64x2, i32, i64, i64x2, v128 } from "./wasm-instructions.ts";
import {
  type Code,
  countUp,
  end,
  i32Constant,
  i64Constant,
  type Local,
  type WasmFunction,
  type WasmModule,
  when,
} from "./wasm-writer.ts";

/** The two groups: points with coordinates in Fp, and in its quadratic extension. */
export type Group = "g1" | "g2";

/** Bytes of a point as the code holds it. */
export const POINT_BYTES = { g1: PAIR_BYTES, g2: 2 * PAIR_BYTES } as const;

/** Additions that a step does. */
export const STEP_ADDITIONS = { g1: 2, g2: 1 } as const;

/** The first double of the zero point; limbs are much smaller. */
export const ZERO_MARK = 2 ** 60;

/** Bytes of an addition in a list. */
export const ADDITION_BYTES = 12;

/** Bytes of working memory that a batch of so many steps takes. */
export function batchBytes(steps: number): number {
  return TEMPORARIES * PAIR_BYTES + PAIR_BYTES * (2 * steps + 1);
}

/** The exported functions of a group; both give 0 without a change where a division is by 0. */
export interface BatchFunctions {
  /** Sums of points; none may have the same x. */
  add(list: number, steps: number, work: number): number;
  /** Doubles of the first operands, which must not have y = 0. The second are not looked at. */
  double(list: number, steps: number, work: number): number;
}

/** Vectors at the beginning of the working memory. */
const Temporary = { running: 0, inverse: 1, slope: 2, square: 3, x: 4, y: 5 } as const;
const TEMPORARIES = 6;

/** What code of a group is made of. */
interface CurveParts {
  readonly group: Group;
  readonly field: FieldFunctions;
  readonly coordinates: CoordinateFunctions;
}

/** Adds `${group}_add` and `${group}_double`. */
export function addBatches(module: WasmModule, parts: CurveParts): void {
  addBatch(module, parts, "add");
  addBatch(module, parts, "double");
}

function addBatch(module: WasmModule, parts: CurveParts, kind: "add" | "double"): void {
  const { group, field, coordinates } = parts;
  const made = module.addFunction(`${group}_${kind}`, ["i32", "i32", "i32"], { results: ["i32"] });
  const [list, steps, scratch] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const [i, prefix, divisor] = made.locals(3, "i32") as [Local, Local, Local];
  const limbs = made.locals(LIMBS, "v128");
  const first = operandsOf(made, { group, list, index: 0 });
  const second = operandsOf(made, { group, list, index: 1 });
  const target = operandsOf(made, { group, list, index: 2 });
  const at = (name: keyof typeof Temporary) =>
    i32.add(scratch.get, i32Constant(PAIR_BYTES * Temporary[name]));
  const stepBytes = ADDITION_BYTES * STEP_ADDITIONS[group];
  const put = (address: Code, values: Limbs) =>
    values.flatMap((value, limb) => v128.store(address, value, 16 * limb));
  const both = (operation: (left: Code, right: Code) => Code, left: Limbs, right: Limbs) =>
    left.map((value, limb) => operation(value, right[limb]!));
  const minus = (left: Limbs, right: Limbs) => both(f64x2.sub, left, right);
  const reduced = (values: Limbs) => [
    ...values.flatMap((value, limb) => limbs[limb]!.set(value)),
    ...reduce(field.numbers, work, limbs),
  ];
  const result = limbs.map(({ get }) => get);

  const divisors = kind === "add" ? minus(second.x, first.x) : both(f64x2.add, first.y, first.y);
  const numerator =
    kind === "add"
      ? put(at("y"), minus(second.y, first.y))
      : [
          ...put(at("x"), first.x),
          ...coordinates.square.call(at("x"), at("x")),
          ...put(at("y"), pairLimbs(at("x")).map(tripled)),
        ];
  const otherX = kind === "add" ? second.x : first.x;

  const collect = [
    ...first.load,
    ...second.load,
    ...put(divisor.get, divisors),
    ...coordinates.multiply.call(
      i32.add(prefix.get, i32Constant(PAIR_BYTES)),
      prefix.get,
      divisor.get,
    ),
    ...list.set(i32.add(list.get, i32Constant(stepBytes))),
    ...prefix.set(i32.add(prefix.get, i32Constant(PAIR_BYTES))),
    ...divisor.set(i32.add(divisor.get, i32Constant(PAIR_BYTES))),
  ];
  const finish = [
    ...list.set(i32.sub(list.get, i32Constant(stepBytes))),
    ...prefix.set(i32.sub(prefix.get, i32Constant(PAIR_BYTES))),
    ...divisor.set(i32.sub(divisor.get, i32Constant(PAIR_BYTES))),
    ...first.load,
    ...second.load,
    ...target.load,
    ...coordinates.multiply.call(at("inverse"), at("running"), prefix.get),
    ...coordinates.multiply.call(at("running"), at("running"), divisor.get),
    ...numerator,
    ...coordinates.multiply.call(at("slope"), at("inverse"), at("y")),
    ...coordinates.square.call(at("square"), at("slope")),
    ...put(at("y"), first.y),
    ...reduced(minus(minus(pairLimbs(at("square")), first.x), otherX)),
    ...put(at("x"), minus(first.x, result)),
    ...target.storeX(result),
    ...coordinates.multiply.call(at("x"), at("slope"), at("x")),
    ...reduced(minus(pairLimbs(at("x")), pairLimbs(at("y")))),
    ...target.storeY(result),
  ];
  const code = [
    ...prefix.set(i32.add(scratch.get, i32Constant(PAIR_BYTES * TEMPORARIES))),
    ...coordinates.setOne.call(prefix.get),
    ...divisor.set(
      i32.add(prefix.get, i32.mul(i32.add(steps.get, i32Constant(1)), i32Constant(PAIR_BYTES))),
    ),
    ...countUp({ counter: i, limit: steps.get }, collect),
    ...when(isDividedByZero(parts, prefix.get), end(i32Constant(0))),
    ...coordinates.invert.call(at("running"), prefix.get),
    ...i.set(i32Constant(0)),
    ...countUp({ counter: i, limit: steps.get }, finish),
    ...i32Constant(1),
  ];
  made.setBody(work.begin(), code);
}

/** Points that a step refers to at one place of its additions. */
interface Operands {
  /** Sets the locals from the list. */
  readonly load: Code;
  readonly x: Limbs;
  /** With the sign of the reference. */
  readonly y: Limbs;
  readonly storeX: (values: Limbs) => Code;
  readonly storeY: (values: Limbs) => Code;
}

function operandsOf(
  made: WasmFunction,
  { group, list, index }: { group: Group; list: Local; index: number },
): Operands {
  const reference = (addition: number) => i32.load(list.get, ADDITION_BYTES * addition + 4 * index);
  const addressOf = (value: Code) => i32.and(value, i32Constant(-2));
  const signOf = (value: Code) => i64.shl(i64.fromI32U(value), i64Constant(63n));
  const [first, second] = made.locals(2, "i32") as [Local, Local];
  const sign = made.local("v128");
  const signed = (limb: Code) => v128.xor(limb, sign.get);
  const each = (make: (offset: number) => Code) =>
    Array.from({ length: LIMBS }, (_, i) => make(16 * i));
  if (group === "g2") {
    const storeAt = (base: number) => (values: Limbs) =>
      values.flatMap((value, i) => v128.store(first.get, value, base + 16 * i));
    return {
      load: [
        ...first.set(reference(0)),
        ...sign.set(i64x2.pair(signOf(first.get), signOf(first.get))),
        ...first.set(addressOf(first.get)),
      ],
      x: pairLimbs(first.get),
      y: pairLimbs(first.get, PAIR_BYTES).map(signed),
      storeX: storeAt(0),
      storeY: storeAt(PAIR_BYTES),
    };
  }
  const gathered = (offset: number) =>
    v128.loadSecond(second.get, v128.loadFirst(first.get, offset), offset);
  const scatterAt = (base: number) => (values: Limbs) =>
    values.flatMap((value, i) => [
      ...v128.storeFirst(first.get, value, base + 16 * i),
      ...v128.storeSecond(second.get, value, base + 16 * i),
    ]);
  return {
    load: [
      ...first.set(reference(0)),
      ...second.set(reference(1)),
      ...sign.set(i64x2.pair(signOf(first.get), signOf(second.get))),
      ...first.set(addressOf(first.get)),
      ...second.set(addressOf(second.get)),
    ],
    x: each(gathered),
    y: each((offset) => signed(gathered(offset + 8))),
    storeX: scatterAt(0),
    storeY: scatterAt(8),
  };
}

/** Whether one of the elements is 0, in the extension both. */
function isDividedByZero({ group, field }: CurveParts, product: Code): Code {
  const zeros = field.zeros.call(product);
  return group === "g1" ? zeros : i32.eq(zeros, i32Constant(3));
}

function tripled(value: Code): Code {
  return f64x2.add(f64x2.add(value, value), value);
}
