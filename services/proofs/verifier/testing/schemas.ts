// Schemas of circuits for tests, each with the fields that a test does not look at filled in.

import type { CircuitSchema, SchemaInput, SchemaOutput } from "../../circuit/circuit-schema.ts";

export const BYTES = {
  name: "pixels",
  shape: [2, 20],
  encoding: { kind: "fixed", scaleBits: 8, lo: 0, hi: 255 },
  bits: 8,
  offset: 0,
} as const satisfies SchemaInput;

export const SIGNED = {
  name: "signed",
  shape: [3],
  encoding: { kind: "fixed", scaleBits: 2, lo: -100, hi: 90 },
  bits: 16,
  offset: 100,
} as const satisfies SchemaInput;

export const ORDERED = {
  name: "ordered",
  shape: [8],
  encoding: { kind: "ordered-float32" },
  bits: 32,
  offset: 0,
} as const satisfies SchemaInput;

/** Columns of a table: full lanes, narrower ones, one below 0 and one that does not begin at 0. */
export const COLUMNS = {
  name: "columns",
  shape: [5],
  encoding: {
    kind: "fixed-each",
    scaleBits: [12, 0, -3, 4, 1],
    lo: [0, 0, -32_768, -100, 7],
    hi: [65_535, 255, 32_767, 90, 9],
  },
  bits: 16,
  offset: 0,
} as const satisfies SchemaInput;

export const SCORES: SchemaOutput = {
  name: "scores",
  shape: [3],
  scaleBits: 4,
  after: "nothing",
  classLabels: [],
  bits: 0,
  offset: "0",
};

export function schemaOf(
  given: Partial<Omit<CircuitSchema, "output">> & { readonly output?: Partial<SchemaOutput> } = {},
): CircuitSchema {
  return {
    version: 1,
    inputMode: "public",
    outputMode: "values",
    hasContext: false,
    inputs: [BYTES],
    modelCommitment: "ab".repeat(32),
    ...given,
    output: { ...SCORES, ...given.output },
  };
}
