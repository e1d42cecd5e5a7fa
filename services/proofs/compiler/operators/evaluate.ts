// The reference interpreter's operators: each computes tensors of float64 from tensors, as ONNX
// defines it. It folds constants, and tests hold the rest of the compiler against it.

import { roundHalfEven } from "../float-program.ts";
import { floatOf, integerOf, type OnnxNode, operatorName, textOf } from "../onnx-model.ts";
import { ELEMENT_TYPES } from "../read-tensor.ts";
import {
  broadcastIndexes,
  broadcastShape,
  type ElementType,
  INTEGER_RANGE,
  isFloat,
  numbers,
  type Shape,
  sizeOf,
  stridesOf,
  type Tensor,
} from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import { evaluateClassifier, evaluateRegressor } from "./evaluate-ml.ts";
import { INDEX_MAPS, type IndexMap } from "./index-maps.ts";
import { LINEAR_MAPS, ML_LINEAR_MAPS, quantisation } from "./linear-maps.ts";
import { constantOf, maxWindows, quantisedType } from "./lower-activations.ts";
import {
  checkedAxis,
  checkedShape,
  mismatch,
  type NodeContext,
  type Operand,
  required,
} from "./node-context.ts";

type Inputs = readonly (Tensor | undefined)[];
type Evaluate = (context: NodeContext, inputs: Inputs) => Tensor[];

/** Products of one node. */
const TERMS_MAX = 500_000_000;

/** Computes a node. @throws NodeRefusal where it is not one of the subset */
export function evaluateNode(context: NodeContext, inputs: Inputs): Tensor[] {
  const name = operatorName(context.node);
  const evaluate = EVALUATE[name];
  if (evaluate !== undefined) {
    return evaluate(context, inputs);
  }
  const operands = inputs.map((input) => input && operand(input));
  const indexMap = INDEX_MAPS[name];
  if (indexMap !== undefined) {
    return indexMap(context, operands).map((map) => moved(inputs, map));
  }
  const linearMap = LINEAR_MAPS[name] ?? ML_LINEAR_MAPS[name.replace("ai.onnx.ml.", "")];
  if (linearMap === undefined) {
    throw new NodeRefusal(`the operator ${name} is not one that can be proved`, "leave it out");
  }
  const map = linearMap(context, operands);
  const source = inputs[map.source]!.data;
  const data = new Float64Array(sizeOf(map.shape));
  let sum = 0;
  let terms = 0;
  const term = (at: number, weight: number) => {
    sum += weight * source[at]!;
    terms += 1;
  };
  for (let i = 0; i < data.length; i++) {
    sum = 0;
    data[i] = map.row(i, term) + sum;
    if (terms > TERMS_MAX) {
      throw new NodeRefusal(
        `it takes more than ${TERMS_MAX} products`,
        "compute it when the model is exported, or make it smaller",
      );
    }
  }
  const type = required(context, inputs, map.source).type;
  return [numbers(isFloat(type) ? type : "float32", map.shape, data)];
}

function operand(tensor: Tensor): Operand {
  return { type: tensor.type, shape: tensor.shape, constant: tensor };
}

function moved(inputs: Inputs, map: IndexMap): Tensor {
  const sources = map.sources.map((at) => inputs[at]!);
  const [first] = sources;
  if (first?.texts !== undefined) {
    const all = sources.flatMap((source) => source.texts ?? []);
    const texts = map.from === undefined ? all : Array.from(map.from, (at) => all[at] ?? "");
    return { type: "string", shape: map.shape, data: new Float64Array(0), texts };
  }
  if (map.from === undefined) {
    return { type: first!.type, shape: map.shape, data: first!.data };
  }
  const all = new Float64Array(sources.reduce((sum, source) => sum + source.data.length, 0));
  let start = 0;
  for (const source of sources) {
    all.set(source.data, start);
    start += source.data.length;
  }
  const data = Float64Array.from(map.from, (at) => (at < 0 ? map.fill : all[at]!));
  return { type: first!.type, shape: map.shape, data };
}

