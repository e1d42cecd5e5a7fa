// What the workshop's processes can be asked to do. Everything large is a file, named by its path.

import type { RefusedInference, VerifiedInference } from "../verifier/verify-inference.ts";
import type {
  CircuitSource,
  CompiledFiles,
  CompileTask,
  RowInputs,
  VerifyTask,
} from "./workshop-port.ts";

/** What the process that verifies proofs is asked to do. */
export interface VerifyTasks {
  verify: {
    readonly input: VerifyTask;
    readonly output: VerifiedInference | RefusedInference;
  };
}

/** Inputs and outputs by kind of task. */
export interface WorkshopTasks {
  compile: { readonly input: CompileTask; readonly output: CompiledFiles };
  /** Does as many of the rows as fit into a turn, one at least. */
  evaluate: {
    readonly input: {
      readonly circuit: CircuitSource;
      readonly rows: readonly RowInputs[];
      /** Index of the first of them among those that the caller gave. */
      readonly firstRow: number;
      readonly turnMs: number;
    };
    readonly output: readonly (readonly bigint[])[];
  };
  witness: {
    readonly input: {
      readonly circuit: CircuitSource;
      readonly row: RowInputs;
      /** Path of the .wtns file. */
      readonly to: string;
    };
    readonly output: { readonly publicValues: readonly bigint[] };
  };
}
