// The small models that the registry's tests and the whole-mesh tests push.

import {
  encodeModel,
  floats,
  type Initializer,
  type ModelFacts,
  type Node,
  type ValueInfo,
} from "../common/testing/onnx-writer.ts";

/** One node from inputs and initializers to outputs; FP32 [N, 4] where nothing else is said. */
export function singleNode(
  op: string,
  options: Pick<Node, "domain" | "attributes"> & {
    readonly inputs?: readonly ValueInfo[];
    readonly outputs?: readonly ValueInfo[];
    readonly initializers?: readonly Initializer[];
  } & Pick<ModelFacts, "irVersion" | "opsets"> = {},
): Uint8Array {
  const {
    inputs = [{ name: "x", shape: ["N", 4] }],
    outputs = [{ name: "y", shape: ["N", 4] }],
    initializers = [],
    domain,
    attributes = {},
    ...facts
  } = options;
  const node: Node = {
    op,
    inputs: [...inputs, ...initializers].map(({ name }) => name),
    outputs: outputs.map(({ name }) => name),
    attributes,
    ...(domain === undefined ? {} : { domain }),
  };
  return encodeModel({ nodes: [node], inputs, outputs, initializers }, facts);
}

/**
 * y = x times weights plus 0.5, the weights being `scale` times 1, 2, 3 ...: FP32 [N, columns] in,
 * [N, 1] out. Another scale makes another file.
 */
export function linearModel(
  options: {
    readonly columns?: number;
    readonly scale?: number;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly inputName?: string;
  } = {},
): Uint8Array {
  const { columns = 4, scale = 1, metadata = {}, inputName = "x" } = options;
  const weights = Array.from({ length: columns }, (_, i) => scale * (i + 1));
  return encodeModel(
    {
      nodes: [{ op: "Gemm", inputs: [inputName, "w", "b"], outputs: ["y"] }],
      inputs: [{ name: inputName, shape: ["N", columns] }],
      outputs: [{ name: "y", shape: ["N", 1] }],
      initializers: [floats("w", [columns, 1], weights), floats("b", [1], [0.5])],
    },
    { producer: ["plinth-test", "1"], metadata },
  );
}