/** By operator; those that move values or are linear have tables of their own. */
const EVALUATE: Readonly<Record<string, Evaluate>> = {
  Constant: (context) => [constantOf(context)],
  ConstantOfShape: constantOfShape,
  Shape: shapeOf,
  Cast: cast,
  Add: (context, inputs) => binary(context, inputs, (a, b) => a + b),
  Sub: (context, inputs) => binary(context, inputs, (a, b) => a - b),
  Mul: (context, inputs) => binary(context, inputs, (a, b) => a * b),
  Div: divide,
  Pow: (context, inputs) => binary(context, inputs, (a, b) => a ** b),
  Sum: (context, inputs) => [
    inputs
      .slice(1)
      .reduce<Tensor>(
        (sum, next) => binary(context, [sum, next], (a, b) => a + b)[0]!,
        required(context, inputs, 0),
      ),
  ],
  Sqrt: (context, inputs) => unary(context, inputs, Math.sqrt),
  Reciprocal: (context, inputs) => unary(context, inputs, (x) => 1 / x),
  Relu: (context, inputs) => unary(context, inputs, (x) => Math.max(x, 0)),
  LeakyRelu: (context, inputs) => {
    const slope = floatOf(context.node, "alpha", Math.fround(0.01));
    return unary(context, inputs, (x) => (x < 0 ? slope * x : x));
  },
  Clip: clip,
  Sigmoid: (context, inputs) => unary(context, inputs, sigmoid),
  Tanh: (context, inputs) => unary(context, inputs, Math.tanh),
  Softmax: softmaxNode,
  MaxPool: maxPool,
  GlobalMaxPool: maxPool,
  ArgMax: argMax,
  QuantizeLinear: quantise,
  "ai.onnx.ml.LinearRegressor": (context, inputs) => evaluateRegressor(context, inputs),
  "ai.onnx.ml.TreeEnsembleRegressor": (context, inputs) => evaluateRegressor(context, inputs),
  "ai.onnx.ml.LinearClassifier": (context, inputs) => evaluateClassifier(context, inputs),
  "ai.onnx.ml.TreeEnsembleClassifier": (context, inputs) => evaluateClassifier(context, inputs),
  "ai.onnx.ml.ZipMap": (context, inputs) => [required(context, inputs, 0)],
  "ai.onnx.ml.Normalizer": normalise,
  "ai.onnx.ml.ArrayFeatureExtractor": extract,
};

