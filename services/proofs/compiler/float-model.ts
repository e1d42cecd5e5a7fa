// The reference interpreter: runs an ONNX graph in float64, node by node, as ONNX defines it. It is
// what the rest of the compiler is held against; onnxruntime is what it is held against in tests.

import type { ModelGraph } from "./model-graph.ts";
import { evaluateNode } from "./operators/evaluate.ts";
import { numbers, sizeOf, type Tensor } from "./tensor.ts";
import { invalidOption } from "./unsupported.ts";

/**
 * The output for one row.
 *
 * @param rows the values of each input of the graph, in its order
 * @throws NodeRefusal: an operator outside of the subset
 */
export function runFloatModel(graph: ModelGraph, rows: readonly ArrayLike<number>[]): Tensor {
  const tensors = new Map<string, Tensor>(graph.initializers);
  graph.inputs.forEach(({ name, type, shape }, i) => {
    const row = rows[i];
    if (row?.length !== sizeOf(shape)) {
      throw invalidOption(`inputs.${name}`, `${row?.length ?? 0} values for [${shape}]`);
    }
    tensors.set(name, numbers(type, shape, row));
  });
  for (const context of graph.nodes) {
    const inputs = context.node.inputs.map((name) => tensors.get(name));
    evaluateNode(context, inputs).forEach((tensor, i) => {
      const name = context.node.outputs[i];
      if (name !== undefined && name !== "") {
        tensors.set(name, tensor);
      }
    });
  }
  const output = tensors.get(graph.output);
  if (output === undefined) {
    throw new Error(`No node gives "${graph.output}".`);
  }
  return output;
}
