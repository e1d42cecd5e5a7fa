// Which outputs a request wants, and in what form.

import type { Signature } from "../tensor.ts";
import type { WireInferRequest, WireRequestedOutput } from "./infer-messages.ts";
import { refusedName } from "./infer-parameters.ts";
import { quote, quoteAll, type Violations } from "./violations.ts";

/** Outputs that were asked for. */
export interface CheckedOutputs {
  /** Indices into signature.outputs, in the order wanted. */
  readonly indices: readonly number[];
  /** By position in `indices`: how many classes to name instead of the scores. Absent: none are. */
  readonly classes: ReadonlyMap<number, number>;
}

const NO_CLASSES: ReadonlyMap<number, number> = new Map();
const everyOutput = new WeakMap<Signature, CheckedOutputs>();

/** The outputs wanted, all where the request names none. Adds what is wrong to `violations`. */
export function checkOutputs(
  request: WireInferRequest,
  signature: Signature,
  violations: Violations,
): CheckedOutputs {
  if (request.outputs.length === 0) {
    return allOutputs(signature);
  }
  const names = signature.outputs.map((spec) => spec.name);
  const indices: number[] = [];
  const classes = new Map<number, number>();
  for (let i = 0; i < request.outputs.length && !violations.full; i++) {
    const output = request.outputs[i]!;
    const index = names.indexOf(output.name);
    const fault =
      index < 0
        ? `is not an output of the model, which gives ${quoteAll(names)}`
        : indices.includes(index)
          ? "is asked for more than once"
          : readParameters(output, indices.length, classes, signature.outputs[index]!.datatype);
    if (fault !== undefined) {
      violations.add(`outputs[${i}]`, `output ${quote(output.name)}: ${fault}`);
    }
    indices.push(index);
  }
  return { indices, classes };
}

function allOutputs(signature: Signature): CheckedOutputs {
  let all = everyOutput.get(signature);
  if (all === undefined) {
    all = { indices: signature.outputs.map((_, index) => index), classes: NO_CLASSES };
    everyOutput.set(signature, all);
  }
  return all;
}

/** Reads the parameters of one output; gives what is wrong with them. */
function readParameters(
  output: WireRequestedOutput,
  position: number,
  classes: Map<number, number>,
  datatype: string,
): string | undefined {
  for (const [name, parameter] of output.parameters) {
    if (name !== "classification") {
      const fault = refusedName(name);
      if (fault !== undefined) {
        return `parameter ${quote(name)} ${fault}`;
      }
      continue;
    }
    if (parameter.kind !== "int64" && parameter.kind !== "uint64") {
      return 'parameter "classification" must be int64_param, the number of classes';
    }
    if (parameter.value < 0n || parameter.value > 2147483647n) {
      return `parameter "classification" is ${parameter.value}; expected a number of classes`;
    }
    if (datatype === "BYTES" || datatype === "BOOL") {
      return `parameter "classification" needs numeric scores; this output is ${datatype}`;
    }
    if (parameter.value > 0n) {
      classes.set(position, Number(parameter.value));
    }
  }
  return undefined;
}
