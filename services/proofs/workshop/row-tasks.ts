// Rows of inputs through loaded circuits: to public values, or to a witness.

import { writeFile } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { CompiledCircuit } from "../circuit/compiled-circuit.ts";
import type { Witness } from "../circuit/constraint-system.ts";
import { writeWitness } from "../circuit/witness-file.ts";
import type { Progress } from "../process/serve-tasks.ts";
import { fieldValues } from "./check-circuit.ts";
import type { LoadedCircuits } from "./loaded-circuits.ts";
import type { RowInputs } from "./workshop-port.ts";
import type { WorkshopTasks } from "./workshop-tasks.ts";

/** A witness holds the inputs, which may be nobody else's to see. */
const WITNESS_FILE_MODE = 0o600;

/** The public values of as many rows as fit into the turn. */
export async function evaluateRows(
  loaded: LoadedCircuits,
  { circuit: source, rows, firstRow, turnMs }: WorkshopTasks["evaluate"]["input"],
  progress: Progress,
): Promise<bigint[][]> {
  const circuit = await loaded.get(source, progress);
  const end = performance.now() + turnMs;
  const values: bigint[][] = [];
  for (const [i, row] of rows.entries()) {
    if (i > 0 && performance.now() > end) break;
    values.push(fieldValues(circuit, witnessOf(circuit, row, firstRow + i)));
  }
  return values;
}

/** Writes the witness of a row. */
export async function writeRowWitness(
  loaded: LoadedCircuits,
  { circuit: source, row, to }: WorkshopTasks["witness"]["input"],
  progress: Progress,
): Promise<{ readonly publicValues: readonly bigint[] }> {
  const circuit = await loaded.get(source, progress);
  const witness = witnessOf(circuit, row, 0);
  await writeFile(to, writeWitness(witness), { mode: WITNESS_FILE_MODE });
  return { publicValues: fieldValues(circuit, witness) };
}

function witnessOf(circuit: CompiledCircuit, row: RowInputs, index: number): Witness {
  try {
    return circuit.program.run(circuit.encodeInputs({ ...row, kind: "floats" }));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgument(`rows[${index}]: ${error.message}`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: `rows[${index}]`, description: error.message }],
      cause: error,
    });
  }
}
