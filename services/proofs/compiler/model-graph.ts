// The part of a model that its output depends on, in an order in which it can be computed, with the
// shapes of its inputs fixed to one row.

import { type OnnxModel, type OnnxNode, type OnnxValue, operatorName } from "./onnx-model.ts";
import type { NodeContext } from "./operators/node-context.ts";
import { DEFAULT_LIMITS } from "./read-onnx.ts";
import { checkedSize, type ModelLimits } from "./read-tensor.ts";
import { type ElementType, type Shape, sizeOf, type Tensor } from "./tensor.ts";
import { invalidModel, invalidOption } from "./unsupported.ts";

export interface ModelGraph {
  readonly inputs: readonly GraphInput[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Each after those whose results it takes. */
  readonly nodes: readonly NodeContext[];
  /** Name of the tensor that is the model's answer. */
  readonly output: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** An input that the output depends on. */
export interface GraphInput {
  readonly name: string;
  readonly type: ElementType;
  /** With the batch dimension, which is 1. */
  readonly shape: Shape;
}

/** All values of one row of all inputs. */
const INPUT_ELEMENTS_MAX = 1024 * 1024;
/** Operators whose first output is a label and whose second one are scores. */
const LABEL_MAKERS = new Set([
  "ArgMax",
  "ai.onnx.ml.LinearClassifier",
  "ai.onnx.ml.TreeEnsembleClassifier",
]);
/** Operators that a label may go through. */
const LABEL_MOVERS = new Set(["Cast", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten"]);

/**
 * Prepares a model.
 *
 * @param options.output which output; absent: the only one, or the first that is no label
 * @param options.shapes dimensions of inputs without the batch, where the model leaves them open
 * @throws InvalidArgument: no such output, an open dimension, a cycle, a missing tensor
 */
export function modelGraph(
  model: OnnxModel,
  options: {
    readonly output?: string | undefined;
    readonly shapes?: ReadonlyMap<string, Shape>;
    readonly limits?: ModelLimits;
  } = {},
): ModelGraph {
  const makers = new Map<string, OnnxNode>();
  for (const node of model.nodes) {
    for (const name of node.outputs) {
      if (name !== "" && (makers.has(name) || model.initializers.has(name))) {
        throw invalidModel(`two nodes or initializers give "${name}"`);
      }
      makers.set(name, node);
    }
  }
  const output = chooseOutput(model, makers, options.output);
  const { nodes, needed } = inOrder(model, makers, output);
  const inputs = model.inputs
    .filter(({ name }) => needed.has(name))
    .map((input) => fixedInput(input, options.shapes?.get(input.name)));
  const total = inputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (inputs.length === 0 || total > INPUT_ELEMENTS_MAX) {
    throw invalidModel(
      `its output depends on ${inputs.length} inputs with ${total} values a row; ` +
        `1 to ${INPUT_ELEMENTS_MAX} values are taken`,
    );
  }
  const limits = options.limits ?? DEFAULT_LIMITS;
  return {
    inputs,
    initializers: model.initializers,
    nodes: nodes.map((node) => ({ node, opset: model.opsets.get(node.domain) ?? 0, limits })),
    output,
    metadata: model.metadata,
  };
}

function chooseOutput(
  model: OnnxModel,
  makers: ReadonlyMap<string, OnnxNode>,
  asked: string | undefined,
): string {
  const names = model.outputs.map(({ name }) => name);
  if (asked !== undefined) {
    if (!names.includes(asked)) {
      throw invalidOption(
        "output",
        `there is no output "${asked}"; the model has ${names.join(", ")}`,
      );
    }
    return asked;
  }
  const chosen = names.find((name) => !isLabel(name, makers)) ?? names[0];
  if (chosen === undefined) {
    throw invalidModel("it has no output");
  }
  return chosen;
}

/** Whether a tensor is a class and not scores: then the scores beside it are the better output. */
function isLabel(name: string, makers: ReadonlyMap<string, OnnxNode>): boolean {
  let at = name;
  // A label takes few steps; the bound is for cycles.
  for (let steps = 0; steps < 100; steps++) {
    const node = makers.get(at);
    if (node === undefined) {
      return false;
    }
    const operator = operatorName(node);
    if (LABEL_MAKERS.has(operator)) {
      return node.outputs[0] === at;
    }
    const isLookup = operator === "Gather" || operator === "ai.onnx.ml.ArrayFeatureExtractor";
    if (!isLookup && !LABEL_MOVERS.has(operator)) {
      return false;
    }
    at = node.inputs[isLookup ? 1 : 0] ?? "";
  }
  return false;
}

/** Nodes that lead to the output, and the names of all tensors that they take. */
function inOrder(
  model: OnnxModel,
  makers: ReadonlyMap<string, OnnxNode>,
  output: string,
): { readonly nodes: readonly OnnxNode[]; readonly needed: ReadonlySet<string> } {
  const given = new Set([...model.initializers.keys(), ...model.inputs.map(({ name }) => name)]);
  const needed = new Set([output]);
  const nodes: OnnxNode[] = [];
  const states = new Map<OnnxNode, "open" | "done">();
  const open: { readonly node: OnnxNode; next: number }[] = [];
  // By hand and not by recursion: a chain of all the nodes that a file may have is no depth to fear.
  const visit = (name: string): void => {
    needed.add(name);
    const node = makers.get(name);
    if (node === undefined) {
      if (!given.has(name)) {
        throw invalidModel(`nothing gives the tensor "${name}"`);
      }
      return;
    }
    const state = states.get(node);
    if (state === "open") {
      throw invalidModel(`node "${node.name}" depends on its own result: the graph has a cycle`);
    }
    if (state === undefined) {
      states.set(node, "open");
      open.push({ node, next: 0 });
    }
  };
  visit(output);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const name = top.node.inputs[top.next];
    if (name === undefined) {
      states.set(top.node, "done");
      nodes.push(top.node);
      open.pop();
    } else {
      top.next += 1;
      if (name !== "") {
        visit(name);
      }
    }
  }
  return { nodes, needed };
}

function fixedInput(input: OnnxValue, asked: Shape | undefined): GraphInput {
  const { name, type, shape } = input;
  if (type === undefined || type === "string" || shape === undefined || shape.length === 0) {
    throw invalidModel(
      `input "${name}" is ${type ?? "of an unknown type"} of ` +
        `${shape === undefined ? "unknown rank" : `${shape.length} dimensions`}; ` +
        "a tensor of numbers whose first dimension is the batch was expected",
    );
  }
  const [batch, ...rest] = shape;
  if (batch !== undefined && batch !== 1) {
    throw invalidModel(
      `input "${name}" has a batch of ${batch} fixed; export the model with an open batch dimension`,
    );
  }
  if (asked !== undefined && asked.length !== rest.length) {
    throw invalidOption(`inputs.${name}.shape`, `${rest.length} dimensions were expected`);
  }
  const fixed = rest.map((dimension, axis) => {
    const size = dimension ?? asked?.[axis];
    if (size === undefined || size < 1 || (asked?.[axis] ?? size) !== size) {
      throw invalidOption(
        `inputs.${name}.shape`,
        `dimension ${axis + 1} of the input is ${dimension ?? "open"}; say a shape that fits`,
      );
    }
    return size;
  });
  checkedSize(fixed, `input "${name}"`, INPUT_ELEMENTS_MAX);
  return { name, type, shape: [1, ...fixed] };
}
