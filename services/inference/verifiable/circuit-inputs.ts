// The tensors of a request as a circuit is given them: the very numbers that the float model gets,
// as doubles, which hold every one of them exactly.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { InputValuesSchema } from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { readNumber, viewOf } from "../protocol/numbers.ts";
import { quote, Violations } from "../protocol/violations.ts";
import { ELEMENT_BYTES, type FixedTensor, type Tensor } from "../tensor.ts";

/** The rows of the tensors in the terms of the request. */
export interface RowPlaces {
  /** Rows that are in the tensors. */
  readonly count: number;
  /** "rows[3]" */
  of(row: number): string;
}

/**
 * One a tensor.
 * @throws InvalidArgument that names row and input of each number that no circuit takes;
 *   FailedPrecondition for a model that takes texts.
 */
export function circuitInputs(
  tensors: readonly Tensor[],
  rows: RowPlaces,
  modelVersion: string,
): MessageInitShape<typeof InputValuesSchema>[] {
  const violations = new Violations();
  const inputs = tensors.map((tensor) => {
    if (tensor.datatype === "BYTES") {
      throw noCircuit(modelVersion, tensor.name);
    }
    return { name: tensor.name, doubles: doublesOf(tensor, rows, violations) };
  });
  violations.throwIfAny(ErrorReason.INVALID_FIELD);
  return inputs;
}

function doublesOf(tensor: FixedTensor, rows: RowPlaces, violations: Violations): number[] {
  const { name, datatype, data } = tensor;
  if (datatype === "BOOL") {
    return Array.from(data);
  }
  const view = viewOf(data);
  const count = data.length / ELEMENT_BYTES[datatype];
  const perRow = count / rows.count;
  return Array.from({ length: count }, (_, i) => {
    const value = readNumber(view, datatype, i);
    const fault = faultOf(value);
    if (fault !== undefined) {
      const field = `${rows.of(Math.floor(i / perRow))}.${name}`;
      violations.add(field, `${field}: ${value} ${fault}, which no circuit takes`);
    }
    return Number(value);
  });
}

function faultOf(value: number | bigint): string | undefined {
  if (typeof value === "number") {
    return Number.isFinite(value) ? undefined : "is not finite";
  }
  return Number.isSafeInteger(Number(value)) ? undefined : "is beyond 2^53";
}

function noCircuit(modelVersion: string, input: string): FailedPrecondition {
  const description = `its input ${quote(input)} takes texts, which no circuit does`;
  return new FailedPrecondition(`Answers of ${modelVersion} cannot be proved: ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "CIRCUIT", subject: modelVersion, description }],
  });
}
