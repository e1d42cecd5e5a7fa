// The number-theoretic transform over the scalar field in WebAssembly, and what else is done to whole
// vectors of elements. Two elements are worked on at a time, so vectors are of pairs
// (field-code.ts) and all sizes are even.
//
// Both transforms take the same table of powers of one root of unity. "split" gives the transform of
// a vector in bit-reversed order, "merge" that of a vector in bit-reversed order, in order. A table
// holds at h + i, for every power of two h below its size and i below h, the power i of the root of
// order 2h: it serves its own size and all that are smaller.

import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";
import { addButterflies, type ButterflyFunctions } from "./butterfly-code.ts";
import { addField, type FieldFunctions } from "./field-code.ts";
import { ELEMENT_BYTES, PAIR_BYTES } from "./field-limbs.ts";
import { i32 } from "./wasm-instructions.ts";
import {
  branchIf,
  type Code,
  i32Constant,
  type Local,
  loop,
  type WasmFunction,
  WasmModule,
} from "./wasm-writer.ts";

/** Its functions, by addresses; sizes and counts are of elements, and even. */
export interface TransformFunctions {
  /** out[i] = a[i] + b[i]; out may be either, here and in the next ones. */
  readonly add: (out: number, a: number, b: number, count: number) => void;
  readonly subtract: (out: number, a: number, b: number, count: number) => void;
  readonly multiply: (out: number, a: number, b: number, count: number) => void;
  /** out[i] = a[i] * factor, which is a pair of the same element twice. */
  readonly scale: (out: number, a: number, factor: number, count: number) => void;
  /** In place; the size is a power of two, at least 2, and at most that of the table. */
  readonly split: (vector: number, size: number, table: number) => void;
  readonly merge: (vector: number, size: number, table: number) => void;
  /**
   * For each element of a vector of coefficients: adds it times another element to a third. Places
   * are the addresses, for each coefficient first of what is added to, then of what it is times.
   */
  readonly accumulate: (places: number, coefficients: number, count: number) => void;
  /** From numbers of 32 bytes each, the lowest first. */
  readonly fromIntegers: (out: number, from: number, count: number) => void;
  /** To such numbers, below p. */
  readonly toIntegers: (from: number, out: number, count: number) => void;
}

/** Bytes of two addresses. */
const PLACE_BYTES = 8;

const PAGES_MAX = 65_536;

let compiled: Promise<WebAssembly.Module> | undefined;

/** The module, made once; instances have memories of their own. */
export function transformModule(): Promise<WebAssembly.Module> {
  compiled ??= WebAssembly.compile(transformBytes());
  return compiled;
}

/** An instance with a memory of at least so many bytes. */
export function transformInstance(
  module: WebAssembly.Module,
  bytes: number,
): { readonly functions: TransformFunctions; readonly memory: WebAssembly.Memory } {
  const initial = Math.max(1, Math.ceil(bytes / 65_536));
  const memory = new WebAssembly.Memory({ initial, maximum: PAGES_MAX });
  const { exports } = new WebAssembly.Instance(module, { environment: { memory } });
  return { functions: exports as unknown as TransformFunctions, memory };
}

function transformBytes(): Uint8Array<ArrayBuffer> {
  const module = new WasmModule();
  const field = addField(module, { name: "field", modulus: FIELD_ORDER });
  const butterflies = addButterflies(module, field.numbers);
  addVectors(module, field);
  addTransforms(module, butterflies);
  addAccumulate(module, butterflies);
  addIntegers(module, field);
  return module.toBytes({ minimumPages: 1, maximumPages: PAGES_MAX, shared: false });
}

function addVectors(module: WasmModule, field: FieldFunctions): void {
  for (const [name, of] of [
    ["add", field.add],
    ["subtract", field.subtract],
    ["multiply", field.multiply],
    ["scale", field.multiply],
  ] as const) {
    const made = module.addFunction(name, ["i32", "i32", "i32", "i32"]);
    const [out, a, b, count] = made.parameters as [Local, Local, Local, Local];
    const steps = [...advance(out), ...advance(a), ...(name === "scale" ? [] : advance(b))];
    made.setBody(eachPair(count, of.call(out.get, a.get, b.get), steps));
  }
}

