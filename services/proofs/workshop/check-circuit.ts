// What every new circuit must pass before anybody gets it: on sample inputs it says what the model
// in whole numbers says, its constraints hold, and they leave a prover nothing to choose.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Internal } from "../../common/errors/domain-error.ts";
import { firstViolation } from "../circuit/check-witness.ts";
import type { CompiledCircuit } from "../circuit/compiled-circuit.ts";
import { publicValuesOf, type Witness } from "../circuit/constraint-system.ts";
import { survivingWires } from "../circuit/mutation.ts";
import { checkSoundness } from "../circuit/soundness.ts";
import { type IntegerRun, integerEvaluator } from "../compiler/integer-evaluate.ts";
import type { IntegerGraph } from "../compiler/integer-graph.ts";
import { toField } from "../field.ts";
import { type DecodedOutput, decodeSignals } from "../verifier/decode-signals.ts";
import { sampleInputs } from "./sample-inputs.ts";

const ROWS = 8;
const SALT = 0x1234_5678_9abc_def0n;
const CONTEXT = 42n;
const WIRES_TOLD_MAX = 10;

/**
 * Checks a circuit against the graph that it was compiled from.
 *
 * @throws Internal with what was found, which is a fault of ours
 */
export function checkCircuit(circuit: CompiledCircuit, graph: IntegerGraph): void {
  const evaluate = integerEvaluator(graph);
  const witnesses = sampleInputs(graph, ROWS).map((tensors) => {
    const signals = circuit.encodeInputs({
      tensors,
      kind: "integers",
      salt: SALT,
      context: CONTEXT,
    });
    const witness = circuit.program.run(signals);
    const violated = firstViolation(circuit.system, witness);
    if (violated !== undefined) throw unsound(`a witness breaks constraint ${violated}`);
    compareOutput(circuit, witness, evaluate(tensors.flatMap((values) => Array.from(values))));
    return witness;
  });
  const { undetermined, survivors } = checkSoundness(circuit, witnesses[0]!);
  // Of another witness too: a wire may be held in its place by luck.
  const loose = new Set([...survivors, ...survivingWires(circuit.system, witnesses[1]!)]);
  const faults = [
    ...(undetermined.length > 0 ? [`the inputs do not determine ${told(undetermined)}`] : []),
    ...(loose.size > 0 ? [`no constraint holds ${told([...loose])} in its place`] : []),
  ];
  if (faults.length > 0) throw unsound(faults.join(", and "));
}

/** Public values as a proof shows them. */
export function fieldValues(circuit: CompiledCircuit, witness: Witness): bigint[] {
  return publicValuesOf(circuit.system, witness).map((value) => toField(BigInt(value)));
}

function compareOutput(circuit: CompiledCircuit, witness: Witness, expected: IntegerRun): void {
  const { output } = decodeSignals(circuit.schema, fieldValues(circuit, witness));
  const [found, wanted] = bothOutputs(output, expected, circuit.schema.output.threshold);
  if (found === wanted) return;
  throw unsound(`it says ${found.slice(0, 200)} where the model says ${wanted.slice(0, 200)}`);
}

function bothOutputs(
  output: DecodedOutput,
  expected: IntegerRun,
  threshold: string | undefined,
): [found: string, wanted: string] {
  switch (output.mode) {
    case "values":
    case "packed":
      return [output.integers.join(), expected.output.join()];
    case "argmax":
      return [`class ${output.index}`, `class ${expected.argmax}`];
    case "threshold": {
      const reached = BigInt(expected.output[0]!) >= BigInt(threshold ?? "0");
      return [`reached: ${output.reached}`, `reached: ${reached}`];
    }
  }
}

function told(wires: readonly number[]): string {
  const first = wires.slice(0, WIRES_TOLD_MAX).join(", ");
  return `${wires.length} of its wires (${first}${wires.length > WIRES_TOLD_MAX ? " ..." : ""})`;
}

function unsound(what: string): Internal {
  return new Internal(
    `The circuit is not sound and was thrown away: ${what}. This is a fault of Plinth and not of ` +
      "the model; please report it with the model's operators.",
    { reason: ErrorReason.UNSPECIFIED },
  );
}
