// From an ONNX graph to a float program: constants are folded, everything linear between two
// activations becomes one layer of rows, and whatever cannot be proved is listed at once.

import type { FloatProgram, ProgramInput, ProgramOutput } from "./float-program.ts";
import { identityRows } from "./float-rows.ts";
import { constant, type Lowered, type LoweredValues, Lowering, operandOf } from "./lowering.ts";
import type { GraphInput, ModelGraph } from "./model-graph.ts";
import { operatorName } from "./onnx-model.ts";
import { castType, evaluateNode, isKnown, shapeTensor } from "./operators/evaluate.ts";
import { INDEX_MAPS } from "./operators/index-maps.ts";
import { LINEAR_MAPS, ML_LINEAR_MAPS } from "./operators/linear-maps.ts";
import {
  lowerArgMax,
  lowerClip,
  lowerLabels,
  lowerLast,
  lowerLeakyRelu,
  lowerMaxPool,
  lowerQuantise,
  lowerRelu,
} from "./operators/lower-activations.ts";
import { lowerCast, lowerIndexMap, lowerLinearMap, lowerSum } from "./operators/lower-linear.ts";
import {
  lowerLinearClassifier,
  lowerLinearRegressor,
  lowerNormalizer,
  lowerTreeClassifier,
  lowerTreeRegressor,
} from "./operators/lower-ml.ts";
import { constantInput, type NodeContext, required } from "./operators/node-context.ts";
import { sizeOf } from "./tensor.ts";
import {
  invalidModel,
  NodeRefusal,
  UnsupportedModel,
  type UnsupportedNode,
} from "./unsupported.ts";

type Inputs = readonly (Lowered | undefined)[];
type Lower = (context: NodeContext, inputs: Inputs, lowering: Lowering) => Lowered[];

/**
 * The program of a graph.
 *
 * @throws UnsupportedModel with every node that cannot be proved
 */
export function lowerModel(graph: ModelGraph, classLabels?: readonly string[]): FloatProgram {
  const inputs = programInputs(graph.inputs);
  const lowering = new Lowering(inputs);
  const tensors = new Map<string, Lowered>();
  for (const [name, tensor] of graph.initializers) {
    tensors.set(name, constant(tensor));
  }
  for (const [i, input] of graph.inputs.entries()) {
    tensors.set(input.name, inputValues(input, inputs[i]!));
  }
  const refused: UnsupportedNode[] = [];
  const budget = { left: graph.nodes[0]?.limits.computedTotal ?? 0 };
  for (const context of graph.nodes) {
    lowerInto(context, { tensors, lowering, refused, budget });
  }
  if (refused.length === 0) {
    const output = tensors.get(graph.output)!;
    try {
      return finish(graph, lowering, { output, classLabels });
    } catch (error) {
      refused.push(refusalOf(error, { name: graph.output, operator: "output" }));
    }
  }
  throw new UnsupportedModel(refused);
}

function programInputs(inputs: readonly GraphInput[]): ProgramInput[] {
  let first = 0;
  return inputs.map(({ name, type, shape }) => {
    const input = { name, type, shape: shape.slice(1), first, size: sizeOf(shape) };
    first += input.size;
    return input;
  });
}

function inputValues(input: GraphInput, { first, size }: ProgramInput): LoweredValues {
  const features = Array.from({ length: size }, (_, i) => ({ input: first + i, chain: [] }));
  const rows = identityRows(first, size);
  const { type, shape } = input;
  return { kind: "values", type, shape, rows, after: "nothing", features, classLabels: [] };
}

/** Lowers a node; a refusal goes to the list, and its results are missing from then on. */
function lowerInto(
  context: NodeContext,
  state: {
    readonly tensors: Map<string, Lowered>;
    readonly lowering: Lowering;
    readonly refused: UnsupportedNode[];
    readonly budget: { left: number };
  },
): void {
  const { tensors, lowering, refused } = state;
  const { node } = context;
  const name = operatorName(node);
  const inputs = node.inputs.map((input) => tensors.get(input));
  const isMissing = node.inputs.some((input, i) => input !== "" && inputs[i] === undefined);
  try {
    if (!isKnown(name)) {
      throw new NodeRefusal("the operator is not in the subset that is proved", adviceFor(name));
    }
    // What it takes was refused already; its own faults would be guesses.
    if (isMissing) {
      return;
    }
    lowerNode(context, inputs, lowering).forEach((lowered, i) => {
      const output = node.outputs[i];
      state.budget.left -= entriesOf(lowered);
      if (state.budget.left < 0) {
        throw invalidModel(
          `its nodes give more than ${context.limits.computedTotal} values and weights together`,
        );
      }
      if (output !== undefined && output !== "") {
        tensors.set(output, lowered);
      }
    });
  } catch (error) {
    refused.push(refusalOf(error, { name: node.name, operator: name }));
  }
}

