// Sums of many points of BN254, each times a scalar (multi-exponentiation), in one thread. A
// MultiExp is an instance of the module with a memory of its own; bases are read once and stay in
// it.
//
//   const code = await multiExpModule();                    // once; can be sent to threads
//   const multiExp = new MultiExp(code);                    // in each thread
//   const handle = multiExp.loadBases("g1", section);       // 64 bytes a point, 128 of "g2"
//   const part = multiExp.multiExp(handle, scalars);        // 32 bytes a scalar
//
// Points are affine as .zkey files hold them: x then y, in "g2" each of them its real part then its
// imaginary part, every number 32 bytes with the lowest first, times 2^256; all bytes 0 is the zero
// point. So are results, and parts of several threads are to be added up. Split by ranges of
// points: each thread loads its own.
//
// Scalars are whole numbers below the order of the group, the lowest byte first. Those that are
// small, or small below the order, cost less; 0 costs nothing. Time depends on them: this is for a
// prover that runs for the owner of the witness.
//
// Memory: for good 80 bytes a point of "g1", 160 of "g2"; for the moment of a sum about as much
// again at most, which later sums use again, and in the heap 2 bytes for each digit of each scalar.
// 16,384 points of "g1" take 1.3 MB and for the moment 4 MB, 131,072 of them 10 MB and 18 MB.

import { sumsOfBits } from "./bucket-sums.ts";
import { type Group, POINT_BYTES } from "./curve-code.ts";
import { CurveInstance, curveModuleBytes } from "./curve-instance.ts";
import { PAIR_BYTES } from "./field-limbs.ts";
import { digitsOf } from "./scalar-digits.ts";
import { weighBits } from "./weigh-bits.ts";

/** Bases that were loaded. */
export type BasesHandle = number;

/** Bytes of a point in files, by group. */
const FILE_BYTES = { g1: 64, g2: 128 } as const;
const SCALAR_BYTES = 32;
/** Points that are converted at once. */
const PIECE_POINTS = 4096;

interface Bases {
  readonly group: Group;
  /** Address of the first. */
  readonly address: number;
  readonly count: number;
  /** Not 0 for those that are the zero point; undefined where none is. */
  readonly zeros: Uint8Array | undefined;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The code; compiled with the first call. It is right only where isFused: ask before. */
export function multiExpModule(): Promise<WebAssembly.Module> {
  compiled ??= WebAssembly.compile(curveModuleBytes());
  return compiled;
}

/** Sums of points, for one thread. */
export class MultiExp {
  readonly #instance: CurveInstance;
  readonly #bases: Bases[] = [];

  constructor(code: WebAssembly.Module) {
    this.#instance = new CurveInstance(code);
  }

  /** Bytes of its memory, which grows and never shrinks. */
  get bytes(): number {
    return this.#instance.size;
  }

  /** Reads points, which stay. They are believed to be on the curve and of its order. */
  loadBases(group: Group, points: Uint8Array): BasesHandle {
    const count = points.length / FILE_BYTES[group];
    if (!Number.isInteger(count)) {
      throw new RangeError(`points of ${group} take ${FILE_BYTES[group]} bytes each`);
    }
    const address = this.#instance.keep(count * POINT_BYTES[group]);
    const zeros = new Uint8Array(count);
    for (let first = 0; first < count; first += PIECE_POINTS) {
      const end = Math.min(count, first + PIECE_POINTS);
      this.#convert(group, points, { address, zeros, first, end });
    }
    const hasZeros = zeros.includes(1);
    return this.#bases.push({ group, address, count, zeros: hasZeros ? zeros : undefined }) - 1;
  }

  /**
   * The sum of bases times scalars.
   *
   * @param first of the bases, the one that the first scalar is for; 0 by default.
   */
  multiExp(handle: BasesHandle, scalars: Uint8Array, first = 0): Uint8Array<ArrayBuffer> {
    const { group, address, count, zeros } = this.#bases[handle]!;
    const terms = scalars.length / SCALAR_BYTES;
    if (!Number.isInteger(terms) || first + terms > count) {
      throw new RangeError(`there are ${count - first} bases, and a scalar takes 32 bytes`);
    }
    const instance = this.#instance;
    instance.release();
    const digits = digitsOf(scalars, zeros?.subarray(first));
    const bases = address + first * POINT_BYTES[group];
    const bits = sumsOfBits(instance, { group, bases, digits });
    return weighBits(instance, group, bits);
  }

  #convert(
    group: Group,
    points: Uint8Array,
    piece: { address: number; zeros: Uint8Array; first: number; end: number },
  ): void {
    const { address, zeros, first, end } = piece;
    const instance = this.#instance;
    const size = FILE_BYTES[group];
    const pairs = POINT_BYTES[group] / PAIR_BYTES;
    const from = instance.take((end - first) * size);
    instance.bytes.set(points.subarray(first * size, end * size), from);
    for (let i = first; i < end; i++) {
      const point = from + size * (i - first);
      const words = instance.words.subarray(point / 4, (point + size) / 4);
      zeros[i] = words.every((word) => word === 0) ? 1 : 0;
      for (let pair = 0; pair < pairs; pair++) {
        const out = address + PAIR_BYTES * (pairs * i + pair);
        const at = point + 64 * pair;
        instance.functions.fromMontgomery(out, at, at + 32);
      }
    }
    instance.release();
  }
}
