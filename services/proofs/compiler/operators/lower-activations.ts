// Turns the operators that are not linear into steps of the program, with no more steps than needed:
// whatever of an operator is linear stays outside of the step.

import { halvings } from "../binary-scale.ts";
import { addRows, type FloatRows, RowBuilder, rowCount } from "../float-rows.ts";
import { type Lowered, type LoweredValues, type Lowering, plain, values } from "../lowering.ts";
import { floatOf, integerOf, integersOf, operatorName, tensorOf } from "../onnx-model.ts";
import { ELEMENT_TYPES } from "../read-tensor.ts";
import { INTEGER_RANGE, type Shape, sizeOf, type Tensor } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import { quantisation } from "./linear-maps.ts";
import { checkedAxis, mismatch, type NodeContext, type Operand } from "./node-context.ts";
import { type Windows, windowsOf } from "./windows.ts";

/** The largest slope of a leaky ReLU is 1/2, the smallest so many halvings. */
const SLOPE_BITS_MAX = 16;
/** Bounds of a Clip this large are none: converters write the largest float32. */
const BOUND_MAX = 3.4e38;

/** Row by row: factor * row + offset. */
function affine(rows: FloatRows, factor: number, offset: number): FloatRows {
  const builder = new RowBuilder();
  for (let row = 0; row < rowCount(rows); row++) {
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      builder.entry(rows.columns[entry]!, factor * rows.weights[entry]!);
    }
    builder.end(factor * rows.bias[row]! + offset);
  }
  return builder.rows();
}

function withRows(source: LoweredValues, rows: FloatRows): LoweredValues {
  return values(source.type, source.shape, rows);
}

export function lowerRelu(context: NodeContext, input: Lowered, lowering: Lowering): LoweredValues {
  const source = plain(input, context.node);
  return withRows(source, lowering.activate(source.rows, { kind: "relu" }, context.node.name));
}

/** Any slope: what is not a power of two is slope * x + (1 - slope) * relu(x), which is exact. */
export function lowerLeakyRelu(
  context: NodeContext,
  input: Lowered,
  lowering: Lowering,
): LoweredValues {
  const source = plain(input, context.node);
  const { name } = context.node;
  const slope = floatOf(context.node, "alpha", Math.fround(0.01));
  const slopeBits = halvings(slope);
  if (slopeBits !== undefined && slopeBits >= 1 && slopeBits <= SLOPE_BITS_MAX) {
    const rows = lowering.activate(source.rows, { kind: "leaky-relu", slopeBits }, name);
    return withRows(source, rows);
  }
  const relu = lowering.activate(source.rows, { kind: "relu" }, name);
  const rows = addRows({ rows: source.rows, factor: slope }, { rows: relu, factor: 1 - slope });
  return withRows(source, rows);
}

export function lowerClip(
  context: NodeContext,
  inputs: readonly (Lowered | undefined)[],
  options: { readonly bounds: readonly (Tensor | undefined)[]; readonly lowering: Lowering },
): LoweredValues {
  const { bounds, lowering } = options;
  const { node } = context;
  const source = plain(inputs[0]!, node);
  const lo = bounds[0]?.data[0] ?? floatOf(node, "min", Number.NEGATIVE_INFINITY);
  const hi = bounds[1]?.data[0] ?? floatOf(node, "max", Number.POSITIVE_INFINITY);
  const hasLo = lo > -BOUND_MAX;
  const hasHi = hi < BOUND_MAX;
  if (hasLo && hasHi && lo >= hi) {
    throw new NodeRefusal(`it holds values in [${lo}, ${hi}]`, "correct its bounds");
  }
  const relu = (rows: FloatRows) => lowering.activate(rows, { kind: "relu" }, node.name);
  if (hasLo && hasHi) {
    // From 0 on, so that the lower bound is exact whatever the scale.
    const clipped = lowering.activate(
      affine(source.rows, 1, -lo),
      { kind: "clip", lo: 0, hi: hi - lo },
      node.name,
    );
    return withRows(source, affine(clipped, 1, lo));
  }
  if (hasLo) {
    return withRows(source, affine(relu(affine(source.rows, 1, -lo)), 1, lo));
  }
  return hasHi ? withRows(source, affine(relu(affine(source.rows, -1, hi)), -1, hi)) : source;
}

/** MaxPool, or GlobalMaxPool where the kernel is all there is. */
export function lowerMaxPool(
  context: NodeContext,
  input: Lowered,
  lowering: Lowering,
): LoweredValues {
  const source = plain(input, context.node);
  const windows = maxWindows(context, source.shape);
  const positions = sizeOf(windows.shape);
  const area = sizeOf(source.shape.slice(2));
  const planes = sizeOf(source.shape.slice(0, 2));
  const groupStart = [0];
  const members: number[] = [];
  for (let plane = 0; plane < planes; plane++) {
    for (let position = 0; position < positions; position++) {
      for (let tap = 0; tap < windows.kernelSize; tap++) {
        const at = windows.taps[position * windows.kernelSize + tap]!;
        if (at >= 0) {
          members.push(plane * area + at);
        }
      }
      if (members.length === groupStart[groupStart.length - 1]) {
        throw new NodeRefusal("one of its windows lies in the padding alone", "pad it less");
      }
      groupStart.push(members.length);
    }
  }
  const groups = { groupStart: Int32Array.from(groupStart), members: Int32Array.from(members) };
  const shape = [...source.shape.slice(0, 2), ...windows.shape];
  return values(source.type, shape, lowering.maximum(source.rows, groups, context.node.name));
}

