// One thread's share of a key, and of every proof that is made with it: its points, its rows of the
// constraints, its part of the transforms.

import { FIELD_BYTES } from "../../field.ts";
import { G1_BYTES, G2_BYTES, HeaderPlace } from "../zkey-format.ts";
import { keepPoints, type PointShare, readPart, readShare } from "./key-share.ts";
import { type BasesHandle, MultiExp } from "./multi-exp.ts";
import type {
  KeyDescription,
  PartialSums,
  PointBytes,
  ProofJob,
  ThreadCode,
  ThreadStart,
} from "./prove-messages.ts";
import { QuotientShare, quotientPlace } from "./quotient.ts";

/** Points of one sum: those of the key, then those of its header. */
interface SumShare {
  readonly handle: BasesHandle;
  /** Of each point of the key the index of its scalar. */
  readonly scalars: Int32Array;
}

/** The number 1 as a scalar. */
const ONE = Uint8Array.from({ length: FIELD_BYTES }, (_, i) => (i === 0 ? 1 : 0));

/** A thread's share. What it takes is given back to the collector with it. */
export class ProveShare {
  readonly #multiExp: MultiExp;
  readonly #quotient: QuotientShare | undefined;
  readonly #sums: Readonly<Record<keyof PartialSums, SumShare>>;
  readonly #isFirst: boolean;

  /**
   * Reads the share from the key's file.
   *
   * @param file descriptor of the open file.
   * @throws KeyFault where the file says what cannot be.
   */
  constructor(
    file: number,
    key: KeyDescription,
    thread: ThreadStart & { readonly code: ThreadCode },
  ) {
    const { places, domain, publicValues } = key;
    this.#isFirst = thread.index === 0;
    this.#multiExp = new MultiExp(thread.code.multiExp);
    const place = quotientPlace(thread, domain);
    this.#quotient = place && new QuotientShare(thread.code.transform, file, key, place);
    const header = (at: number, size: number): Uint8Array =>
      readPart(file, places.header.at + at, size);
    const { alpha1, beta1, beta2, delta1, delta2 } = HeaderPlace;
    const g1 = { pointBytes: G1_BYTES, firstScalar: 0, thread };
    this.#sums = {
      a: this.#load("g1", readShare(file, places.a, g1), [
        header(alpha1, G1_BYTES),
        header(delta1, G1_BYTES),
      ]),
      b1: this.#load("g1", readShare(file, places.b1, g1), [header(beta1, G1_BYTES)]),
      b2: this.#load("g2", readShare(file, places.b2, { ...g1, pointBytes: G2_BYTES }), [
        header(beta2, G2_BYTES),
        header(delta2, G2_BYTES),
      ]),
      c: this.#load("g1", readShare(file, places.c, { ...g1, firstScalar: publicValues + 1 }), []),
      h: this.#load(
        "g1",
        keepPoints(file, places.h, {
          pointBytes: G1_BYTES,
          scalarOf: (base) => this.#quotient?.scalarOf(base),
        }),
        [],
      ),
    };
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.#multiExp.bytes + (this.#quotient?.bytes ?? 0);
  }

  /** Its share of the sums of a proof; waits for the other threads in between. */
  sums({ witness, vectors, barrier, r, s }: ProofJob): PartialSums {
    const values = new Uint8Array(witness);
    const quotient = this.#quotient?.scalars(values, { vectors, barrier }) ?? new Uint8Array();
    return {
      h: this.#sum("h", quotient, []),
      a: this.#sum("a", values, [ONE, r]),
      b1: this.#sum("b1", values, [ONE]),
      b2: this.#sum("b2", values, [ONE, s]),
      c: this.#sum("c", values, []),
    };
  }

  /** The points of the header belong to the share of the first thread. */
  #load(group: "g1" | "g2", share: PointShare, others: readonly Uint8Array[]): SumShare {
    const points = Buffer.concat([share.points, ...(this.#isFirst ? others : [])]);
    return { handle: this.#multiExp.loadBases(group, points), scalars: share.scalars };
  }

  #sum(name: keyof PartialSums, values: Uint8Array, others: readonly Uint8Array[]): PointBytes {
    const { handle, scalars } = this.#sums[name];
    const own = this.#isFirst ? others : [];
    const gathered = new Uint8Array(FIELD_BYTES * (scalars.length + own.length));
    gather(values, scalars, gathered);
    own.forEach((scalar, i) => {
      gathered.set(scalar, FIELD_BYTES * (scalars.length + i));
    });
    return this.#multiExp.multiExp(handle, gathered);
  }
}

/** Puts the values of some indexes one after the other. */
function gather(values: Uint8Array, indexes: Int32Array, out: Uint8Array): void {
  const words = FIELD_BYTES / 4;
  const from = new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4);
  const to = new Uint32Array(out.buffer);
  for (let i = 0; i < indexes.length; i += 1) {
    const at = words * indexes[i]!;
    for (let word = 0; word < words; word += 1) to[words * i + word] = from[at + word]!;
  }
}
