// For tests of the commands of circuits: a model whose circuit is made in a second.

import { encodeModel, floats } from "../common/testing/onnx-writer.ts";

/** y = 2a - 3b + 1 */
export const TINY = encodeModel(
  {
    nodes: [
      { op: "MatMul", inputs: ["x", "w"], outputs: ["wx"] },
      { op: "Add", inputs: ["wx", "c"], outputs: ["y"] },
    ],
    inputs: [{ name: "x", datatype: "FP32", shape: ["N", 2] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", 1] }],
    initializers: [floats("w", [2, 1], [2, -3]), floats("c", [1], [1])],
  },
  { metadata: { "plinth.columns": '["a", "b"]' } },
);
