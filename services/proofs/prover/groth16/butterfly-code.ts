// Functions on pairs of elements for the transforms and the rows of constraints: each does in
// registers what would be several functions of the field (field-code.ts, whose bounds hold here too).

import { type FieldNumbers, LIMBS } from "./field-limbs.ts";
import { type Limbs, multiply, pairLimbs, productRounds, reduce, workspace } from "./limb-code.ts";
import { f64x2, v128 } from "./wasm-instructions.ts";
import type { Code, Local, WasmFunction, WasmModule } from "./wasm-writer.ts";

/** The functions, by addresses. Roots are below p, all else up to 1.2 p. */
export interface ButterflyFunctions {
  /** (a, b, root): a + b in the place of a, (a - b) root in that of b. */
  readonly split: WasmFunction;
  /** (a, b, root): a + b root in the place of a, a - b root in that of b. */
  readonly merge: WasmFunction;
  /** (a): the sum and the difference of a pair's two elements in their places. */
  readonly twist: WasmFunction;
  /**
   * (out0, a0, out1, a1, b): adds a0 times the first element of the pair b to out0, and a1 times the
   * second to out1. The others are addresses of single elements within pairs, and may be the same.
   */
  readonly addProducts: WasmFunction;
}

/** Bytes from one limb of an element of a pair to the next. */
const LIMB_STRIDE = 16;

/** Adds the functions to a module. */
export function addButterflies(module: WasmModule, numbers: FieldNumbers): ButterflyFunctions {
  return {
    split: addSplit(module, numbers),
    merge: addMerge(module, numbers),
    twist: addTwist(module, numbers),
    addProducts: addAddProducts(module, numbers),
  };
}

function addSplit(module: WasmModule, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction("split_butterfly", ["i32", "i32", "i32"], { exported: false });
  const [a, b, root] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const [sums, differences] = [made.locals(LIMBS, "v128"), made.locals(LIMBS, "v128")];
  const [left, right] = [pairLimbs(a.get), pairLimbs(b.get)];
  const rounds = productRounds(values(differences), pairLimbs(root.get));
  const code = [
    ...setAll(sums, left),
    ...setAll(differences, sumsOf(values(sums), right, f64x2.sub)),
    ...setAll(sums, sumsOf(values(sums), right, f64x2.add)),
    ...reduce(numbers, work, sums),
    ...storeAll(a, values(sums)),
    ...multiply(numbers, work, rounds, storeTo(b)),
  ];
  made.setBody(work.begin(), code);
  return made;
}

function addMerge(module: WasmModule, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction("merge_butterfly", ["i32", "i32", "i32"], { exported: false });
  const [a, b, root] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const [products, sums] = [made.locals(LIMBS, "v128"), made.locals(LIMBS, "v128")];
  const rounds = productRounds(values(products), pairLimbs(root.get));
  const left = pairLimbs(a.get);
  const code = [
    ...setAll(products, pairLimbs(b.get)),
    ...multiply(numbers, work, rounds, (i, value) => products[i]!.set(value)),
    ...setAll(sums, sumsOf(left, values(products), f64x2.add)),
    ...setAll(products, sumsOf(left, values(products), f64x2.sub)),
    ...reduce(numbers, work, sums),
    ...storeAll(a, values(sums)),
    ...reduce(numbers, work, products),
    ...storeAll(b, values(products)),
  ];
  made.setBody(work.begin(), code);
  return made;
}

function addTwist(module: WasmModule, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction("twist", ["i32"], { exported: false });
  const [a] = made.parameters as [Local];
  const work = workspace(made);
  const sums = made.locals(LIMBS, "v128");
  const [pair, swapped] = [made.local("v128"), made.local("v128")];
  const code = [
    ...sums.flatMap((sum, i) => [
      ...pair.set(pairLimbs(a.get)[i]!),
      ...swapped.set(v128.shuffle(pair.get, pair.get, [1, 0])),
      ...sum.set(
        v128.shuffle(f64x2.add(pair.get, swapped.get), f64x2.sub(swapped.get, pair.get), [0, 3]),
      ),
    ]),
    ...reduce(numbers, work, sums),
    ...storeAll(a, values(sums)),
  ];
  made.setBody(work.begin(), code);
  return made;
}

function addAddProducts(module: WasmModule, numbers: FieldNumbers): WasmFunction {
  const parameters = ["i32", "i32", "i32", "i32", "i32"] as const;
  const made = module.addFunction("add_products", parameters, { exported: false });
  const [out0, a0, out1, a1, b] = made.parameters as [Local, Local, Local, Local, Local];
  const work = workspace(made);
  const [products, sums] = [made.locals(LIMBS, "v128"), made.locals(LIMBS, "v128")];
  const rounds = productRounds(values(products), pairLimbs(b.get));
  const firstOf = (address: Local, i: number): Code => v128.loadFirst(address.get, LIMB_STRIDE * i);
  const secondOf = (address: Local, first: Code, i: number): Code =>
    v128.loadSecond(address.get, first, LIMB_STRIDE * i);
  const code = [
    ...products.flatMap((product, i) => product.set(secondOf(a1, firstOf(a0, i), i))),
    ...multiply(numbers, work, rounds, (i, value) => products[i]!.set(value)),
    // One after the other, since both may be the same.
    ...sums.flatMap((sum, i) => sum.set(f64x2.add(firstOf(out0, i), products[i]!.get))),
    ...reduce(numbers, work, sums),
    ...sums.flatMap((sum, i) => v128.storeFirst(out0.get, sum.get, LIMB_STRIDE * i)),
    ...sums.flatMap((sum, i) => {
      const product = products[i]!.get;
      return sum.set(f64x2.add(secondOf(out1, product, i), product));
    }),
    ...reduce(numbers, work, sums),
    ...sums.flatMap((sum, i) => v128.storeSecond(out1.get, sum.get, LIMB_STRIDE * i)),
  ];
  made.setBody(work.begin(), code);
  return made;
}

function values(locals: readonly Local[]): Limbs {
  return locals.map(({ get }) => get);
}

function sumsOf(left: Limbs, right: Limbs, sum: (left: Code, right: Code) => Code): Limbs {
  return left.map((limb, i) => sum(limb, right[i]!));
}

function setAll(locals: readonly Local[], limbs: Limbs): Code {
  return locals.flatMap((local, i) => local.set(limbs[i]!));
}

function storeAll(address: Local, limbs: Limbs): Code {
  return limbs.flatMap((limb, i) => storeTo(address)(i, limb));
}

function storeTo(address: Local): (limb: number, value: Code) => Code {
  return (limb, value) => v128.store(address.get, value, LIMB_STRIDE * limb);
}
