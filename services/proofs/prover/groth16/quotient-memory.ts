// What a thread has in memory for its part of the quotient: the rows of the constraints, tables for
// the transforms, and room for the vectors.

import { FIELD_BYTES, toField } from "../../field.ts";
import { inverse, power, rootOfUnity, scalarBytes } from "../scalar-field.ts";
import type { RowEntries } from "./constraint-rows.ts";
import { ELEMENT_BYTES, PAIR_BYTES } from "./field-limbs.ts";
import type { ThreadStart } from "./prove-messages.ts";
import { type TransformFunctions, transformInstance } from "./transform-code.ts";

/** The coefficients of the key are times R^2, R = 2^256. */
const OVER_R_SQUARED = inverse(power(2n, 512n));

/** What of a key the memory is for, and which part of the quotient. */
export interface QuotientPart {
  readonly domain: number;
  readonly wires: number;
  readonly place: ThreadStart;
}

/** Where everything lies. */
export interface QuotientAddresses {
  /** A pair, and two numbers of 32 bytes. */
  readonly scratch: number;
  /** This thread's parts of the vectors of A, B and C. */
  readonly own: readonly [number, number, number];
  /** Powers of the inverted root of the domain, as transform-code.ts has them. */
  readonly table: number;
  /** What takes this thread's coefficients to the odd powers. */
  readonly shift: number;
  /** The values of all wires. */
  readonly wires: number;
  readonly coefficients: number;
  /** For each coefficient the addresses of a row's sum and of a wire. */
  readonly places: number;
  /** A whole vector, at another time whatever numbers of 32 bytes are on their way in or out. */
  readonly whole: number;
  readonly end: number;
}

/** An instance of the transforms with everything that stays of a key. */
export class QuotientMemory {
  readonly functions: TransformFunctions;
  readonly addresses: QuotientAddresses;
  /** Elements of the part. */
  readonly size: number;
  /** Entries of the rows, an even number. */
  readonly entryCount: number;
  readonly #part: QuotientPart;
  readonly #memory: WebAssembly.Memory;

  constructor(code: WebAssembly.Module, part: QuotientPart, rows: RowEntries) {
    this.#part = part;
    this.size = part.domain / part.place.count;
    this.entryCount = even(rows.rows.length);
    this.addresses = addressesOf({
      domain: part.domain,
      size: this.size,
      wires: even(part.wires),
      entries: this.entryCount,
    });
    const { functions, memory } = transformInstance(code, this.addresses.end);
    this.functions = functions;
    this.#memory = memory;
    this.#setEntries(rows);
    this.#makeTable();
    this.#makeShift();
  }

  /** All of it; it never grows. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer);
  }

  /** Takes the values of all wires, 32 bytes each. */
  setWires(witness: Uint8Array): void {
    const { whole, wires } = this.addresses;
    this.bytes.set(witness.subarray(0, FIELD_BYTES * this.#part.wires), whole);
    this.functions.fromIntegers(wires, whole, even(this.#part.wires));
  }

  #setEntries({ matrices, rows, wires, coefficients }: RowEntries): void {
    const at = this.addresses;
    this.bytes.set(coefficients, at.whole);
    this.functions.fromIntegers(at.coefficients, at.whole, this.entryCount);
    this.#putTwice(at.scratch, OVER_R_SQUARED);
    this.functions.scale(at.coefficients, at.coefficients, at.scratch, this.entryCount);
    const places = new Uint32Array(this.#memory.buffer, at.places, 2 * this.entryCount);
    for (let i = 0; i < rows.length; i += 1) {
      places[2 * i] = elementAt(at.own[matrices[i]!]!, rows[i]!);
      places[2 * i + 1] = elementAt(at.wires, wires[i]!);
    }
    // An entry that fills the last pair: nothing is added, to an element of no vector.
    if (rows.length < this.entryCount) places.fill(at.scratch, 2 * rows.length);
  }

  /** See transform-code.ts. */
  #makeTable(): void {
    for (let half = this.#part.domain / 2; half >= 2; half /= 2) {
      const root = inverse(rootOfUnity(Math.log2(half) + 1));
      const at = this.addresses.table + ELEMENT_BYTES * half;
      this.#put(at, 1n, root);
      for (let count = 2; count < half; count *= 2) {
        this.#putTwice(this.addresses.scratch, power(root, BigInt(count)));
        this.functions.scale(at + ELEMENT_BYTES * count, at, this.addresses.scratch, count);
      }
    }
  }

  /** g^j / n for each of this thread's coefficients j, in bit-reversed order. */
  #makeShift(): void {
    const { index, count } = this.#part.place;
    const g = rootOfUnity(Math.log2(this.#part.domain) + 1);
    const first = toField(power(g, BigInt(index)) * inverse(BigInt(this.#part.domain)));
    const step = power(g, BigInt(count));
    const stride = (elements: number): bigint => power(step, BigInt(elements));
    this.#put(this.addresses.shift, first, toField(first * stride(this.size / 2)));
    for (let done = 2; done < this.size; done *= 2) {
      this.#putTwice(this.addresses.scratch, stride(this.size / (2 * done)));
      const to = this.addresses.shift + ELEMENT_BYTES * done;
      this.functions.scale(to, this.addresses.shift, this.addresses.scratch, done);
    }
  }

  #putTwice(at: number, element: bigint): void {
    this.#put(at, element, element);
  }

  #put(at: number, first: bigint, second: bigint): void {
    const integers = this.addresses.scratch + PAIR_BYTES;
    this.bytes.set(scalarBytes([first, second]), integers);
    this.functions.fromIntegers(at, integers, 2);
  }
}

/** Address of an element of a vector, by itself. */
function elementAt(vector: number, index: number): number {
  return vector + PAIR_BYTES * (index >> 1) + 8 * (index & 1);
}

function even(count: number): number {
  return count + (count & 1);
}

function addressesOf(counts: {
  readonly domain: number;
  readonly size: number;
  readonly wires: number;
  readonly entries: number;
}): QuotientAddresses {
  const { domain, size, wires, entries } = counts;
  let end = 0;
  const take = (bytes: number): number => {
    end += bytes;
    return end - bytes;
  };
  const scratch = take(2 * PAIR_BYTES);
  const elements = (count: number): number => take(ELEMENT_BYTES * count);
  const own = [elements(size), elements(size), elements(size)] as const;
  const [table, shift] = [elements(domain), elements(size)];
  const places = take(8 * entries);
  const [wireValues, coefficients] = [elements(wires), elements(entries)];
  const whole = take(Math.max(ELEMENT_BYTES * domain, FIELD_BYTES * wires, FIELD_BYTES * entries));
  return {
    scratch,
    own,
    table,
    shift,
    wires: wireValues,
    coefficients,
    places,
    whole,
    end,
  };
}
