// An instance of the curve's module, with its memory: first what the code itself needs, then what
// stays, then what a sum needs for a moment.

import { BASE_ORDER } from "../../verifier/curve-points.ts";
import { addBatches, type BatchFunctions, type Group } from "./curve-code.ts";
import { addField } from "./field-code.ts";
import { PAIR_BYTES } from "./field-limbs.ts";
import { addQuadraticField } from "./quadratic-field-code.ts";
import { WasmModule } from "./wasm-writer.ts";

const PAGE_BYTES = 65_536;
/** 2 GiB, so that addresses are no negative numbers of 32 bits. */
const PAGES_MAX = 32_768;
const PAGES_MIN = 1;
/** Of the inversion in the extension: two pairs at address 0. */
const CODE_BYTES = 2 * PAIR_BYTES;

/** Functions of a field on addresses of vectors, as field-code.ts describes them. */
export interface CoordinateArithmetic {
  multiply(out: number, a: number, b: number): void;
  square(out: number, a: number): void;
  add(out: number, a: number, b: number): void;
  subtract(out: number, a: number, b: number): void;
  /** out is not a. */
  invert(out: number, a: number): void;
  /** Makes it 1. */
  setOne(out: number): void;
  isZero(a: number): boolean;
}

/** Functions of the module. */
export interface CurveFunctions {
  readonly batches: Readonly<Record<Group, BatchFunctions>>;
  /** Of the first group, an element is the first of a pair; the second is anything. */
  readonly coordinates: Readonly<Record<Group, CoordinateArithmetic>>;
  fromMontgomery(out: number, first: number, second: number): void;
  toMontgomery(a: number, first: number, second: number): void;
  /** Of two elements: 1 for the first that is 0 plus 2 for the second. */
  zeros(a: number): number;
}

/** The module of both groups, as bytes. */
export function curveModuleBytes(): Uint8Array<ArrayBuffer> {
  const module = new WasmModule();
  const field = addField(module, { name: "fp", modulus: BASE_ORDER });
  const extension = addQuadraticField(module, { name: "fp2", base: field, scratch: 0 });
  addBatches(module, { group: "g1", field, coordinates: field });
  addBatches(module, { group: "g2", field, coordinates: extension });
  return module.toBytes({ minimumPages: PAGES_MIN, maximumPages: PAGES_MAX, shared: false });
}

/** An instance and its memory. Addresses are multiples of 16; taking memory voids all views. */
export class CurveInstance {
  readonly functions: CurveFunctions;
  readonly #memory: WebAssembly.Memory;
  #kept = CODE_BYTES;
  #taken = CODE_BYTES;
  #doubles = new Float64Array();
  #words = new Int32Array();
  #bytes = new Uint8Array();

  constructor(code: WebAssembly.Module) {
    this.#memory = new WebAssembly.Memory({ initial: PAGES_MIN, maximum: PAGES_MAX });
    const instance = new WebAssembly.Instance(code, { environment: { memory: this.#memory } });
    this.functions = functionsOf(instance.exports);
    this.#view();
  }

  /** Bytes of the memory. */
  get size(): number {
    return this.#bytes.length;
  }

  /** The memory as doubles: address / 8. */
  get doubles(): Float64Array {
    return this.#doubles;
  }

  /** The memory as numbers of 32 bits: address / 4. */
  get words(): Int32Array {
    return this.#words;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Memory that is kept for good. Voids all that was taken for a moment. */
  keep(bytes: number): number {
    this.release();
    const address = this.take(bytes);
    this.#kept = this.#taken;
    return address;
  }

  /** Memory until release. */
  take(bytes: number): number {
    const address = this.#taken;
    this.#taken += 16 * Math.ceil(bytes / 16);
    const missing = Math.ceil(this.#taken / PAGE_BYTES) - this.size / PAGE_BYTES;
    if (missing > 0) {
      this.#memory.grow(missing);
      this.#view();
    }
    return address;
  }

  /** Gives back what was taken. */
  release(): void {
    this.#taken = this.#kept;
  }

  #view(): void {
    const { buffer } = this.#memory;
    this.#doubles = new Float64Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }
}

type Exports = Record<string, (...parameters: readonly number[]) => number>;

function functionsOf(exported: Record<string, unknown>): CurveFunctions {
  const all = exported as Exports;
  const zeros = all.fp_zeros as CurveFunctions["zeros"];
  const arithmetic = (name: string, isZero: (a: number) => boolean) =>
    ({
      setOne: all[`${name}_setOne`],
      multiply: all[`${name}_multiply`],
      square: all[`${name}_square`],
      invert: all[`${name}_invert`],
      add: all.fp_add,
      subtract: all.fp_subtract,
      isZero,
    }) as CoordinateArithmetic;
  const batch = (group: Group) =>
    ({ add: all[`${group}_add`], double: all[`${group}_double`] }) as unknown as BatchFunctions;
  return {
    zeros,
    fromMontgomery: all.fp_fromMontgomery as CurveFunctions["fromMontgomery"],
    toMontgomery: all.fp_toMontgomery as CurveFunctions["toMontgomery"],
    batches: { g1: batch("g1"), g2: batch("g2") },
    coordinates: {
      g1: arithmetic("fp", (a) => (zeros(a) & 1) !== 0),
      g2: arithmetic("fp2", (a) => zeros(a) === 3),
    },
  };
}
