// What the public values of a circuit mean: all that a verifier needs beside the verifying key to
// read a proof, in a process, a browser or a contract.

import type { InputEncoding } from "../compiler/integer-graph.ts";

/** How the inputs of the model show in the public values. */
export type InputMode = "public" | "committed" | "private";

/** How the output shows. */
export type OutputMode = "values" | "packed" | "argmax" | "threshold";

export interface CircuitSchema {
  readonly version: 1;
  readonly inputMode: InputMode;
  readonly outputMode: OutputMode;
  /** Whether a context of the verifier's choosing is the last public value. */
  readonly hasContext: boolean;
  readonly inputs: readonly SchemaInput[];
  readonly output: SchemaOutput;
  /**
   * Lower-case hex SHA-256 of the canonical integer graph: which model it is. Not a public value:
   * the verifying key is of this model and no other.
   */
  readonly modelCommitment: string;
}

/** The public values, in order: the output's, then the inputs' (or the commitment), then the context. */
export interface SchemaInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly encoding: InputEncoding;
  /** Bits of one value as it is packed: 8, 16 or 32; offset binary where it may be negative. */
  readonly bits: number;
  /**
   * Added before packing so that nothing is negative. 0 where each value has an encoding of its own:
   * of it what is packed is its whole number less its `lo`.
   */
  readonly offset: number;
}

export interface SchemaOutput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly scaleBits: number;
  readonly after: "nothing" | "sigmoid" | "softmax" | "tanh";
  readonly classLabels: readonly string[];
  /** With packed: bits of one value, and what was added so that nothing is negative. */
  readonly bits: number;
  readonly offset: string;
  /**
   * With threshold: the public value is 1 where the only output is at least this, else 0. A whole
   * number in the output's scale: it stands for threshold / 2^scaleBits.
   */
  readonly threshold?: string;
}

/**
 * Values per public value: 31 of 8 bits, 15 of 16, 7 of 32; the first in the highest bits. Value i
 * of n = packedPerSignal(bits) stands at bit (n - 1 - i) * bits, in the last, partly filled signal
 * too (its low bits are 0). Every input tensor begins a signal of its own.
 */
export function packedPerSignal(bits: number): number {
  return Math.floor(248 / bits);
}
