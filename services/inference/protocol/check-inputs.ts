// A decoded request against the signature of the version that shall answer it. What passes here can
// be put into a batch and run; what does not is refused with all that is wrong, in the request's
// own names.

import type { Servable } from "../engine.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { elementCount, shapeFault } from "./check-shape.ts";
import type { WireInferRequest, WireInput } from "./infer-messages.ts";
import { refusedName } from "./infer-parameters.ts";
import { tensorFromContents, tensorFromRaw } from "./input-data.ts";
import { quote, quoteAll, type Violations } from "./violations.ts";

export interface CheckLimits {
  /** Most rows of one request. */
  readonly requestRowsMax: number;
}

/** What of a request goes to the engine. */
export interface CheckedInputs {
  /** In the order of the signature. */
  readonly tensors: readonly Tensor[];
  /** Size of the batch dimension; 1 where the model is not batched. */
  readonly rows: number;
}

/**
 * The inputs in the order of the signature. Adds to `violations` what is wrong; the result means
 * something only where nothing was added.
 */
export function checkInputs(
  request: WireInferRequest,
  servable: Servable,
  limits: CheckLimits,
  violations: Violations,
): CheckedInputs {
  const specs = servable.signature.inputs;
  const raw = request.rawInputContents.length > 0;
  if (raw && request.rawInputContents.length !== request.inputs.length) {
    violations.add(
      "raw_input_contents",
      `raw_input_contents has ${request.rawInputContents.length} entries for ` +
        `${request.inputs.length} inputs; it must have one for each input, in their order`,
    );
    return { tensors: [], rows: 0 };
  }
  const tensors: Tensor[] = new Array(specs.length);
  const seen: boolean[] = new Array(specs.length).fill(false);
  for (let i = 0; i < request.inputs.length && !violations.full; i++) {
    const input = request.inputs[i]!;
    const index = specs[i]?.name === input.name ? i : specs.findIndex((s) => s.name === input.name);
    const fault =
      index < 0
        ? `is not an input of the model, which takes ${quoteAll(specs.map((s) => s.name))}`
        : seen[index] === true
          ? "comes more than once"
          : place(tensors, index, specs[index]!, input, request.rawInputContents[i]);
    if (index >= 0) {
      seen[index] = true;
    }
    if (fault !== undefined) {
      violations.add(`inputs[${i}]`, `input ${quote(input.name)}: ${fault}`);
    }
  }
  for (let i = 0; i < specs.length; i++) {
    if (seen[i] !== true) {
      const { name, datatype } = specs[i]!;
      violations.add("inputs", `input ${quote(name)} (${datatype}) is missing`);
    }
  }
  const rows = violations.count > 0 ? 0 : checkRows(tensors, servable, limits, violations);
  return { tensors, rows };
}

/** Makes the tensor of one input; gives what is wrong with it. */
function place(
  tensors: Tensor[],
  index: number,
  spec: TensorSpec,
  input: WireInput,
  raw: Uint8Array | undefined,
): string | undefined {
  for (const name of input.parameters.keys()) {
    const fault = refusedName(name);
    if (fault !== undefined) {
      return `parameter ${quote(name)} ${fault}`;
    }
  }
  if (input.datatype !== spec.datatype) {
    return `datatype ${quote(input.datatype)} came, ${quote(spec.datatype)} is expected`;
  }
  const fault = shapeFault(input.shape, spec);
  if (fault !== undefined) {
    return fault;
  }
  const count = elementCount(input.shape);
  if (count === undefined) {
    return `shape [${input.shape.join(",")}] means more elements than any message can carry`;
  }
  if (raw !== undefined && input.contents !== undefined) {
    return "contents must not be set where raw_input_contents are; send one of the two";
  }
  const result =
    raw === undefined
      ? tensorFromContents(spec, input, count)
      : tensorFromRaw(spec, input.shape, count, raw);
  if (result.fault !== undefined) {
    return result.fault;
  }
  tensors[index] = result.tensor;
  return undefined;
}

/** The size of the batch dimension that all inputs share. */
function checkRows(
  tensors: readonly Tensor[],
  servable: Servable,
  limits: CheckLimits,
  violations: Violations,
): number {
  if (!servable.batched || tensors.length === 0) {
    return 1;
  }
  const rows = tensors[0]!.shape[0] ?? 1;
  const other = tensors.find((tensor) => tensor.shape[0] !== rows);
  if (other !== undefined) {
    violations.add(
      "inputs",
      `input ${quote(other.name)} has ${other.shape[0]} rows and input ` +
        `${quote(tensors[0]!.name)} has ${rows}; all inputs must have the same number`,
    );
  } else if (rows > limits.requestRowsMax) {
    violations.add(
      "inputs",
      `${rows} rows came; one request may have ${limits.requestRowsMax}, split it`,
    );
  }
  return rows;
}
