// What compiling an integer graph gives: the constraints, how to fill the wires, what the public
// values mean, and the figures that people want to see.

import type { ChoiceGroup } from "./choice.ts";
import type { CircuitSchema, InputMode, OutputMode } from "./circuit-schema.ts";
import type { ConstraintSystem, WitnessProgram } from "./constraint-system.ts";

export interface CircuitOptions {
  /** Default "public": the inputs are public values, packed. */
  readonly inputMode?: InputMode;
  /** Default "values", or "argmax" where the graph ends in one. */
  readonly outputMode?: OutputMode;
  /** Default false: no context. */
  readonly context?: boolean;
  /**
   * Default false: terms are written again where that spares a constraint. True: they are not, for
   * PLONK, to which each term is a gate.
   */
  readonly sparse?: boolean;
  /** With output mode "threshold": in units of the output itself, not scaled; finite. */
  readonly threshold?: number;
  /** Lower-case hex SHA-256 of the canonical integer graph; goes into the schema. */
  readonly modelCommitment: string;
  /** Refused above this. Default 2^18, which is 2 GB in the prover. */
  readonly constraintsMax?: number;
}

export interface CompiledCircuit {
  readonly system: ConstraintSystem;
  readonly program: WitnessProgram;
  readonly schema: CircuitSchema;
  readonly report: CircuitReport;
  /** Where the circuit chooses one of many: what the soundness check must look at. */
  readonly choices: readonly ChoiceGroup[];
  /**
   * One row of inputs as the circuit takes it: what to give to program.run.
   *
   * @throws RangeError that names the input: another number of values than its shape has, a value
   *   outside of what its encoding takes, NaN, an infinity; a missing salt or context.
   */
  encodeInputs(inputs: CircuitInputs): (number | bigint)[];
}

export interface CircuitInputs {
  /** Values of each input in the order of the schema; floats as the model takes them. */
  readonly tensors: readonly ArrayLike<number>[];
  /** "integers": the values are encoded already (quantised, or keys of ordered-float32). */
  readonly kind: "floats" | "integers";
  /** Needed with input mode "committed": random, 0 to FIELD_ORDER - 1; kept by the owner. */
  readonly salt?: bigint;
  /** Needed where the circuit has a context: 0 to FIELD_ORDER - 1. */
  readonly context?: bigint;
}

export interface CircuitReport {
  readonly constraints: number;
  /** How many of them are linear. */
  readonly linear: number;
  readonly wires: number;
  readonly publicSignals: number;
  /** Power of two that the prover computes in: at least constraints + public values + 1. */
  readonly domain: number;
  /** Entries of the three matrices. */
  readonly entries: number;
  readonly headroom: readonly StepHeadroom[];
  /** Activations that give the same for every input. */
  readonly deadNeurons: number;
}

/** How large the values of a step can become at most. */
export interface StepHeadroom {
  readonly step: string;
  /** Bits of the largest value in size, without its sign. */
  readonly bits: number;
  /** Bits that the field leaves above that. */
  readonly spareBits: number;
}
