// The small models that the engine's tests run.

import { floats, type Graph, integers } from "../../common/testing/onnx-writer.ts";
import type { Datatype } from "../tensor.ts";

/** scores = x times a matrix, label = the larger one: FP32 [N, 3] in, FP32 [N, 2] and INT64 [N] out. */
export function classifier(bias = 0): Graph {
  return {
    nodes: [
      { op: "MatMul", inputs: ["x", "w"], outputs: ["product"] },
      { op: "Add", inputs: ["product", "bias"], outputs: ["scores"] },
      {
        op: "ArgMax",
        inputs: ["scores"],
        outputs: ["label"],
        attributes: { axis: 1, keepdims: 0 },
      },
    ],
    inputs: [{ name: "x", datatype: "FP32", shape: ["N", 3] }],
    outputs: [
      { name: "label", datatype: "INT64", shape: ["N"] },
      { name: "scores", datatype: "FP32", shape: ["N", 2] },
    ],
    initializers: [
      floats("w", [3, 2], [0.5, 0.25, 0.25, 0.5, 0.125, 0.0625]),
      floats("bias", [2], [bias, 0]),
    ],
  };
}

/** y = x, of any datatype and shape. */
export function identity(datatype: Datatype, shape: readonly (number | string)[]): Graph {
  return {
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype, shape }],
    outputs: [{ name: "y", datatype, shape }],
  };
}

/** sum = a + b and difference = a - b, FP32 [N, 2]. */
export function sumAndDifference(): Graph {
  const value = (name: string) => ({ name, datatype: "FP32" as const, shape: ["N", 2] });
  return {
    nodes: [
      { op: "Add", inputs: ["a", "b"], outputs: ["sum"] },
      { op: "Sub", inputs: ["a", "b"], outputs: ["difference"] },
    ],
    inputs: [value("a"), value("b")],
    outputs: [value("sum"), value("difference")],
  };
}

/** y[i] = [10, 20, 30][x[i]], INT64 [N, 1] in: an index out of -3..2 makes the run fail. */
export function lookUp(): Graph {
  return {
    nodes: [{ op: "Gather", inputs: ["table", "x"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "INT64", shape: ["N", 1] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", 1] }],
    initializers: [floats("table", [3], [10, 20, 30])],
  };
}

/** y = all elements above zero, in one row each: rows out are not rows in though both are open. */
export function compact(): Graph {
  return {
    nodes: [
      { op: "Greater", inputs: ["x", "zero"], outputs: ["mask"] },
      { op: "Compress", inputs: ["x", "mask"], outputs: ["y"] },
    ],
    inputs: [{ name: "x", datatype: "FP32", shape: ["N"] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["M"] }],
    initializers: [floats("zero", [], [0])],
  };
}

/**
 * y = x after as many turns of a loop as the first element of `turns` says: FP32 [N, 1], INT64 [N,
 * 1]. About half a microsecond a turn.
 */
export function loop(): Graph {
  return {
    nodes: [
      { op: "ReduceMax", inputs: ["turns"], outputs: ["most"], attributes: { keepdims: 0 } },
      { op: "Loop", inputs: ["most", "", "x"], outputs: ["y"], attributes: { body: loopBody() } },
    ],
    inputs: [
      { name: "x", datatype: "FP32", shape: ["N", 1] },
      { name: "turns", datatype: "INT64", shape: ["N", 1] },
    ],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", 1] }],
  };
}

/** y = x times weights of `size` x `size`: 4 * size * size bytes. */
export function dense(size: number): Graph {
  return {
    nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "FP32", shape: ["N", size] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", size] }],
    initializers: [floats("w", [size, size], new Float32Array(size * size).fill(0.5))],
  };
}

/** y = x reshaped to [2, 2]: loads, and refuses every input that has not four elements. */
export function reshape(): Graph {
  return {
    nodes: [{ op: "Reshape", inputs: ["x", "to"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "FP32", shape: ["K"] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [2, 2] }],
    initializers: [integers("to", [2], [2, 2])],
  };
}

function loopBody(): Graph {
  return {
    nodes: [
      { op: "Identity", inputs: ["go"], outputs: ["goOn"] },
      { op: "Abs", inputs: ["carried"], outputs: ["result"] },
    ],
    inputs: [
      { name: "turn", datatype: "INT64", shape: [] },
      { name: "go", datatype: "BOOL", shape: [] },
      { name: "carried", datatype: "FP32", shape: ["N", 1] },
    ],
    outputs: [
      { name: "goOn", datatype: "BOOL", shape: [] },
      { name: "result", datatype: "FP32", shape: ["N", 1] },
    ],
  };
}
