// How large a circuit is for a prover: its domain, and about how much memory a task takes.

import type { ConstraintSystem } from "../circuit/constraint-system.ts";
import { FIELD_BYTES } from "../field.ts";
import { SectionFile } from "./section-file.ts";

/** What of a circuit its domain depends on. */
export type CircuitCounts = Pick<ConstraintSystem, "constraintCount" | "outputs" | "publicInputs">;

/** What the memory of a task depends on. */
export interface CircuitSize extends CircuitCounts {
  readonly wires: number;
  /** Entries of the three matrices, about. */
  readonly entries: number;
}

/** The domain has 2^domainPower elements: one a constraint, one a public value, and one more. */
export function domainPower(counts: CircuitCounts): number {
  const rows = counts.constraintCount + counts.outputs + counts.publicInputs + 1;
  return Math.max(1, Math.ceil(Math.log2(rows)));
}

/**
 * Reads the size from the head of a .r1cs file, without the rest.
 *
 * @throws InvalidArgument where it is not such a file, whole.
 */
export async function readCircuitSize(path: string): Promise<CircuitSize> {
  await using file = await SectionFile.open(path, "r1cs");
  const at = 4 + FIELD_BYTES;
  file.expectSize(HEADER, at + 4 * 4 + 8 + 4);
  const header = await file.read(HEADER);
  const constraintCount = header.readUInt32LE(at + 24);
  const rowBytes = (file.size(CONSTRAINTS) ?? 0) - 3 * 4 * constraintCount;
  return {
    wires: header.readUInt32LE(at),
    outputs: header.readUInt32LE(at + 4),
    publicInputs: header.readUInt32LE(at + 8),
    constraintCount,
    entries: Math.max(0, Math.floor(rowBytes / (4 + FIELD_BYTES))),
  };
}

/** Resident bytes of the prover's process while it proves or makes a development key, about. */
export function proveMemoryBytes(size: CircuitSize): number {
  return BASE_BYTES + BYTES_PER_CONSTRAINT * size.constraintCount;
}

/** While snarkjs makes or verifies a key from the circuit: it keeps every entry several times. */
export function keyMemoryBytes(size: CircuitSize): number {
  return proveMemoryBytes(size) + BYTES_PER_ENTRY * size.entries;
}

const HEADER = 1;
const CONSTRAINTS = 2;

/** Node, the code of the curve and its threads. */
const BASE_BYTES = 250 * 1024 * 1024;
const BYTES_PER_CONSTRAINT = 6 * 1024;
const BYTES_PER_ENTRY = 640;