function addTransforms(module: WasmModule, butterflies: ButterflyFunctions): void {
  const split = addLevel(module, "split_level", butterflies.split);
  const merge = addLevel(module, "merge_level", butterflies.merge);
  const twist = addTwists(module, butterflies.twist);
  {
    const made = module.addFunction("split", ["i32", "i32", "i32"]);
    const [vector, size, table] = made.parameters as [Local, Local, Local];
    const half = made.local("i32");
    made.setBody(
      half.set(i32.shrU(size.get, i32Constant(1))),
      loop(
        branchIf(1, i32.ltU(half.get, i32Constant(2))),
        split.call(vector.get, size.get, half.get, table.get),
        half.set(i32.shrU(half.get, i32Constant(1))),
      ),
      twist.call(vector.get, size.get),
    );
  }
  {
    const made = module.addFunction("merge", ["i32", "i32", "i32"]);
    const [vector, size, table] = made.parameters as [Local, Local, Local];
    const half = made.local("i32");
    made.setBody(
      twist.call(vector.get, size.get),
      half.set(i32Constant(2)),
      loop(
        branchIf(1, i32.geU(half.get, size.get)),
        merge.call(vector.get, size.get, half.get, table.get),
        half.set(i32.shl(half.get, i32Constant(1))),
      ),
    );
  }
}

/** One level of butterflies, in blocks of twice half: (vector, size, half, table). */
function addLevel(module: WasmModule, name: string, butterfly: WasmFunction): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32", "i32"], { exported: false });
  const [vector, size, half, table] = made.parameters as [Local, Local, Local, Local];
  const [end, middle, root] = made.locals(3, "i32") as [Local, Local, Local];
  const halfBytes = i32.mul(half.get, i32Constant(ELEMENT_BYTES));
  made.setBody(
    end.set(i32.add(vector.get, i32.mul(size.get, i32Constant(ELEMENT_BYTES)))),
    loop(
      branchIf(1, i32.geU(vector.get, end.get)),
      middle.set(i32.add(vector.get, halfBytes)),
      root.set(i32.add(table.get, halfBytes)),
      size.set(middle.get),
      loop(
        branchIf(1, i32.geU(vector.get, size.get)),
        butterfly.call(vector.get, middle.get, root.get),
        advance(vector),
        advance(middle),
        advance(root),
      ),
      vector.set(middle.get),
    ),
  );
  return made;
}

function addTwists(module: WasmModule, twist: WasmFunction): WasmFunction {
  const made = module.addFunction("twists", ["i32", "i32"], { exported: false });
  const [vector, count] = made.parameters as [Local, Local];
  made.setBody(eachPair(count, twist.call(vector.get), advance(vector)));
  return made;
}

function addAccumulate(module: WasmModule, { addProducts }: ButterflyFunctions): void {
  const made = module.addFunction("accumulate", ["i32", "i32", "i32"]);
  const [places, coefficients, count] = made.parameters as [Local, Local, Local];
  const [out0, a0, out1, a1] = [0, 4, 8, 12].map((at) => i32.load(places.get, at));
  made.setBody(
    eachPair(count, addProducts.call(out0!, a0!, out1!, a1!, coefficients.get), [
      ...advance(coefficients),
      ...advance(places, 2 * PLACE_BYTES),
    ]),
  );
}

function addIntegers(module: WasmModule, field: FieldFunctions): void {
  for (const [name, of] of [
    ["fromIntegers", field.fromInteger],
    ["toIntegers", field.toInteger],
  ] as const) {
    const made = module.addFunction(name, ["i32", "i32", "i32"]);
    // Of both the elements come first.
    const [pair, numbers, count] = made.parameters as [Local, Local, Local];
    made.setBody(
      eachPair(
        count,
        of.call(pair.get, numbers.get, i32.add(numbers.get, i32Constant(FIELD_BYTES))),
        [...advance(pair), ...advance(numbers, 2 * FIELD_BYTES)],
      ),
    );
  }
}

/** Does the code, then the steps, for every pair of as many elements; counts down. */
function eachPair(count: Local, code: Code, steps: Code): Code {
  return loop(
    branchIf(1, i32.eqz(count.get)),
    code,
    steps,
    count.set(i32.sub(count.get, i32Constant(2))),
  );
}

function advance(address: Local, bytes = PAIR_BYTES): Code {
  return address.set(i32.add(address.get, i32Constant(bytes)));
}