/** What a result takes in memory, about. */
function entriesOf(lowered: Lowered): number {
  switch (lowered.kind) {
    case "constant":
      return lowered.tensor.data.length;
    case "values":
      return lowered.rows.columns.length + lowered.rows.bias.length;
    default:
      return 1;
  }
}

function refusalOf(
  error: unknown,
  node: { readonly name: string; readonly operator: string },
): UnsupportedNode {
  if (!(error instanceof NodeRefusal)) {
    throw error;
  }
  return { ...(error.node ?? node), why: error.why, advice: error.advice };
}

/** What to do about operators that are met often. */
function adviceFor(operator: string): string {
  for (const [pattern, advice] of ADVICE) {
    if (pattern.test(operator)) {
      return advice;
    }
  }
  return (
    "use the operators that the proofs service names in its README, or take the part of the model " +
    "before it as the output"
  );
}

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^(LSTM|GRU|RNN|Loop|If|Scan)$/, "recurrent and conditional models have no circuit of one size"],
  [
    /^(Erf|Gelu|Elu|Selu|Softplus|HardSwish|HardSigmoid|Mish|Exp|Log|PRelu|Swish)$/,
    "train with Relu, LeakyRelu or Clip (ReLU6) instead",
  ],
  [/^(LogSoftmax|Hardmax)$/, "end the model before it: the class of the largest score is the same"],
  [
    /^(QLinear|.*Integer$|DynamicQuantize)/,
    "export the quantised model as QuantizeLinear and DequantizeLinear pairs",
  ],
  [
    /^(LayerNormalization|InstanceNormalization|GroupNormalization|LRN)$/,
    "train with BatchNormalization instead",
  ],
  [/SVM|OneHot|LabelEncoder|Tfidf|Imputer/, "do it before the model, as a feature"],
];

function lowerNode(context: NodeContext, inputs: Inputs, lowering: Lowering): Lowered[] {
  const name = operatorName(context.node);
  if (name === "Shape") {
    return [constant(shapeTensor(context, operandOf(required(context, inputs, 0)).shape))];
  }
  const present = inputs.filter((input) => input !== undefined);
  if (present.every((input) => input.kind === "constant")) {
    const known = inputs.map((input) => (input?.kind === "constant" ? input.tensor : undefined));
    return evaluateNode(context, known).map(constant);
  }
  const lower = LOWER[name];
  if (lower !== undefined) {
    return lower(context, inputs, lowering);
  }
  const operands = inputs.map((input) => input && operandOf(input));
  const indexMap = INDEX_MAPS[name];
  if (indexMap !== undefined) {
    return indexMap(context, operands).map((map) => lowerIndexMap(context, inputs, map));
  }
  const linearMap = LINEAR_MAPS[name] ?? ML_LINEAR_MAPS[name.replace("ai.onnx.ml.", "")];
  if (linearMap === undefined) {
    throw new NodeRefusal("it depends on the input", `${name} is taken for constants only`);
  }
  return [lowerLinearMap(context, inputs, { map: linearMap(context, operands), lowering })];
}

/** Operators that are more than moving values or one linear map. */
const LOWER: Readonly<Record<string, Lower>> = {
  Add: addOrSubtract,
  Sub: addOrSubtract,
  Sum: (context, inputs) => [lowerSum(context, inputs)],
  Cast: (context, inputs) => [
    lowerCast(context, required(context, inputs, 0), castType(context.node)),
  ],
  Relu: (context, inputs, lowering) => [lowerRelu(context, required(context, inputs, 0), lowering)],
  LeakyRelu: (context, inputs, lowering) => [
    lowerLeakyRelu(context, required(context, inputs, 0), lowering),
  ],
  Clip: (context, inputs, lowering) => {
    const operands = inputs.map((input) => input && operandOf(input));
    const bounds = [constantInput(operands, 1, "bound"), constantInput(operands, 2, "bound")];
    return [lowerClip(context, inputs, { bounds, lowering })];
  },
  MaxPool: (context, inputs, lowering) => [
    lowerMaxPool(context, required(context, inputs, 0), lowering),
  ],
  GlobalMaxPool: (context, inputs, lowering) => [
    lowerMaxPool(context, required(context, inputs, 0), lowering),
  ],
  Sigmoid: (context, inputs) => [lowerLast(context, required(context, inputs, 0))],
  Tanh: (context, inputs) => [lowerLast(context, required(context, inputs, 0))],
  Softmax: (context, inputs) => [lowerLast(context, required(context, inputs, 0))],
  ArgMax: (context, inputs) => [lowerArgMax(context, required(context, inputs, 0))],
  QuantizeLinear: (context, inputs, lowering) => {
    const operands = inputs.map((input) => input && operandOf(input));
    return [lowerQuantise(context, inputs, { operands, lowering })];
  },
  Gather: (context, inputs) => lookUp(context, inputs),
  "ai.onnx.ml.ArrayFeatureExtractor": (context, inputs) => lookUp(context, inputs),
  "ai.onnx.ml.ZipMap": (context, inputs) => [required(context, inputs, 0)],
  "ai.onnx.ml.Normalizer": (context, inputs) => [
    lowerNormalizer(context, required(context, inputs, 0)),
  ],
  "ai.onnx.ml.LinearRegressor": (context, inputs, lowering) =>
    lowerLinearRegressor(context, inputs, { map: mlMap(context, inputs), lowering }),
  "ai.onnx.ml.LinearClassifier": (context, inputs, lowering) =>
    lowerLinearClassifier(context, inputs, { map: mlMap(context, inputs), lowering }),
  "ai.onnx.ml.TreeEnsembleRegressor": lowerTreeRegressor,
  "ai.onnx.ml.TreeEnsembleClassifier": lowerTreeClassifier,
};

