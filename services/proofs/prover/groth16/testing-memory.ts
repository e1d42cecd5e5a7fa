// For tests: an instance of a field's module and its memory, limb by limb.

import { LIMB_BITS, LIMBS } from "./field-limbs.ts";
import type { WasmModule } from "./wasm-writer.ts";

/** The number that limbs stand for. */
export function fromLimbs(limbs: readonly number[]): bigint {
  return limbs.reduceRight((value, limb) => value * 2n ** BigInt(LIMB_BITS) + BigInt(limb), 0n);
}

/** The module's functions by name, and what lies in its one page of memory. */
export function instantiate(module: WasmModule) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const bytes = module.toBytes({ minimumPages: 1, maximumPages: 1, shared: false });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    environment: { memory },
  });
  const doubles = new Float64Array(memory.buffer);
  return {
    bytes: new Uint8Array(memory.buffer),
    /** Of both elements of the pair at an address. */
    limbs: (at: number) =>
      [0, 1].map((lane) =>
        Array.from({ length: LIMBS }, (_, i) => doubles[at / 8 + 2 * i + lane] as number),
      ),
    putLimbs: (at: number, pair: readonly (readonly number[])[]) => {
      for (const [lane, values] of pair.entries()) {
        for (const [i, limb] of values.entries()) doubles[at / 8 + 2 * i + lane] = limb;
      }
    },
    call: (name: string, ...parameters: readonly number[]) =>
      (exports[name] as (...given: readonly number[]) => number)(...parameters),
  };
}
