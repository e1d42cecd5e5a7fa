// The scalars of the key's last bases: what is left of A(x) B(x) - C(x), which the polynomial of the
// domain divides, at the odd powers of a root of order 2n (n the size of the domain). The key holds
// these bases by Lagrange's polynomials of the whole 2n powers, where A B - C is 0 at the even ones
// for a witness that satisfies the circuit, so there is nothing to divide.
//
// The threads share the transforms: thread t of T takes the coefficients t, t + T, t + 2T ... of each
// polynomial. By folding a vector of values in halves log2 T times it has a vector of n / T, of which
// the transform is those coefficients; and the values at the odd powers are put together of T
// transforms of n / T values. In between the threads exchange what they have in shared memory.
//
// Both ways the root of the even powers, w, is inverted, so that one table is enough: the second
// transform then gives the value at g w^-i in place i, g being the root of order 2n.

import { FIELD_BYTES } from "../../field.ts";
import type { ZkeyPlaces } from "../zkey-file.ts";
import { readRows } from "./constraint-rows.ts";
import { ELEMENT_BYTES } from "./field-limbs.ts";
import type { ThreadStart } from "./prove-messages.ts";
import { QuotientMemory } from "./quotient-memory.ts";
import { ThreadBarrier } from "./thread-barrier.ts";

/** A, B and C. */
const VECTORS = 3;

/** Memory for the vectors that the threads of a key exchange. */
export function exchangeBytes(domain: number): number {
  return VECTORS * ELEMENT_BYTES * domain;
}

/** Which part of the quotient a thread makes; none where the domain is too small for all threads. */
export function quotientPlace(thread: ThreadStart, domain: number): ThreadStart | undefined {
  const count = Math.min(thread.count, domain / 2);
  return thread.index < count ? { index: thread.index, count } : undefined;
}

/** A thread's part of the quotient's scalars, for one key. */
export class QuotientShare {
  readonly #memory: QuotientMemory;
  readonly #place: ThreadStart;
  readonly #domain: number;

  /** @throws KeyFault */
  constructor(
    code: WebAssembly.Module,
    file: number,
    key: { readonly places: ZkeyPlaces; readonly domain: number; readonly wires: number },
    place: ThreadStart,
  ) {
    const { domain, wires } = key;
    const rowCount = domain / place.count;
    const bounds = { firstRow: place.index * rowCount, rowCount, domain, wires };
    const rows = readRows(file, key.places.coefficients, bounds);
    this.#place = place;
    this.#domain = domain;
    this.#memory = new QuotientMemory(code, { domain, wires, place }, rows);
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.#memory.bytes.length;
  }

  /** Which of the key's bases a scalar is for: undefined for those of other threads. */
  scalarOf(base: number): number | undefined {
    // The transform gives the value of base n - i in place i.
    const index = (this.#domain - base) % this.#domain;
    const { size } = this.#memory;
    return Math.floor(index / size) === this.#place.index ? index % size : undefined;
  }

  /**
   * The scalars for a witness, 32 bytes each; see scalarOf for which bases. They stand in memory that
   * the next call overwrites.
   *
   * @param witness 32 bytes a wire, the lowest first.
   */
  scalars(
    witness: Uint8Array,
    shared: { readonly vectors: SharedArrayBuffer; readonly barrier: SharedArrayBuffer },
  ): Uint8Array {
    const barrier = new ThreadBarrier(shared.barrier, this.#place.count);
    const vectors = new Uint8Array(shared.vectors);
    this.#evaluateRows(witness);
    this.#publish(vectors);
    barrier.wait();
    for (let vector = 0; vector < VECTORS; vector += 1) this.#fold(vectors, vector);
    // Nobody overwrites what another still reads.
    barrier.wait();
    for (let vector = 0; vector < VECTORS; vector += 1) this.#transform(vector);
    this.#publish(vectors);
    barrier.wait();
    for (let vector = 0; vector < VECTORS; vector += 1) this.#join(vectors, vector);
    return this.#products();
  }

  #evaluateRows(witness: Uint8Array): void {
    const { functions, addresses, size, entryCount, bytes } = this.#memory;
    const [a, b, c] = addresses.own;
    this.#memory.setWires(witness);
    bytes.fill(0, a, b + ELEMENT_BYTES * size);
    functions.accumulate(addresses.places, addresses.coefficients, entryCount);
    functions.multiply(c, a, b, size);
  }

  /** Gives the other threads this one's vectors. */
  #publish(vectors: Uint8Array): void {
    const { addresses, bytes, size } = this.#memory;
    const part = ELEMENT_BYTES * size;
    addresses.own.forEach((from, vector) => {
      const to = ELEMENT_BYTES * this.#domain * vector + part * this.#place.index;
      vectors.set(bytes.subarray(from, from + part), to);
    });
  }

  /** Makes of a whole vector that of which the transform is this thread's coefficients. */
  #fold(vectors: Uint8Array, vector: number): void {
    const { functions, addresses, bytes, size } = this.#memory;
    const { whole, own, table } = addresses;
    const all = ELEMENT_BYTES * this.#domain;
    bytes.set(vectors.subarray(all * vector, all * (vector + 1)), whole);
    let length = this.#domain;
    for (let rest = this.#place.index; length > size; rest >>= 1, length /= 2) {
      const half = length / 2;
      const upper = whole + ELEMENT_BYTES * half;
      if ((rest & 1) === 0) functions.add(whole, whole, upper, half);
      else {
        functions.subtract(whole, whole, upper, half);
        functions.multiply(whole, whole, table + ELEMENT_BYTES * half, half);
      }
    }
    const end = whole + ELEMENT_BYTES * size;
    bytes.copyWithin(own[vector]!, whole, end);
  }

  /** From values to coefficients, and to values at the odd powers, as far as this thread has them. */
  #transform(vector: number): void {
    const { functions, addresses, size } = this.#memory;
    const { own, table, shift } = addresses;
    const at = own[vector]!;
    functions.split(at, size, table);
    functions.multiply(at, at, shift, size);
    functions.merge(at, size, table);
  }

  /**
   * A part of the values from all threads' transforms: place i has the sum of w^-ik times place i
   * modulo n / T of transform k.
   */
  #join(vectors: Uint8Array, vector: number): void {
    const { functions, addresses, bytes, size } = this.#memory;
    const { count, index } = this.#place;
    const { own, whole, table } = addresses;
    const sum = own[vector]!;
    const partBytes = ELEMENT_BYTES * size;
    // The table ends before w^(n/2), which is -1.
    const first = (index * size) % (this.#domain / 2);
    const roots = table + ELEMENT_BYTES * (this.#domain / 2 + first);
    const addNext = 2 * index < count ? functions.add : functions.subtract;
    for (let part = count - 1; part >= 0; part -= 1) {
      const from = ELEMENT_BYTES * this.#domain * vector + partBytes * part;
      bytes.set(vectors.subarray(from, from + partBytes), part === count - 1 ? sum : whole);
      if (part === count - 1) continue;
      functions.multiply(sum, sum, roots, size);
      addNext(sum, whole, sum, size);
    }
  }

  #products(): Uint8Array {
    const { functions, addresses, bytes, size } = this.#memory;
    const { own, whole } = addresses;
    const [a, b, c] = own;
    functions.multiply(a, a, b, size);
    functions.subtract(a, a, c, size);
    functions.toIntegers(a, whole, size);
    return bytes.subarray(whole, whole + FIELD_BYTES * size);
  }
}
