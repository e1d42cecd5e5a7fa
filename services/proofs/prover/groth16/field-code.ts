// Arithmetic modulo a prime of 254 bits, as functions of a WebAssembly module. They take and give
// addresses of pairs: two elements that do not concern each other, side by side in vectors.
//
// Layout: a pair is PAIR_BYTES (80) bytes; limb i (0 to 4, each 51 bits) of its first element is
// the double at 16 i and that of the second at 16 i + 8. An element by itself, where tables keep
// them, is ELEMENT_BYTES (40): limb i is the double at 8 i. An element x is held as x 2^255 mod p,
// by any whole number of that remainder within the bounds below, also a negative one; 0 may be held
// as a multiple of p. All limbs 0 is 0.
//
// Bounds. Tidy: limbs are at most 2^50 (plus a few) either way. A value is what limbs stand for.
//   multiply, square   take values up to 2.4 p and give tidy ones up to p / 2 + 0.378 |a b| / p,
//                      which is below p where |a b| is below 1.3 p^2. multiply also takes limbs up
//                      to 2^51: sums and differences of two tidy elements, made limb by limb; square takes tidy ones.
//   add, subtract      take tidy values up to 1.2 p each and give tidy ones up to 0.51 p
//   invert             takes and gives tidy values below p
//   from...            take whole numbers below 2 p and give tidy values below p
//   to..., zeros       take tidy values or differences of two, up to 2 p
// out may be the address of an operand.
//
// What is fast: 9 limbs of 29 bits in whole numbers need 162 multiplications of the processor, of
// which it does one at a time; doubles do two elements in 100. Right it is only where the machine
// multiplies and adds in one step, which isFused tries.
// Nothing is done to keep the time the same for all values: the prover runs for the owner of the
// witness.

import { addConversions, type Conversions } from "./field-code-conversions.ts";
import {
  type FieldNumbers,
  fieldNumbers,
  LIMBS,
  limbsOf,
  nearestToZero,
  RADIX_BITS,
} from "./field-limbs.ts";
import {
  type Limbs,
  multiply,
  pairLimbs,
  productRounds,
  reduce,
  squareRounds,
  workspace,
} from "./limb-code.ts";
import { bitsOf, f64x2, i64, v128 } from "./wasm-instructions.ts";
import {
  branchIf,
  type Code,
  i64Constant,
  type Local,
  loop,
  type WasmFunction,
  WasmModule,
  when,
} from "./wasm-writer.ts";

/** Functions of a field, for code of the same module; exported as `${name}_multiply` and so on. */
export interface FieldFunctions extends Conversions {
  readonly numbers: FieldNumbers;
  /** (out, a, b) */
  readonly multiply: WasmFunction;
  /** (out, a) */
  readonly square: WasmFunction;
  /** (out, a, b) */
  readonly add: WasmFunction;
  /** (out, a, b): a - b. */
  readonly subtract: WasmFunction;
  /** (out): makes both elements 1. */
  readonly setOne: WasmFunction;
  /** (out, a): 1 / a of both, by Fermat; 0 of 0. out is not a. 380 multiplications. */
  readonly invert: WasmFunction;
}

/** Whether multiplication and addition are rounded once together here: all since 2013 do it. */
export function isFused(): boolean {
  const module = new WasmModule();
  const made = module.addFunction("rest", ["f64"], { results: ["f64"] });
  const [a] = made.parameters as [Local];
  const vector = f64x2.splat(a.get);
  const square = f64x2.mul(vector, vector);
  made.setBody(f64x2.lane(f64x2.multiplySubtract(vector, vector, square), 0));
  const compiled = new WebAssembly.Module(module.toBytes());
  const { rest } = new WebAssembly.Instance(compiled).exports as { rest(a: number): number };
  // The square is 2^60 + 2^31 + 1, of which a double loses the last.
  return rest(2 ** 30 + 1) === -1;
}

