// Compiling and evaluating circuits, away from the thread that answers calls: a hostile or huge
// model costs a child process its life and nobody else anything.

import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import type { CircuitReport, CircuitOptions as WireOptions } from "../circuit/compiled-circuit.ts";
import type { CalibrationReport } from "../compiler/calibration-report.ts";
import type { CompileOptions } from "../compiler/compile-model.ts";
import type { RefusedInference, VerifiedInference } from "../verifier/verify-inference.ts";

/** What is to be compiled. */
export interface CompileTask {
  /** Path of the ONNX file. */
  readonly onnx: string;
  readonly model: CompileOptions;
  /**
   * Path of a plinth.proofs.v1.CalibrationData message in protobuf's binary form, in the place of
   * `model.calibration`. Absent: that, or none.
   */
  readonly calibration?: string;
  readonly circuit: Omit<WireOptions, "modelCommitment">;
  /** Existing folder of the caller's, where the files are written. */
  readonly folder: string;
}

/** What came of it; all hashes are lower-case hex SHA-256 of the files. */
export interface CompiledFiles {
  /** Path of the .r1cs file. */
  readonly constraints: string;
  readonly circuitHash: string;
  readonly constraintsBytes: number;
  /** Path of the canonical integer graph: what circuits are loaded from again. */
  readonly model: string;
  readonly modelCommitment: string;
  readonly schema: CircuitSchema;
  readonly schemaHash: string;
  readonly calibration: CalibrationReport;
  readonly report: CircuitReport;
  readonly compileMs: number;
  /** Of the check of soundness, which every circuit passes before it is given out. */
  readonly checkMs: number;
}

/** A circuit that was compiled before. */
export interface CircuitSource {
  /** The same for the same circuit: what is loaded is kept under it. */
  readonly circuitHash: string;
  /** Path of the canonical integer graph. */
  readonly model: string;
  /** As it was compiled with. */
  readonly circuit: WireOptions;
}

/** One row of inputs. */
export interface RowInputs {
  /** Values of each input, in the order of the schema; floats as the model takes them. */
  readonly tensors: readonly Float64Array[];
  /** Where the inputs are committed to. */
  readonly salt?: bigint;
  /** Where the circuit has a context. */
  readonly context?: bigint;
}

/** A proof to look at, and what counts for it. Nothing of the proof need be trusted. */
export interface VerifyTask {
  /** Of the key, which is kept prepared under it. */
  readonly keyHash: string;
  /** In snarkjs' form. */
  readonly verifyingKey: unknown;
  readonly schema: CircuitSchema;
  /** 256 bytes, or snarkjs' JSON. */
  readonly proof: Uint8Array;
  /** In decimal. */
  readonly publicValues: readonly string[];
  /** What the context must be; absent: not compared. */
  readonly context?: bigint;
}

/** How one task is run. */
export interface TaskOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (phase: string) => void;
}

/**
 * Does the work of circuits in processes of its own.
 *
 * All methods throw: InvalidArgument that names node, option, row or input where it is the caller's
 * fault; FailedPrecondition where the circuit is beyond a limit; Cancelled; DeadlineExceeded;
 * ResourceExhausted (memory); Unavailable where a process was lost; Internal where a circuit is not
 * sound (a bug of ours, and never given out) or is not the one that its hash says.
 */
export interface Workshop extends AsyncDisposable {
  /** In a process of its own, which ends after it. The phases: "compiling", "checking soundness". */
  compile(task: CompileTask, options?: TaskOptions): Promise<CompiledFiles>;

  /** The public values of each row, as the circuit gives them. Loaded circuits are kept a while. */
  evaluate(
    circuit: CircuitSource,
    rows: readonly RowInputs[],
    options?: TaskOptions,
  ): Promise<readonly (readonly bigint[])[]>;

  /** Writes a row's witness to a .wtns file, which is the caller's to remove. */
  witness(
    circuit: CircuitSource,
    row: RowInputs,
    to: string,
    options?: TaskOptions,
  ): Promise<{ readonly publicValues: readonly bigint[] }>;

  /** Verifies a Groth16 proof, in a process of its own that is kept a while. */
  verify(task: VerifyTask, options?: TaskOptions): Promise<VerifiedInference | RefusedInference>;
}
