import { describe, expect, it } from "vitest";
import { floats, integers, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { checkModel, type SmallModel } from "./testing.ts";

const random = new SeededRandom(5);
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const some = (name: string, shape: readonly number[], scale = 1) =>
  floats(
    name,
    shape,
    Array.from({ length: size(shape) }, () => Math.fround((random.uint32() / 2 ** 31 - 1) * scale)),
  );
const node = (
  op: string,
  inputs: readonly string[],
  attributes: Node["attributes"] = {},
): Node => ({
  op,
  inputs,
  outputs: ["y"],
  attributes,
});
const list = (...values: number[]) => ({ integers: values });

type Case = readonly [name: string, model: SmallModel];

const one = (
  op: string,
  shape: readonly number[],
  attributes: Node["attributes"] = {},
  initializers: SmallModel["initializers"] = [],
  opset = 17,
): SmallModel => ({
  shape,
  nodes: [node(op, ["x", ...initializers.map(({ name }) => name)], attributes)],
  initializers,
  opset,
});

const LINEAR: readonly Case[] = [
  ["Gemm", one("Gemm", [6], {}, [some("w", [6, 4]), some("b", [4])])],
  [
    "Gemm transposed",
    one("Gemm", [6], { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }, [
      some("w", [4, 6]),
      some("b", [1, 4]),
    ]),
  ],
  ["Gemm without a bias", one("Gemm", [6], {}, [some("w", [6, 4])])],
  ["Gemm with a scalar bias", one("Gemm", [3], {}, [some("w", [3, 4]), floats("b", [], [0.25])])],
  ["MatMul", one("MatMul", [5], {}, [some("w", [5, 3])])],
  ["MatMul of rank 3", one("MatMul", [4, 5], {}, [some("w", [5, 3])])],
  ["MatMul batched", one("MatMul", [2, 4, 5], {}, [some("w", [2, 5, 3])])],
  ["MatMul with a vector", one("MatMul", [4, 5], {}, [some("w", [5])])],
  [
    "MatMul from the left",
    { shape: [5, 3], nodes: [node("MatMul", ["w", "x"])], initializers: [some("w", [4, 5])] },
  ],
  ["Add a constant", one("Add", [2, 3], {}, [some("c", [3])])],
  ["Add that broadcasts the input", one("Add", [1, 3], {}, [some("c", [2, 3])])],
  ["Sub", one("Sub", [3], {}, [some("c", [3])])],
  [
    "Sub from a constant",
    { shape: [3], nodes: [node("Sub", ["c", "x"])], initializers: [some("c", [3])] },
  ],
  ["Mul", one("Mul", [3], {}, [some("c", [1, 3])])],
  ["Mul by a negative scalar", one("Mul", [3], {}, [floats("c", [], [-1.5])])],
  ["Div", one("Div", [3], {}, [floats("c", [3], [3, -0.7, 255])])],
  ["Neg", one("Neg", [3])],
  [
    "Add of two activations",
    {
      shape: [4],
      nodes: [
        { op: "Relu", inputs: ["x"], outputs: ["r"] },
        { op: "Mul", inputs: ["x", "c"], outputs: ["m"] },
        node("Add", ["r", "m"]),
      ],
      initializers: [some("c", [4])],
    },
  ],
  ["Add of an input to itself", { shape: [4], nodes: [node("Add", ["x", "x"])] }],
  [
    "Sub of an input from itself",
    {
      shape: [4],
      nodes: [
        { op: "Relu", inputs: ["x"], outputs: ["r"] },
        { op: "Sub", inputs: ["x", "x"], outputs: ["z"] },
        node("Add", ["z", "r"]),
      ],
    },
  ],
  [
    "Sum",
    {
      shape: [4],
      nodes: [{ op: "Relu", inputs: ["x"], outputs: ["r"] }, node("Sum", ["x", "r", "c"])],
      initializers: [some("c", [4])],
    },
  ],
  [
    "Conv 1-D",
    one("Conv", [2, 9], { strides: list(2), pads: list(1, 2) }, [
      some("w", [3, 2, 3]),
      some("b", [3]),
    ]),
  ],
  [
    "Conv 2-D",
    one("Conv", [2, 6, 5], { pads: list(1, 0, 1, 2), kernel_shape: list(3, 3) }, [
      some("w", [4, 2, 3, 3]),
      some("b", [4]),
    ]),
  ],
  [
    "Conv dilated",
    one("Conv", [1, 7, 7], { dilations: list(2, 3), strides: list(1, 2) }, [
      some("w", [2, 1, 3, 2]),
    ]),
  ],
  [
    "Conv in groups",
    one("Conv", [4, 5, 5], { group: 2 }, [some("w", [6, 2, 2, 2]), some("b", [6])]),
  ],
  [
    "Conv depthwise",
    one("Conv", [3, 5, 5], { group: 3, auto_pad: { text: "SAME_UPPER" }, strides: list(2, 2) }, [
      some("w", [3, 1, 3, 3]),
    ]),
  ],
  [
    "Conv SAME_LOWER",
    one("Conv", [1, 6, 6], { auto_pad: { text: "SAME_LOWER" } }, [some("w", [1, 1, 2, 2])]),
  ],
  [
    "Conv VALID",
    one("Conv", [1, 6, 6], { auto_pad: { text: "VALID" } }, [some("w", [1, 1, 4, 3])]),
  ],
  [
    "BatchNormalization",
    one("BatchNormalization", [3, 2, 2], { epsilon: { float: 1e-3 } }, [
      some("s", [3]),
      some("b", [3]),
      some("m", [3]),
      floats("v", [3], [0.5, 1, 2]),
    ]),
  ],
  [
    "BatchNormalization of rank 2",
    one("BatchNormalization", [3], {}, [
      some("s", [3]),
      some("b", [3]),
      some("m", [3]),
      floats("v", [3], [0.5, 1, 2]),
    ]),
  ],
  [
    "AveragePool",
    one("AveragePool", [2, 6, 6], {
      kernel_shape: list(2, 3),
      strides: list(2, 2),
      pads: list(0, 1, 1, 1),
    }),
  ],
  [
    "AveragePool that counts padding",
    one("AveragePool", [1, 5, 5], {
      kernel_shape: list(3, 3),
      pads: list(1, 1, 1, 1),
      count_include_pad: 1,
    }),
  ],
  [
    "AveragePool with ceil_mode",
    one("AveragePool", [1, 6, 6], { kernel_shape: list(3, 3), strides: list(2, 2), ceil_mode: 1 }),
  ],
  [
    "AveragePool with both",
    one(
      "AveragePool",
      [1, 6, 6],
      {
        kernel_shape: list(3, 3),
        strides: list(2, 2),
        pads: list(1, 1, 1, 1),
        ceil_mode: 1,
        count_include_pad: 1,
      },
      [],
      19,
    ),
  ],
  [
    "AveragePool 1-D dilated",
    one("AveragePool", [1, 9], { kernel_shape: list(3), dilations: list(2) }, [], 19),
  ],
  ["GlobalAveragePool", one("GlobalAveragePool", [3, 4, 5])],
  ["ReduceSum", one("ReduceSum", [3, 4], { keepdims: 0 }, [integers("axes", [1], [-1])])],
  ["ReduceSum of all but the batch", one("ReduceSum", [3, 4], {}, [integers("axes", [2], [1, 2])])],
  ["ReduceSum of opset 11", one("ReduceSum", [3, 4], { axes: list(1) }, [], 11)],
  ["ReduceMean", one("ReduceMean", [3, 4], { axes: list(2), keepdims: 0 })],
  [
    "ReduceMean of opset 18",
    one("ReduceMean", [3, 4], { keepdims: 1 }, [integers("axes", [1], [1])], 18),
  ],
];

const MOVES: readonly Case[] = [
  ["Identity", one("Identity", [3])],
  ["Dropout", one("Dropout", [3], {}, [floats("ratio", [], [0.5])])],
  ["Flatten", one("Flatten", [2, 3])],
  ["Reshape", one("Reshape", [2, 6], {}, [integers("s", [3], [0, 3, -1])])],
  ["Squeeze", one("Squeeze", [3, 1], {}, [integers("a", [1], [2])])],
  ["Unsqueeze", one("Unsqueeze", [3], {}, [integers("a", [2], [1, -1])])],
  ["Unsqueeze of opset 11", one("Unsqueeze", [3], { axes: list(1) }, [], 11)],
  ["Transpose", one("Transpose", [2, 3, 4], { perm: list(0, 3, 1, 2) })],
  [
    "Concat",
    {
      shape: [2, 3],
      nodes: [
        { op: "Relu", inputs: ["x"], outputs: ["r"] },
        node("Concat", ["x", "c", "r"], { axis: 2 }),
      ],
      initializers: [some("c", [1, 2, 2])],
    },
  ],
  [
    "Slice",
    one("Slice", [5, 4], {}, [
      integers("s", [2], [1, -1]),
      integers("e", [2], [9_000_000_000, -100]),
      integers("a", [2], [1, 2]),
      integers("t", [2], [2, -1]),
    ]),
  ],
  [
    "Slice of opset 9",
    one("Slice", [5, 4], { starts: list(1), ends: list(-1), axes: list(1) }, [], 9),
  ],
  ["Pad", one("Pad", [2, 3], {}, [integers("p", [6], [0, 1, 0, 0, 0, 2]), floats("v", [], [1.5])])],
  [
    "Pad by the edge",
    one("Pad", [2, 3], { mode: { text: "edge" } }, [integers("p", [6], [0, 1, 2, 0, 1, 0])]),
  ],
  [
    "Pad by reflection",
    one("Pad", [2, 3], { mode: { text: "reflect" } }, [integers("p", [6], [0, 0, 2, 0, 1, 1])]),
  ],
  [
    "Split",
    {
      shape: [5],
      nodes: [
        { op: "Split", inputs: ["x", "s"], outputs: ["a", "b"], attributes: { axis: 1 } },
        node("Concat", ["b", "a"], { axis: 1 }),
      ],
      initializers: [integers("s", [2], [2, 3])],
    },
  ],
  ["Gather", one("Gather", [4, 2], { axis: 1 }, [integers("i", [3], [3, -4, 3])])],
  ["Expand", one("Expand", [1, 3], {}, [integers("s", [3], [1, 2, 1])])],
  ["Cast", { ...one("Cast", [3], { to: 11 }), outputType: "FP64" }],
  [
    "Shape, Gather and Concat as exporters write a flatten",
    {
      shape: [2, 3],
      nodes: [
        { op: "Shape", inputs: ["x"], outputs: ["s"] },
        { op: "Gather", inputs: ["s", "zero"], outputs: ["n"], attributes: { axis: 0 } },
        { op: "Unsqueeze", inputs: ["n", "axes"], outputs: ["u"] },
        { op: "Concat", inputs: ["u", "rest"], outputs: ["t"], attributes: { axis: 0 } },
        node("Reshape", ["x", "t"]),
      ],
      initializers: [
        integers("zero", [], [0]),
        integers("axes", [1], [0]),
        integers("rest", [1], [-1]),
      ],
    },
  ],
];

const ACTIVATIONS: readonly Case[] = [
  ["Relu", one("Relu", [5])],
  ["LeakyRelu with a slope of 1/8", one("LeakyRelu", [5], { alpha: { float: 0.125 } })],
  ["LeakyRelu with the default slope", one("LeakyRelu", [5])],
  ["LeakyRelu with a slope above 1", one("LeakyRelu", [5], { alpha: { float: 1.7 } })],
  ["Clip", one("Clip", [5], {}, [floats("lo", [], [-0.3]), floats("hi", [], [2.7])])],
  ["Clip from below", one("Clip", [5], {}, [floats("lo", [], [-0.3])])],
  [
    "Clip from above",
    { shape: [5], nodes: [node("Clip", ["x", "", "hi"])], initializers: [floats("hi", [], [1.1])] },
  ],
  ["Clip of opset 6", one("Clip", [5], { min: { float: 0 }, max: { float: 3.3 } }, [], 6)],
  [
    "MaxPool",
    one("MaxPool", [2, 5, 5], {
      kernel_shape: list(2, 3),
      strides: list(2, 1),
      pads: list(1, 1, 0, 0),
    }),
  ],
  [
    "MaxPool dilated with ceil_mode",
    one("MaxPool", [1, 8, 8], {
      kernel_shape: list(2, 2),
      dilations: list(2, 2),
      strides: list(3, 3),
      ceil_mode: 1,
    }),
  ],
  [
    "MaxPool with ceil_mode and a window behind the input",
    one("MaxPool", [1, 5, 5], {
      kernel_shape: list(2, 2),
      strides: list(3, 3),
      pads: list(0, 0, 1, 1),
      ceil_mode: 1,
    }),
  ],
  ["MaxPool 1-D", one("MaxPool", [3, 7], { kernel_shape: list(3) })],
  [
    "MaxPool of sums",
    {
      shape: [1, 4, 4],
      nodes: [
        { op: "Conv", inputs: ["x", "w"], outputs: ["c"] },
        node("MaxPool", ["c"], { kernel_shape: list(2, 2) }),
      ],
      initializers: [some("w", [2, 1, 2, 2])],
    },
  ],
  ["GlobalMaxPool", one("GlobalMaxPool", [2, 3, 3])],
  ["Sigmoid", one("Sigmoid", [4])],
  ["Tanh", one("Tanh", [4])],
  ["Softmax", one("Softmax", [4])],
  ["Softmax of opset 11", one("Softmax", [2, 2], { axis: 1 }, [], 11)],
  ["ArgMax", { ...one("ArgMax", [4], { axis: 1, keepdims: 0 }), outputType: "INT64" }],
  [
    "ArgMax after Softmax",
    {
      shape: [4],
      nodes: [
        { op: "Softmax", inputs: ["x"], outputs: ["p"] },
        node("ArgMax", ["p"], { axis: -1 }),
      ],
      outputType: "INT64",
    },
  ],
  [
    "Sigmoid and then a reshape",
    {
      shape: [4],
      nodes: [{ op: "Sigmoid", inputs: ["x"], outputs: ["p"] }, node("Reshape", ["p", "s"])],
      initializers: [integers("s", [3], [-1, 2, 2])],
    },
  ],
];

const check = async (model: SmallModel) => {
  const checked = await checkModel(model, random);
  // A bound that allows anything would prove nothing.
  expect(checked.bound).toBeLessThan(0.05);
  return checked;
};

describe("operators against onnxruntime", () => {
  it.each([...LINEAR, ...MOVES, ...ACTIVATIONS])("%s", async (_, model) => {
    await check(model);
  });

  it.each(MOVES)("moves values for nothing: %s", async (_, model) => {
    const { compiled } = await check(model);
    expect(compiled.graph.steps.filter(({ kind }) => kind === "max" || kind === "trees")).toEqual(
      [],
    );
  });
});
