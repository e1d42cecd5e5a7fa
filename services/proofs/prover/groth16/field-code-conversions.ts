// Conversions of the field between limbs and the 32 bytes of files: a pair is read from two
// addresses and multiplied with what takes it from one form to the other.

import {
  type FieldNumbers,
  LIMB_BITS,
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
  type Workspace,
  workspace,
} from "./limb-code.ts";
import { bitsOf, f64, f64x2, i32, i64, v128 } from "./wasm-instructions.ts";
import {
  type Code,
  i32Constant,
  i64Constant,
  type Local,
  type WasmFunction,
  type WasmModule,
  when,
} from "./wasm-writer.ts";

/** What a number is multiplied with in the files of snarkjs. */
const FILE_RADIX_BITS = 256;
const LIMB_MASK = (1n << BigInt(LIMB_BITS)) - 1n;

/** Conversions; what they take and give says field-code.ts. */
export interface Conversions {
  /** (out, first, second): from two addresses of 32 bytes, a whole number with the lowest first. */
  readonly fromInteger: WasmFunction;
  /** (out, first, second): likewise from numbers times 2^256, as files hold them. */
  readonly fromMontgomery: WasmFunction;
  /** (a, first, second): writes 32 bytes to both addresses, a number below p. */
  readonly toInteger: WasmFunction;
  /** (a, first, second): likewise the number times 2^256. */
  readonly toMontgomery: WasmFunction;
  /** (a): which elements are 0: 1 for the first plus 2 for the second. */
  readonly zeros: WasmFunction;
}

/** Adds the functions. */
export function addConversions(
  module: WasmModule,
  name: string,
  numbers: FieldNumbers,
): Conversions {
  const read = addRead(module, `${name}_read`);
  const write = addWrite(module, `${name}_write`, numbers);
  const from = (suffix: string, factorBits: number) =>
    addFrom(module, `${name}_${suffix}`, { numbers, read, factor: 1n << BigInt(factorBits) });
  const to = (suffix: string, factorBits: number) =>
    addTo(module, `${name}_${suffix}`, { numbers, write, factor: 1n << BigInt(factorBits) });
  return {
    fromInteger: from("fromInteger", 2 * RADIX_BITS),
    fromMontgomery: from("fromMontgomery", 2 * RADIX_BITS - FILE_RADIX_BITS),
    toInteger: to("toInteger", 0),
    toMontgomery: to("toMontgomery", FILE_RADIX_BITS),
    zeros: addZeros(module, `${name}_zeros`, numbers),
  };
}

function addFrom(
  module: WasmModule,
  name: string,
  { numbers, read, factor }: { numbers: FieldNumbers; read: WasmFunction; factor: bigint },
): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32"]);
  const [out, first, second] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const code = multiply(
    numbers,
    work,
    productRounds(pairLimbs(out.get), constantLimbs(work, nearestToZero(factor, numbers.modulus))),
    (limb, value) => v128.store(out.get, value, 16 * limb),
  );
  made.setBody(
    work.begin(),
    read.call(out.get, first.get),
    read.call(i32.add(out.get, i32Constant(8)), second.get),
    code,
  );
  return made;
}

function addTo(
  module: WasmModule,
  name: string,
  { numbers, write, factor }: { numbers: FieldNumbers; write: WasmFunction; factor: bigint },
): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32", "i32"]);
  const [a, first, second] = made.parameters as [Local, Local, Local];
  const work = workspace(made);
  const limbs = made.locals(LIMBS, "v128");
  const code = multiply(
    numbers,
    work,
    productRounds(pairLimbs(a.get), constantLimbs(work, nearestToZero(factor, numbers.modulus))),
    (limb, value) => limbs[limb]!.set(value),
  );
  const lanes = (lane: number) => limbs.map(({ get }) => i64.fromF64(f64x2.lane(get, lane)));
  made.setBody(
    work.begin(),
    code,
    write.call(first.get, ...lanes(0)),
    write.call(second.get, ...lanes(1)),
  );
  return made;
}

