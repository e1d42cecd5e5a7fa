// Compiles an integer graph into a circuit, without any other compiler: the weights are constants
// of linear rows and cost nothing; what costs is the bits of inputs and activations.

import { type IntegerGraph, resultCount } from "../compiler/integer-graph.ts";
import type { Interval } from "./bounds.ts";
import { bitLength, boundsOf, largest, sizeOf } from "./bounds.ts";
import { CircuitBuilder, DECOMPOSITION_BITS_MAX } from "./circuit-builder.ts";
import type { CircuitSchema, InputMode } from "./circuit-schema.ts";
import { wireOf } from "./combination.ts";
import type {
  CircuitOptions,
  CircuitReport,
  CompiledCircuit,
  StepHeadroom,
} from "./compiled-circuit.ts";
import type { ConstraintSystem } from "./constraint-system.ts";
import { encodeInputs } from "./encode-inputs.ts";
import { lowerGraph } from "./lower-graph.ts";
import type { OutputLayout } from "./output-wires.ts";
import { outputLayout, outputWires } from "./output-wires.ts";
import type { InputLayout } from "./packing.ts";
import { inputLayout, unpackInput } from "./packing.ts";
import { commitWires } from "./poseidon.ts";

const CONSTRAINTS_MAX = 2 ** 18;

/**
 * Terms that are written again rather than spared by a wire. A constraint costs a prover a product
 * with a point of the curve, and may be the one that doubles the domain; a term, a multiplication.
 */
const REPEATED_TERMS_MAX = 256;

/** Bits that a value may have before twice its size reaches the order of the field. */
const FIELD_VALUE_BITS = DECOMPOSITION_BITS_MAX;

/**
 * Compiles a graph. The same graph and options give the same circuit on every machine.
 *
 * @throws FailedPrecondition where the circuit would be too large; the message says how large.
 * @throws InvalidArgument where a value would be too long, or the options do not go with the graph;
 *   the message says what to change.
 * @throws RangeError where the graph contradicts itself.
 */
export function compileCircuit(graph: IntegerGraph, options: CircuitOptions): CompiledCircuit {
  const layouts = graph.inputs.map(inputLayout);
  const bounds = boundsOf(
    graph,
    layouts.flatMap(({ lanes }) => lanes.map(({ interval }) => interval)),
  );
  const intervals = Array.from(graph.output.values, (value) => boundOf(bounds, value));
  const { outputMode, threshold } = options;
  const output = outputLayout(graph.output, intervals, {
    ...(outputMode ? { mode: outputMode } : {}),
    ...(threshold === undefined ? {} : { threshold }),
  });
  const inputMode = options.inputMode ?? "public";
  const hasContext = options.context ?? false;
  const builder = new CircuitBuilder({
    ...signalCounts(layouts, output, { inputMode, hasContext }),
    constraintsMax: options.constraintsMax ?? CONSTRAINTS_MAX,
  });
  const values = inputWires(builder, layouts, { inputMode, hasContext, output });
  const lowered = lowerGraph(builder, graph, values, bounds, {
    outputUses: output.mode === "argmax" ? 2 : 1,
    repeatedTermsMax: options.sparse === true ? 0 : REPEATED_TERMS_MAX,
  });
  const choices = [...lowered.choices, ...outputWires(builder, output, lowered.outputs)];
  const { system, program } = builder.finish();
  const schema: CircuitSchema = {
    version: 1,
    inputMode,
    outputMode: output.mode,
    hasContext,
    inputs: layouts.map((layout) => layout.schema),
    output: output.schema,
    modelCommitment: options.modelCommitment,
  };
  const report: CircuitReport = {
    ...sizesOf(system),
    linear: builder.linearCount,
    headroom: headroomOf(graph, bounds),
    deadNeurons: lowered.deadNeurons,
  };
  return {
    system,
    program,
    schema,
    report,
    choices,
    encodeInputs: (inputs) => encodeInputs(schema, layouts, inputs),
  };
}

interface Modes {
  readonly inputMode: InputMode;
  readonly hasContext: boolean;
}

function signalCounts(
  layouts: readonly InputLayout[],
  output: OutputLayout,
  { inputMode, hasContext }: Modes,
): { readonly outputs: number; readonly publicInputs: number; readonly privateInputs: number } {
  const signals = layouts.reduce((total, layout) => total + layout.signals, 0);
  const context = hasContext ? 1 : 0;
  switch (inputMode) {
    case "public":
      return { outputs: output.signals, publicInputs: signals + context, privateInputs: 0 };
    case "committed":
      return {
        outputs: output.signals + 1,
        publicInputs: context,
        privateInputs: 1 + signals,
      };
    case "private":
      return { outputs: output.signals, publicInputs: context, privateInputs: signals };
  }
}

/** The values of all inputs, from their signals; with the commitment and the context. */
function inputWires(
  builder: CircuitBuilder,
  layouts: readonly InputLayout[],
  { inputMode, hasContext, output }: Modes & { readonly output: OutputLayout },
): ReturnType<typeof unpackInput> {
  const total = layouts.reduce((sum, { signals }) => sum + signals, 0);
  const signals = Array.from({ length: total }, (_, i) => {
    if (inputMode === "public") return builder.publicInput(i);
    return builder.privateInput(inputMode === "committed" ? 1 + i : i);
  });
  if (inputMode === "committed") {
    const commitment = commitWires(builder, builder.privateInput(0), signals);
    builder.assign(commitment, { into: builder.output(output.signals) });
  }
  if (hasContext) {
    // A public input that no constraint has is bound only by set-ups that add one for it.
    const context = wireOf(builder.publicInput(inputMode === "public" ? total : 0));
    builder.multiply(context, context);
  }
  let from = 0;
  return layouts.flatMap((layout) => {
    from += layout.signals;
    return unpackInput(builder, layout, signals.slice(from - layout.signals, from));
  });
}

function sizesOf(
  system: ConstraintSystem,
): Pick<CircuitReport, "constraints" | "wires" | "publicSignals" | "domain" | "entries"> {
  const { constraintCount, outputs, publicInputs, a, b, c } = system;
  const publicSignals = outputs + publicInputs;
  return {
    constraints: constraintCount,
    wires: system.wires,
    publicSignals,
    domain: 2 ** Math.ceil(Math.log2(constraintCount + publicSignals + 1)),
    entries: a.wires.length + b.wires.length + c.wires.length,
  };
}

function headroomOf(graph: IntegerGraph, bounds: readonly Interval[]): StepHeadroom[] {
  const results = graph.steps.reduce((total, step) => total + resultCount(step), 0);
  let at = bounds.length - results;
  return graph.steps.map((step) => {
    const of = bounds.slice(at, at + resultCount(step));
    at += of.length;
    const bits = bitLength(largest([0n, ...of.map(sizeOf)]));
    return { step: step.name, bits, spareBits: FIELD_VALUE_BITS - bits };
  });
}

function boundOf(bounds: readonly Interval[], value: number): Interval {
  const interval = bounds[value];
  if (!interval) throw new RangeError(`the output takes value ${value}, which the graph lacks`);
  return interval;
}