/** Windows of MaxPool and GlobalMaxPool. */
export function maxWindows(context: NodeContext, shape: Shape): Windows {
  if (context.node.outputs.length > 1 && context.node.outputs[1] !== "") {
    throw new NodeRefusal("its second output, where the maxima were, is used", "leave it out");
  }
  const spatial = shape.slice(2);
  const kernel =
    context.node.operator === "GlobalMaxPool"
      ? spatial
      : (integersOf(context.node, "kernel_shape") ?? []);
  return windowsOf(context, spatial, kernel);
}

/** Whether an operator along its axis sees all elements of a row of the model. */
function isWhole(context: NodeContext, shape: Shape, otherwise: number): boolean {
  const axis = checkedAxis(integerOf(context.node, "axis", otherwise), Math.max(shape.length, 1));
  const isOld = context.opset < 13 && context.node.operator === "Softmax";
  const along = isOld ? sizeOf(shape.slice(axis)) : (shape[axis] ?? 1);
  return along === sizeOf(shape);
}

/** Sigmoid, Tanh or Softmax: it is noted, and must be the last. */
export function lowerLast(context: NodeContext, input: Lowered): LoweredValues {
  const source = plain(input, context.node);
  const { features: _, ...rest } = source;
  const last = (after: LoweredValues["after"]) => ({ ...rest, after, afterNode: context.node });
  switch (context.node.operator) {
    case "Sigmoid":
      return last("sigmoid");
    case "Tanh":
      return last("tanh");
    default:
      if (!isWhole(context, source.shape, context.opset < 13 ? 1 : -1)) {
        throw new NodeRefusal(
          `it is over a part of [${source.shape}]`,
          "take it over all values that the model gives for a row",
        );
      }
      return last("softmax");
  }
}

export function lowerArgMax(context: NodeContext, input: Lowered): Lowered {
  const { node } = context;
  const source = input.kind === "values" ? input : plain(input, node);
  if (!isWhole(context, source.shape, 0) || integerOf(node, "select_last_index", 0) !== 0) {
    throw new NodeRefusal(
      `it is over a part of [${source.shape}], or takes the last of equal values`,
      "take the first largest of all values that the model gives for a row",
    );
  }
  const axis = checkedAxis(integerOf(node, "axis", 0), source.shape.length);
  const keeps = integerOf(node, "keepdims", 1) !== 0;
  const shape = source.shape.flatMap((size, i) => (i !== axis ? [size] : keeps ? [1] : []));
  // Each of sigmoid, tanh and softmax keeps the order.
  const { features: _, afterNode: __, ...rest } = source;
  return { kind: "argmax", type: "int64", shape, of: { ...rest, after: "nothing" }, node };
}

/** Rounds to whole numbers of the scale, which the program keeps as such. */
export function lowerQuantise(
  context: NodeContext,
  inputs: readonly (Lowered | undefined)[],
  options: { readonly operands: readonly (Operand | undefined)[]; readonly lowering: Lowering },
): LoweredValues {
  const { operands, lowering } = options;
  const source = plain(inputs[0]!, context.node);
  const { scale, zeroPoint } = quantisation(context, operands, source.shape);
  const type = quantisedType(context, operands);
  const range = INTEGER_RANGE[type];
  const count = sizeOf(source.shape);
  const zero = zeroPoint(0);
  if (
    range === undefined ||
    Array.from({ length: count }, (_, i) => zeroPoint(i)).some((z) => z !== zero)
  ) {
    throw new NodeRefusal(
      `it rounds to ${type}, or has zero points that differ`,
      "quantise to 8 or 16 bits with one zero point",
    );
  }
  const builder = new RowBuilder();
  const { rows } = source;
  for (let row = 0; row < count; row++) {
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      builder.entry(rows.columns[entry]!, rows.weights[entry]! / scale(row));
    }
    builder.end(rows.bias[row]! / scale(row));
  }
  const bounds = { lo: range[0] - zero, hi: range[1] - zero };
  const rounded = lowering.activate(
    builder.rows(),
    { kind: "round", ...bounds },
    context.node.name,
  );
  return values(type, source.shape, affine(rounded, 1, zero));
}

/** The type that QuantizeLinear gives. */
export function quantisedType(
  context: NodeContext,
  operands: readonly (Operand | undefined)[],
): Tensor["type"] {
  const asked = ELEMENT_TYPES[integerOf(context.node, "output_dtype", 0)];
  return operands[2]?.type ?? asked ?? "uint8";
}

/** Labels picked by the index of the largest: Gather or ArrayFeatureExtractor over constants. */
export function lowerLabels(table: Tensor, index: Lowered): Lowered {
  if (index.kind !== "argmax" || sizeOf(table.shape) < rowCount(index.of.rows)) {
    throw new NodeRefusal(
      "it picks constants by a value that depends on the input",
      "pick labels by an ArgMax only",
    );
  }
  const labels = table.texts ?? Array.from(table.data, String);
  return { ...index, type: table.type, of: { ...index.of, classLabels: labels } };
}

/** A tensor that is an attribute. */
export function constantOf(context: NodeContext): Tensor {
  const value = tensorOf(context.node, "value");
  if (value !== undefined) {
    return value;
  }
  const { attributes } = context.node;
  for (const [name, attribute] of attributes) {
    if (attribute.kind === "floats" || attribute.kind === "integers") {
      const type = attribute.kind === "floats" ? "float32" : "int64";
      const isList = name.endsWith("s");
      const shape = isList ? [attribute.values.length] : [];
      return { type, shape, data: Float64Array.from(attribute.values) };
    }
    if (attribute.kind === "texts") {
      const shape = name.endsWith("s") ? [attribute.values.length] : [];
      return { type: "string", shape, data: new Float64Array(0), texts: attribute.values };
    }
  }
  throw mismatch(`${operatorName(context.node)} without a value`);
}