function mlMap(context: NodeContext, inputs: Inputs) {
  const operands = inputs.map((input) => input && operandOf(input));
  return ML_LINEAR_MAPS[context.node.operator]!(context, operands);
}

function addOrSubtract(context: NodeContext, inputs: Inputs, lowering: Lowering): Lowered[] {
  if (inputs.every((input) => input?.kind !== "constant")) {
    return [lowerSum(context, inputs)];
  }
  const map = LINEAR_MAPS[context.node.operator]!(
    context,
    inputs.map((input) => input && operandOf(input)),
  );
  return [lowerLinearMap(context, inputs, { map, lowering })];
}

/** A table of constants looked up by an ArgMax, or constants picked from values. */
function lookUp(context: NodeContext, inputs: Inputs): Lowered[] {
  const table = required(context, inputs, 0);
  const index = required(context, inputs, 1);
  if (table.kind === "constant") {
    return [lowerLabels(table.tensor, index)];
  }
  const operands = inputs.map((input) => input && operandOf(input));
  if (context.node.operator === "Gather") {
    return INDEX_MAPS.Gather!(context, operands).map((map) => lowerIndexMap(context, inputs, map));
  }
  const columns = table.shape[table.shape.length - 1] ?? 1;
  const picked = constantInput(operands, 1, "list of columns")!.data;
  const rows = sizeOf(table.shape) / columns;
  if (picked.some((column) => !(column >= 0 && column < columns))) {
    throw new NodeRefusal(`it takes columns ${Array.from(picked)} of ${columns}`, "correct them");
  }
  const from = Int32Array.from({ length: rows * picked.length }, (_, i) => {
    return Math.floor(i / picked.length) * columns + picked[i % picked.length]!;
  });
  const map = { shape: [rows, picked.length], from, fill: 0, sources: [0] };
  return [lowerIndexMap(context, inputs, map)];
}

function finish(
  graph: ModelGraph,
  lowering: Lowering,
  given: { readonly output: Lowered; readonly classLabels: readonly string[] | undefined },
): FloatProgram {
  const { output } = given;
  if (output.kind === "constant") {
    throw invalidModel(`its output "${graph.output}" is the same for every input`);
  }
  if (output.kind === "refused") {
    throw output.refusal;
  }
  const source = output.kind === "argmax" ? output.of : output;
  const { shape } = output;
  if (shape.length > 0 && shape[0] !== 1) {
    throw invalidModel(
      `its output "${graph.output}" has the shape [${shape}] for one row; 1 as the first dimension ` +
        "was expected",
    );
  }
  const answer: ProgramOutput = {
    name: graph.output,
    shape: shape.slice(1),
    rows: source.rows,
    after: source.after,
    argmax: output.kind === "argmax",
    classLabels: labels(graph, source, given.classLabels),
  };
  return {
    inputs: lowering.inputs,
    steps: lowering.steps,
    output: answer,
    values: lowering.values,
  };
}

/** As asked, else as the model's metadata names them for people, else as its classifier does. */
function labels(
  graph: ModelGraph,
  source: LoweredValues,
  asked: readonly string[] | undefined,
): readonly string[] {
  const count = source.rows.bias.length;
  const named = asked ?? namesOf(graph.metadata.get("plinth.class_labels"));
  if (named !== undefined && named.length === count) {
    return named;
  }
  return source.classLabels.length === count ? source.classLabels : [];
}

function namesOf(text: string | undefined): readonly string[] | undefined {
  try {
    const names: unknown = JSON.parse(text ?? "");
    return Array.isArray(names) && names.every((name) => typeof name === "string")
      ? names
      : undefined;
  } catch {
    return undefined;
  }
}
