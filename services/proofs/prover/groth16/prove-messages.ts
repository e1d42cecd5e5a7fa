// What the prover says to its threads and they to it. Large things lie in memory that all share.

import type { ZkeyPlaces } from "../zkey-file.ts";

/** What a thread must know of a key to read its share of it. */
export interface KeyDescription {
  /** Path of the .zkey file. */
  readonly path: string;
  readonly places: ZkeyPlaces;
  readonly wires: number;
  readonly publicValues: number;
  /** A power of two, at least 2. */
  readonly domain: number;
}

/** Which of the threads one is: what it begins with. */
export interface ThreadStart {
  /** From 0. */
  readonly index: number;
  /** Number of threads, a power of two. */
  readonly count: number;
}

/** The WebAssembly that threads run, compiled once for all of them. */
export interface ThreadCode {
  readonly transform: WebAssembly.Module;
  readonly multiExp: WebAssembly.Module;
}

/** What one proof is made of; the same for every thread. */
export interface ProofJob {
  /** The values of all wires: 32 bytes each, the lowest first. */
  readonly witness: SharedArrayBuffer;
  /** Room in which the threads exchange three vectors of the domain. */
  readonly vectors: SharedArrayBuffer;
  /** See ThreadBarrier. */
  readonly barrier: SharedArrayBuffer;
  /** What hides the witness: two scalars, 32 bytes each, the lowest first. */
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/** A sum of points, affine, in Montgomery form as in the key; all zeros is the point at infinity. */
export type PointBytes = Uint8Array;

/** A thread's share of the five sums of a proof. */
export interface PartialSums {
  /** With alpha and r times delta in the share of the first thread. */
  readonly a: PointBytes;
  /** With beta. */
  readonly b1: PointBytes;
  /** With beta and s times delta. */
  readonly b2: PointBytes;
  readonly c: PointBytes;
  readonly h: PointBytes;
}

/** Threads do one thing after the other. A key has the number that the prover gave it. */
export type ToThread =
  /** Comes first: the code is made while the threads start. */
  | { readonly kind: "code"; readonly code: ThreadCode }
  | { readonly kind: "load"; readonly key: number; readonly description: KeyDescription }
  | { readonly kind: "prove"; readonly key: number; readonly job: ProofJob }
  | { readonly kind: "drop"; readonly key: number };

/** There is no answer to "code" and "drop". An error that is thrown ends the thread. */
export type FromThread =
  | { readonly kind: "loaded" }
  /** The key's file says what cannot be; the thread lives on. */
  | { readonly kind: "refused"; readonly fault: string }
  /** With the bytes that the thread's share of the key takes: sums need room that it keeps. */
  | { readonly kind: "proved"; readonly sums: PartialSums; readonly bytes: number };