/** Multiplied by 1 / 2^255, a value is at most a little above p / 2: 0 has one form alone. */
function addZeros(module: WasmModule, name: string, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction(name, ["i32"], { results: ["i32"] });
  const [a] = made.parameters as [Local];
  const work = workspace(made);
  const limbs = made.locals(LIMBS, "v128");
  const code = multiply(
    numbers,
    work,
    productRounds(pairLimbs(a.get), constantLimbs(work, 1n)),
    (limb, value) => limbs[limb]!.set(value),
  );
  const isZero = (lane: number) =>
    i64.eqz(limbs.map(({ get }) => i64.fromF64(f64x2.lane(get, lane))).reduce(i64.or));
  made.setBody(work.begin(), code, i32.or(isZero(0), i32.shl(isZero(1), i32Constant(1))));
  return made;
}

/** (out, at): splits 256 bits into limbs of 51, as doubles 16 bytes apart. */
function addRead(module: WasmModule, name: string): WasmFunction {
  const made = module.addFunction(name, ["i32", "i32"], { exported: false });
  const [out, at] = made.parameters as [Local, Local];
  const words = made.locals(4, "i64");
  const limbs = Array.from({ length: LIMBS }, (_, i) => {
    const shift = (i * LIMB_BITS) % 64;
    const index = Math.floor((i * LIMB_BITS) / 64);
    const low = i64.shrU(words[index]!.get, i64Constant(BigInt(shift)));
    if (i === LIMBS - 1) return low;
    if (shift + LIMB_BITS <= 64) return i64.and(low, i64Constant(LIMB_MASK));
    const high = i64.shl(words[index + 1]!.get, i64Constant(BigInt(64 - shift)));
    return i64.and(i64.or(low, high), i64Constant(LIMB_MASK));
  });
  made.setBody(
    words.flatMap((word, i) => word.set(i64.load(at.get, 8 * i))),
    limbs.flatMap((limb, i) => f64.store(out.get, f64.fromI64U(limb), 16 * i)),
  );
  return made;
}

/** (at, limbs): writes 256 bits of the number, or of it plus p where it is negative. */
function addWrite(module: WasmModule, name: string, numbers: FieldNumbers): WasmFunction {
  const made = module.addFunction(name, ["i32", "i64", "i64", "i64", "i64", "i64"], {
    exported: false,
  });
  const [at, ...limbs] = made.parameters as [Local, ...Local[]];
  const carries = limbs.slice(1).flatMap((limb, i) => {
    const lower = limbs[i]!;
    return [
      ...limb.set(i64.add(limb.get, i64.shrS(lower.get, i64Constant(BigInt(LIMB_BITS))))),
      ...lower.set(i64.and(lower.get, i64Constant(LIMB_MASK))),
    ];
  });
  const plusModulus = limbs.flatMap((limb, i) =>
    limb.set(i64.add(limb.get, i64Constant(BigInt(numbers.modulusLimbs[i]!)))),
  );
  made.setBody(
    carries,
    when(i64.ltS(limbs.at(-1)!.get, i64Constant(0n)), plusModulus, carries),
    [0, 1, 2, 3].flatMap((word) => i64.store(at.get, wordOf(limbs, word), 8 * word)),
  );
  return made;
}

/** 64 bits of limbs that are not negative. */
function wordOf(limbs: readonly Local[], word: number): Code {
  const parts = limbs.flatMap((limb, i) => {
    const shift = i * LIMB_BITS - 64 * word;
    if (shift >= 64 || shift <= -LIMB_BITS) return [];
    const distance = i64Constant(BigInt(Math.abs(shift)));
    return [shift < 0 ? i64.shrU(limb.get, distance) : i64.shl(limb.get, distance)];
  });
  return parts.reduce(i64.or);
}

function constantLimbs({ constant }: Workspace, value: bigint): Limbs {
  return limbsOf(value).map((limb) => constant(bitsOf(limb)));
}