/** Whether there is an interpretation of the operator. */
export function isKnown(name: string): boolean {
  return (
    EVALUATE[name] !== undefined ||
    INDEX_MAPS[name] !== undefined ||
    LINEAR_MAPS[name] !== undefined ||
    ML_LINEAR_MAPS[name.replace("ai.onnx.ml.", "")] !== undefined
  );
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** In place of a slice of an array. */
export function softmax(values: Float64Array): Float64Array {
  const largest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function unary(context: NodeContext, inputs: Inputs, of: (x: number) => number): Tensor[] {
  const input = required(context, inputs, 0);
  return [numbers(input.type, input.shape, input.data.map(of))];
}

function binary(
  context: NodeContext,
  inputs: Inputs,
  of: (a: number, b: number) => number,
): Tensor[] {
  const a = required(context, inputs, 0);
  const b = required(context, inputs, 1);
  const shape = broadcastShape(a.shape, b.shape);
  if (shape === undefined) {
    throw mismatch(`[${a.shape}] and [${b.shape}]`);
  }
  checkedShape(context, shape);
  const left = broadcastIndexes(a.shape, shape);
  const right = broadcastIndexes(b.shape, shape);
  const data = Float64Array.from(left, (at, i) => of(a.data[at]!, b.data[right[i]!]!));
  return [numbers(a.type, shape, data)];
}

function divide(context: NodeContext, inputs: Inputs): Tensor[] {
  const isWhole = !isFloat(required(context, inputs, 0).type);
  return binary(context, inputs, (a, b) => (isWhole ? Math.trunc(a / b) : a / b));
}

function constantOfShape(context: NodeContext, inputs: Inputs): Tensor[] {
  const shape = Array.from(required(context, inputs, 0).data);
  const size = checkedShape(context, shape);
  const value = context.node.attributes.has("value") ? constantOf(context) : undefined;
  const data = new Float64Array(size).fill(value?.data[0] ?? 0);
  return [numbers(value?.type ?? "float32", shape, data)];
}

function shapeOf(context: NodeContext, inputs: Inputs): Tensor[] {
  return [shapeTensor(context, required(context, inputs, 0).shape)];
}

/** What Shape gives. */
export function shapeTensor(context: NodeContext, shape: Shape): Tensor {
  const start = integerOf(context.node, "start", 0);
  const end = integerOf(context.node, "end", shape.length);
  const part = shape.slice(start, end);
  return numbers("int64", [part.length], part);
}

/** The type that a Cast casts to. */
export function castType(node: OnnxNode): ElementType {
  const type = ELEMENT_TYPES[integerOf(node, "to", 0)];
  if (type === undefined) {
    throw new NodeRefusal(
      `it casts to ONNX type ${integerOf(node, "to", 0)}`,
      "leave the cast out",
    );
  }
  return type;
}

function cast(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const type = castType(context.node);
  if (type === "string" || input.type === "string") {
    throw new NodeRefusal("it casts texts", "leave the cast out");
  }
  const to: (x: number) => number =
    type === "bool" ? (x) => (x === 0 ? 0 : 1) : isFloat(type) ? (x) => x : Math.trunc;
  return [numbers(type, input.shape, input.data.map(to))];
}

function clip(context: NodeContext, inputs: Inputs): Tensor[] {
  const lo = inputs[1]?.data[0] ?? floatOf(context.node, "min", Number.NEGATIVE_INFINITY);
  const hi = inputs[2]?.data[0] ?? floatOf(context.node, "max", Number.POSITIVE_INFINITY);
  return unary(context, inputs, (x) => Math.min(Math.max(x, lo), hi));
}

function softmaxNode(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const isOld = context.opset < 13;
  const axis = checkedAxis(integerOf(context.node, "axis", isOld ? 1 : -1), input.shape.length);
  const inner = isOld ? 1 : sizeOf(input.shape.slice(axis + 1));
  const along = isOld ? sizeOf(input.shape.slice(axis)) : input.shape[axis]!;
  const data = new Float64Array(input.data.length);
  for (let start = 0; start < data.length / along; start++) {
    const first = Math.floor(start / inner) * along * inner + (start % inner);
    const at = Array.from({ length: along }, (_, i) => first + i * inner);
    softmax(Float64Array.from(at, (i) => input.data[i]!)).forEach((value, i) => {
      data[at[i]!] = value;
    });
  }
  return [numbers(input.type, input.shape, data)];
}

function maxPool(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const windows = maxWindows(context, input.shape);
  const positions = sizeOf(windows.shape);
  const area = sizeOf(input.shape.slice(2));
  const shape = [...input.shape.slice(0, 2), ...windows.shape];
  const data = new Float64Array(sizeOf(shape)).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < data.length; i++) {
    const start = Math.floor(i / positions) * area;
    for (let tap = 0; tap < windows.kernelSize; tap++) {
      const at = windows.taps[(i % positions) * windows.kernelSize + tap]!;
      data[i] = at < 0 ? data[i]! : Math.max(data[i]!, input.data[start + at]!);
    }
  }
  return [numbers(input.type, shape, data)];
}

function argMax(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const { shape } = input;
  const axis = checkedAxis(integerOf(context.node, "axis", 0), shape.length);
  const takesLast = integerOf(context.node, "select_last_index", 0) !== 0;
  const stride = stridesOf(shape)[axis]!;
  const along = shape[axis]!;
  const data = new Float64Array(sizeOf(shape) / along);
  for (let i = 0; i < data.length; i++) {
    const first = Math.floor(i / stride) * stride * along + (i % stride);
    for (let k = 1; k < along; k++) {
      const best = input.data[first + data[i]! * stride]!;
      const value = input.data[first + k * stride]!;
      if (value > best || (takesLast && value === best)) {
        data[i] = k;
      }
    }
  }
  const keeps = integerOf(context.node, "keepdims", 1) !== 0;
  const given = shape.flatMap((size, at) => (at !== axis ? [size] : keeps ? [1] : []));
  return [numbers("int64", given, data)];
}

function quantise(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const operands = inputs.map((one) => one && operand(one));
  const { scale, zeroPoint } = quantisation(context, operands, input.shape);
  const type = quantisedType(context, operands);
  const [lo, hi] = INTEGER_RANGE[type] ?? [0, 0];
  const data = input.data.map((x, i) =>
    Math.min(Math.max(roundHalfEven(x / scale(i)) + zeroPoint(i), lo), hi),
  );
  return [numbers(type, input.shape, data)];
}

function normalise(context: NodeContext, inputs: Inputs): Tensor[] {
  const input = required(context, inputs, 0);
  const columns = input.shape[input.shape.length - 1] ?? 1;
  const isL1 = textOf(context.node, "norm", "MAX") === "L1";
  const data = input.data.map((x, i) => {
    const start = i - (i % columns);
    const row = input.data.subarray(start, start + columns);
    const sum = row.reduce((total, value) => total + (isL1 ? Math.abs(value) : value * value), 0);
    return x / (isL1 ? sum : Math.sqrt(sum));
  });
  return [numbers(input.type, input.shape, data)];
}

function extract(context: NodeContext, inputs: Inputs): Tensor[] {
  const table = required(context, inputs, 0);
  const index = required(context, inputs, 1).data;
  const columns = table.shape[table.shape.length - 1] ?? 1;
  const rows = sizeOf(table.shape) / columns;
  const picked = Array.from({ length: rows }, (_, row) =>
    Array.from(index, (at) => row * columns + at),
  ).flat();
  const shape = [rows, index.length];
  const texts = table.texts && picked.map((at) => table.texts![at] ?? "");
  const data = texts ? new Float64Array(0) : Float64Array.from(picked, (at) => table.data[at]!);
  return [{ type: table.type, shape, data, ...(texts && { texts }) }];
}
