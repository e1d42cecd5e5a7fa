// Operators that are linear in one of their inputs, the others being known: every element that they
// give is a bias plus a sum of weight times element. In a circuit they cost next to nothing.

import { floatOf, floatsOf, integerOf } from "../onnx-model.ts";
import { broadcastIndexes, broadcastShape, type Shape, sizeOf, type Tensor } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import { type Inputs, type LinearMap, type LinearMapper, perElement } from "./linear-map.ts";
import { conv, gemm, matMul } from "./matrix-maps.ts";
import {
  checkedAxis,
  checkedShape,
  constantInput,
  mismatch,
  type NodeContext,
  required,
} from "./node-context.ts";
import { averagePool, reduce, reduction } from "./pool-maps.ts";

/** By operator of ONNX itself. */
export const LINEAR_MAPS: Readonly<Record<string, LinearMapper>> = {
  Add: (context, inputs) => elementwise(context, inputs, "Add"),
  Sub: (context, inputs) => elementwise(context, inputs, "Sub"),
  Mul: (context, inputs) => elementwise(context, inputs, "Mul"),
  Div: (context, inputs) => elementwise(context, inputs, "Div"),
  Neg: (context, inputs) => {
    const { shape } = required(context, inputs, 0);
    return perElement(
      shape,
      () => -1,
      () => 0,
    );
  },
  MatMul: matMul,
  Gemm: gemm,
  Conv: conv,
  BatchNormalization: batchNormalization,
  AveragePool: averagePool,
  GlobalAveragePool: (context, inputs) => {
    const { shape } = required(context, inputs, 0);
    return reduce(context, shape, {
      axes: shape.slice(2).map((_, i) => i + 2),
      keeps: true,
      isMean: true,
    });
  },
  ReduceSum: (context, inputs) => reduction(context, inputs, { isMean: false }),
  ReduceMean: (context, inputs) => reduction(context, inputs, { isMean: true }),
  DequantizeLinear: dequantize,
};

/** The same of ai.onnx.ml. */
export const ML_LINEAR_MAPS: Readonly<Record<string, LinearMapper>> = {
  Scaler: scaler,
  LinearRegressor: (context, inputs) =>
    linearScores(context, inputs, integerOf(context.node, "targets", 1)),
  LinearClassifier: (context, inputs) => linearScores(context, inputs, undefined),
};

function elementwise(
  context: NodeContext,
  inputs: Inputs,
  operator: "Add" | "Sub" | "Mul" | "Div",
): LinearMap {
  const left = required(context, inputs, 0);
  const right = required(context, inputs, 1);
  const source = right.constant === undefined ? 1 : 0;
  const other = (source === 0 ? right : left).constant;
  if (other === undefined) {
    throw new NodeRefusal(
      `it ${operator === "Mul" ? "multiplies" : "divides"} two values that both depend on the input`,
      "only products with constants are proved; leave the gate or attention out",
    );
  }
  if (operator === "Div" && source === 1) {
    throw new NodeRefusal(
      "it divides by a value that depends on the input",
      "only quotients by constants are proved",
    );
  }
  const shape = broadcastShape(left.shape, right.shape);
  if (shape === undefined) {
    throw mismatch(`[${left.shape}] and [${right.shape}]`);
  }
  checkedShape(context, shape);
  const values = broadcastIndexes((source === 0 ? left : right).shape, shape);
  const constants = broadcastIndexes(other.shape, shape);
  const of = (output: number) => other.data[constants[output]!]!;
  const weights = {
    Add: () => 1,
    Sub: () => (source === 0 ? 1 : -1),
    Mul: of,
    Div: (output: number) => 1 / of(output),
  };
  const sign = operator === "Sub" && source === 0 ? -1 : 1;
  const weight = weights[operator];
  const adds = operator === "Add" || operator === "Sub";
  return {
    shape,
    source,
    row: (output, term) => {
      term(values[output]!, weight(output));
      return adds ? sign * of(output) : 0;
    },
  };
}