/** Adds the functions of the field to the module. */
export function addField(
  module: WasmModule,
  { name, modulus }: { name: string; modulus: bigint },
): FieldFunctions {
  const numbers = fieldNumbers(modulus);
  const multiplication = addMultiply(module, `${name}_multiply`, numbers);
  const squaring = addSquare(module, `${name}_square`, numbers);
  const setOne = addSetOne(module, `${name}_setOne`, numbers);
  return {
    numbers,
    multiply: multiplication,
    square: squaring,
    add: addSum(module, `${name}_add`, { numbers, sum: f64x2.add }),
    subtract: addSum(module, `${name}_subtract`, { numbers, sum: f64x2.sub }),
    setOne,
    invert: addInvert(module, `${name}_invert`, { numbers, setOne, multiplication, squaring }),
    ...addConversions(module, name, numbers),
  };
}

function addMultiply(module: WasmModule, name: string, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32"]);
  const [out, a, b] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const left = made.locals(LIMBS, "v128");
  const rounds = productRounds(
    left.map(({ get }) => get),
    pairLimbs(b.get),
  );
  const code = multiply(numbers, work, rounds, storeTo(out));
  made.setBody(work.begin(), setAll(left, pairLimbs(a.get)), code);
  return made;
}

function addSquare(module: WasmModule, name: string, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32"]);
  const [out, a] = made.parameters as [Local, Local];
  const work = workspace(made);
  const limbs = made.locals(LIMBS, "v128");
  const doubled = made.locals(LIMBS, "v128");
  const values = limbs.map(({ get }) => get);
  const rounds = squareRounds(
    values,
    doubled.map(({ get }) => get),
  );
  const code = multiply(numbers, work, rounds, storeTo(out));
  made.setBody(
    work.begin(),
    setAll(limbs, pairLimbs(a.get)),
    setAll(
      doubled,
      values.map((limb) => f64x2.add(limb, limb)),
    ),
    code,
  );
  return made;
}

function addSum(
  module: WasmModule,
  name: string,
  { numbers, sum }: { numbers: FieldNumbers; sum: (left: Code, right: Code) => Code },
): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32"]);
  const [out, a, b] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const limbs = made.locals(LIMBS, "v128");
  const right = pairLimbs(b.get);
  const code = reduce(numbers, work, limbs);
  made.setBody(
    work.begin(),
    setAll(
      limbs,
      pairLimbs(a.get).map((limb, i) => sum(limb, right[i]!)),
    ),
    code,
    limbs.flatMap((limb, i) => storeTo(out)(i, limb.get)),
  );
  return made;
}

function addSetOne(module: WasmModule, name: string, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction(name, ["i32"]);
  const [out] = made.parameters as [Local];
  const one = limbsOf(nearestToZero(1n << BigInt(RADIX_BITS), numbers.modulus));
  made.setBody(one.flatMap((limb, i) => storeTo(out)(i, v128.constant(bitsOf(limb)))));
  return made;
}

/** a to the power p - 2, bit by bit: the exponent in words of 64 bits, the highest first. */
function addInvert(
  module: WasmModule,
  name: string,
  parts: {
    numbers: FieldNumbers;
    setOne: WasmFunction;
    multiplication: WasmFunction;
    squaring: WasmFunction;
  },
): WasmFunction {
  const { numbers, setOne, multiplication, squaring } = parts;
  const word = module.addFunction(`${name}_word`, ["i32", "i32", "i64"], { exported: false });
  const [out, a, bits] = word.parameters as [Local, Local, Local];
  const left = word.local("i64");
  word.setBody(
    left.set(i64Constant(64n)),
    loop(
      branchIf(1, i64.eqz(left.get)),
      squaring.call(out.get, out.get),
      when(i64.ltS(bits.get, i64Constant(0n)), multiplication.call(out.get, out.get, a.get)),
      bits.set(i64.shl(bits.get, i64Constant(1n))),
      left.set(i64.sub(left.get, i64Constant(1n))),
    ),
  );
  const made = module.addFunction(name, ["i32", "i32"]);
  const [result, base] = made.parameters as [Local, Local];
  const exponent = numbers.modulus - 2n;
  made.setBody(
    setOne.call(result.get),
    [192n, 128n, 64n, 0n].flatMap((shift) =>
      word.call(result.get, base.get, i64Constant(exponent >> shift)),
    ),
  );
  return made;
}

function storeTo(out: Local): (limb: number, value: Code) => Code {
  return (limb, value) => v128.store(out.get, value, 16 * limb);
}

function setAll(locals: readonly Local[], values: Limbs): Code {
  return locals.flatMap((local, i) => local.set(values[i]!));
}
