// Schemas of circuits for tests, each with the fields that a test does not look at filled in.

import type { CircuitSchema, SchemaInput, SchemaOutput } from "../../circuit/circuit-schema.ts";

export const BYTES: SchemaInput = {
  name: "pixels",
  shape: [2, 20],
  encoding: { kind: "fixed", scaleBits: 8, lo: 0, hi: 255 },
  bits: 8,
  offset: 0,
};

export const SIGNED: SchemaInput = {
  name: "signed",
  shape: [3],
  encoding: { kind: "fixed", scaleBits: 2, lo: -100, hi: 90 },
  bits: 16,
  offset: 100,
};

export const ORDERED: SchemaInput = {
  name: "ordered",
  shape: [8],
  encoding: { kind: "ordered-float32" },
  bits: 32,
  offset: 0,
};

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
