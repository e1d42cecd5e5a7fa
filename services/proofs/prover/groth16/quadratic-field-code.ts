// Arithmetic in the quadratic extension Fp[u] / (u^2 + 1), over which the second group is. An
// element c0 + c1 u is held as the pair of c0 and c1 (field-code.ts), so that both lanes of the
// vectors are of use to one multiplication.

import type { FieldFunctions } from "./field-code.ts";
import { LIMBS, PAIR_BYTES } from "./field-limbs.ts";
import {
  type Limbs,
  multiply,
  pairLimbs,
  productRounds,
  reduce,
  sumRounds,
  workspace,
} from "./limb-code.ts";
import { f64x2, v128 } from "./wasm-instructions.ts";
import {
  type Code,
  i32Constant,
  type Local,
  type WasmFunction,
  type WasmModule,
} from "./wasm-writer.ts";

/**
 * What a coordinate of a curve can do, in vectors at addresses. Results of multiply and square are
 * tidy and below 1.1 p, where operands are up to 1.4 p and the other up to 1.1 p.
 */
export interface CoordinateFunctions {
  /** (out, a, b) */
  readonly multiply: WasmFunction;
  /** (out, a) */
  readonly square: WasmFunction;
  /** (out, a); out is not a. */
  readonly invert: WasmFunction;
  /** (out): makes it 1. */
  readonly setOne: WasmFunction;
}

/** Adds the functions; scratch is the address of two vectors that invert may use. */
export function addQuadraticField(
  module: WasmModule,
  { name, base, scratch }: { name: string; base: FieldFunctions; scratch: number },
): CoordinateFunctions {
  return {
    multiply: addMultiply(module, `${name}_multiply`, base),
    square: addSquare(module, `${name}_square`, base),
    setOne: addSetOne(module, `${name}_setOne`, base),
    invert: addInvert(module, `${name}_invert`, { base, scratch }),
  };
}

/** (a0 + a1 u) b0 + (-a1 + a0 u) b1, of which both halves are one sum. */
function addMultiply(module: WasmModule, name: string, base: FieldFunctions): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32"]);
  const [out, a, b] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const limbs = made.locals(LIMBS, "v128");
  const turned = made.locals(LIMBS, "v128");
  const right = (offset: number): Limbs =>
    limbs.map((_, i) => v128.loadSplat(b.get, 16 * i + offset));
  const values = limbs.map(({ get }) => get);
  const rounds = sumRounds(
    productRounds(values, right(0)),
    productRounds(
      turned.map(({ get }) => get),
      right(8),
    ),
  );
  const code = [
    ...multiply(base.numbers, work, rounds, (limb, value) => limbs[limb]!.set(value)),
    ...reduce(base.numbers, work, limbs),
    ...values.flatMap((limb, i) => v128.store(out.get, limb, 16 * i)),
  ];
  const minus = work.constant(1n << 63n);
  made.setBody(
    work.begin(),
    pairLimbs(a.get).flatMap((limb, i) => limbs[i]!.set(limb)),
    values.flatMap((limb, i) => turned[i]!.set(v128.shuffle(v128.xor(limb, minus), limb, [1, 2]))),
    code,
  );
  return made;
}

/** (a0 + a1) (a0 - a1) + (2 a0) a1 u */
function addSquare(module: WasmModule, name: string, base: FieldFunctions): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32"]);
  const [out, a] = made.parameters as [Local, Local];
  const work = workspace(made);
  const left = made.locals(LIMBS, "v128");
  const right = made.locals(LIMBS, "v128");
  const rounds = productRounds(
    left.map(({ get }) => get),
    right.map(({ get }) => get),
  );
  const code = multiply(base.numbers, work, rounds, (limb, value) =>
    v128.store(out.get, value, 16 * limb),
  );
  const zero = work.constant(0n);
  made.setBody(
    work.begin(),
    left.flatMap((limb, i) => {
      const value = v128.load(a.get, 16 * i);
      const first = v128.loadSplat(a.get, 16 * i);
      const second = v128.loadFirst(a.get, 16 * i + 8);
      return [
        ...limb.set(f64x2.add(first, v128.shuffle(value, value, [1, 0]))),
        ...right[i]!.set(f64x2.sub(value, v128.shuffle(second, zero, [0, 2]))),
      ];
    }),
    code,
  );
  return made;
}

/** (a0 - a1 u) / (a0^2 + a1^2) */
function addInvert(
  module: WasmModule,
  name: string,
  { base, scratch }: { base: FieldFunctions; scratch: number },
): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32"]);
  const [out, a] = made.parameters as [Local, Local];
  const norm = i32Constant(scratch);
  const other = i32Constant(scratch + PAIR_BYTES);
  const limbs = (address: Code, change: (limb: Code) => Code, into = address) =>
    pairLimbs(address).flatMap((limb, i) => v128.store(into, change(limb), 16 * i));
  const conjugate = (limb: Code) =>
    v128.shuffle(limb, v128.xor(limb, v128.constant(1n << 63n)), [0, 3]);
  made.setBody(
    base.square.call(norm, a.get),
    limbs(norm, (limb) => v128.shuffle(limb, limb, [1, 0]), other),
    base.add.call(norm, norm, other),
    base.invert.call(other, norm),
    base.multiply.call(out.get, a.get, other),
    limbs(out.get, conjugate),
  );
  return made;
}

function addSetOne(module: WasmModule, name: string, base: FieldFunctions): WasmFunction {
  const made = module.addFunction(name, ["i32"]);
  const [out] = made.parameters as [Local];
  const onlyFirst = (limb: Code) => v128.shuffle(limb, v128.constant(0n), [0, 2]);
  made.setBody(
    base.setOne.call(out.get),
    pairLimbs(out.get).flatMap((limb, i) => v128.store(out.get, onlyFirst(limb), 16 * i)),
  );
  return made;
}
