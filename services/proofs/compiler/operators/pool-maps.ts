// Means and sums over windows and axes as linear maps.

import { integerOf, integersOf } from "../onnx-model.ts";
import { type Shape, sizeOf, stridesOf } from "../tensor.ts";
import { type Inputs, type LinearMap, perElement } from "./linear-map.ts";
import {
  checkedAxis,
  checkedShape,
  constantInput,
  type NodeContext,
  required,
} from "./node-context.ts";
import { windowsOf } from "./windows.ts";

export function averagePool(context: NodeContext, inputs: Inputs): LinearMap {
  const { shape } = required(context, inputs, 0);
  const kernel = integersOf(context.node, "kernel_shape") ?? [];
  const windows = windowsOf(context, shape.slice(2), kernel);
  const countsPadding = integerOf(context.node, "count_include_pad", 0) !== 0;
  const positions = sizeOf(windows.shape);
  const area = sizeOf(shape.slice(2));
  return {
    shape: [...shape.slice(0, 2), ...windows.shape],
    source: 0,
    row: (output, term) => {
      const position = output % positions;
      const start = Math.floor(output / positions) * area;
      const first = position * windows.kernelSize;
      const taps = windows.taps.subarray(first, first + windows.kernelSize);
      const count = countsPadding
        ? windows.inside[position]!
        : taps.reduce((sum, at) => sum + (at < 0 ? 0 : 1), 0);
      for (const at of taps) {
        if (at >= 0) {
          term(start + at, 1 / count);
        }
      }
      return 0;
    },
  };
}

/** ReduceSum and ReduceMean. */
export function reduction(
  context: NodeContext,
  inputs: Inputs,
  options: { readonly isMean: boolean },
): LinearMap {
  const { shape } = required(context, inputs, 0);
  const { node } = context;
  const asked = constantInput(inputs, 1, "axes")?.data ?? integersOf(node, "axes") ?? [];
  const isNone = asked.length === 0;
  if (isNone && integerOf(node, "noop_with_empty_axes", 0) !== 0) {
    return perElement(
      shape,
      () => 1,
      () => 0,
    );
  }
  const axes = isNone
    ? shape.map((_, axis) => axis)
    : Array.from(asked, (axis) => checkedAxis(axis, shape.length));
  return reduce(context, shape, { axes, keeps: integerOf(node, "keepdims", 1) !== 0, ...options });
}

/** Sums or means over axes. */
export function reduce(
  context: NodeContext,
  shape: Shape,
  options: { readonly axes: readonly number[]; readonly keeps: boolean; readonly isMean: boolean },
): LinearMap {
  const gone = new Set(options.axes);
  const strides = stridesOf(shape);
  const kept = shape.map((size, axis) => (gone.has(axis) ? 1 : size));
  const inner = shape.map((size, axis) => (gone.has(axis) ? size : 1));
  checkedShape(context, shape);
  const offsets = (part: Shape) => {
    const own = stridesOf(part);
    return Int32Array.from({ length: sizeOf(part) }, (_, i) =>
      part.reduce((at, size, axis) => at + (Math.floor(i / own[axis]!) % size) * strides[axis]!, 0),
    );
  };
  const starts = offsets(kept);
  const members = offsets(inner);
  const weight = options.isMean ? 1 / members.length : 1;
  return {
    shape: options.keeps ? kept : shape.filter((_, axis) => !gone.has(axis)),
    source: 0,
    row: (output, term) => {
      for (const member of members) {
        term(starts[output]! + member, weight);
      }
      return 0;
    },
  };
}