function batchNormalization(context: NodeContext, inputs: Inputs): LinearMap {
  const { shape } = required(context, inputs, 0);
  if (integerOf(context.node, "training_mode", 0) !== 0) {
    throw new NodeRefusal("it is in training mode", "export the model for inference");
  }
  const [scale, shift, mean, variance] = [1, 2, 3, 4].map((at) => {
    required(context, inputs, at);
    return constantInput(inputs, at, "statistics")!.data;
  });
  const epsilon = floatOf(context.node, "epsilon", 1e-5);
  const factors = scale!.map((value, i) => value / Math.sqrt(variance![i]! + epsilon));
  const inner = sizeOf(shape.slice(2));
  const channels = shape[1] ?? 1;
  if (factors.length !== channels) {
    throw mismatch(`statistics of ${factors.length} channels for [${shape}]`);
  }
  const channel = (element: number) => Math.floor(element / inner) % channels;
  return perElement(
    shape,
    (element) => factors[channel(element)]!,
    (element) => shift![channel(element)]! - mean![channel(element)]! * factors[channel(element)]!,
  );
}

function dequantize(context: NodeContext, inputs: Inputs): LinearMap {
  const { shape } = required(context, inputs, 0);
  const { scale, zeroPoint } = quantisation(context, inputs, shape);
  return perElement(shape, scale, (element) => -zeroPoint(element) * scale(element));
}

/** Scale and zero point by element, of QuantizeLinear and DequantizeLinear. */
export function quantisation(
  context: NodeContext,
  inputs: Inputs,
  shape: Shape,
): {
  readonly scales: Tensor;
  readonly scale: (element: number) => number;
  readonly zeroPoint: (element: number) => number;
} {
  required(context, inputs, 1);
  const scales = constantInput(inputs, 1, "scale")!;
  const zeros = constantInput(inputs, 2, "zero point");
  if (integerOf(context.node, "block_size", 0) !== 0 || scales.data.some((scale) => !(scale > 0))) {
    throw new NodeRefusal("it has blocks, or a scale of 0 or less", "quantise by tensor or axis");
  }
  if (scales.data.length === 1) {
    return { scales, scale: () => scales.data[0]!, zeroPoint: () => zeros?.data[0] ?? 0 };
  }
  const axis = checkedAxis(integerOf(context.node, "axis", 1), shape.length);
  const inner = sizeOf(shape.slice(axis + 1));
  if (scales.data.length !== shape[axis]) {
    throw mismatch(`${scales.data.length} scales for axis ${axis} of [${shape}]`);
  }
  const at = (element: number) => Math.floor(element / inner) % shape[axis]!;
  return {
    scales,
    scale: (element) => scales.data[at(element)]!,
    zeroPoint: (element) => zeros?.data[at(element)] ?? 0,
  };
}

function scaler(context: NodeContext, inputs: Inputs): LinearMap {
  const { shape } = required(context, inputs, 0);
  const columns = shape[shape.length - 1] ?? 1;
  const { offset, scale } = scalerOf(context, columns);
  return perElement(
    shape,
    (element) => scale(element % columns),
    (element) => -offset(element % columns) * scale(element % columns),
  );
}

/** What a Scaler subtracts from a column, and what it multiplies it with then. */
export function scalerOf(
  context: NodeContext,
  columns: number,
): { readonly offset: (column: number) => number; readonly scale: (column: number) => number } {
  const list = (name: string) => {
    const values = floatsOf(context.node, name) ?? [];
    if (values.length !== 1 && values.length !== columns) {
      throw mismatch(`${values.length} values of ${name} for ${columns} columns`);
    }
    return (column: number) => values[values.length === 1 ? 0 : column]!;
  };
  return { offset: list("offset"), scale: list("scale") };
}

function linearScores(
  context: NodeContext,
  inputs: Inputs,
  targets: number | undefined,
): LinearMap {
  const { shape } = required(context, inputs, 0);
  const coefficients = floatsOf(context.node, "coefficients") ?? [];
  const intercepts = floatsOf(context.node, "intercepts");
  const rows = shape.length > 1 ? shape[0]! : 1;
  const columns = sizeOf(shape) / Math.max(rows, 1);
  const scores = targets ?? Math.max(1, intercepts?.length ?? coefficients.length / columns);
  if (coefficients.length !== scores * columns || (intercepts && intercepts.length !== scores)) {
    throw mismatch(
      `${coefficients.length} coefficients for ${scores} scores of ${columns} columns`,
    );
  }
  return {
    shape: [rows, scores],
    source: 0,
    row: (output, term) => {
      const start = Math.floor(output / scores) * columns;
      const score = output % scores;
      for (let column = 0; column < columns; column++) {
        term(start + column, coefficients[score * columns + column]!);
      }
      return intercepts?.[score] ?? 0;
    },
  };
}
