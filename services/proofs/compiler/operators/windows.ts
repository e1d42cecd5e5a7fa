// Where the windows of convolutions and poolings lie: for each position of the output and each
// position of the kernel, which position of the input is under it.

import { integerOf, integersOf, textOf } from "../onnx-model.ts";
import { type Shape, sizeOf, stridesOf } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import { checkedShape, mismatch, type NodeContext } from "./node-context.ts";

export interface Windows {
  /** Output, without batch and channel. */
  readonly shape: Shape;
  /** Positions of the output times positions of the kernel; -1 is padding. */
  readonly taps: Int32Array;
  /** Positions of the kernel. */
  readonly kernelSize: number;
  /**
   * For each position of the output, how many positions of its window lie in the input or its
   * padding: all but where ceil_mode lets a window hang over.
   */
  readonly inside: Int32Array;
}

/**
 * Windows over the spatial dimensions of an input.
 *
 * @param spatial the input's dimensions behind batch and channel
 * @param kernel the kernel's, as many
 */
export function windowsOf(context: NodeContext, spatial: Shape, kernel: Shape): Windows {
  const { node } = context;
  const rank = spatial.length;
  const strides = listOf(context, "strides", rank);
  const dilations = listOf(context, "dilations", rank);
  if (
    rank < 1 ||
    kernel.length !== rank ||
    [...kernel, ...strides, ...dilations].some((n) => n < 1)
  ) {
    throw mismatch(`a kernel [${kernel}] over [${spatial}]`);
  }
  const spans = kernel.map((size, axis) => (size - 1) * dilations[axis]! + 1);
  const pads = padsOf(context, { spatial, spans, strides });
  const rounding = integerOf(node, "ceil_mode", 0) === 1 ? Math.ceil : Math.floor;
  const shape = spatial.map((size, axis) => {
    const padded = size + pads[axis]! + pads[axis + rank]!;
    const count = rounding((padded - spans[axis]!) / strides[axis]!) + 1;
    // A window that would begin behind the input and its first padding is left out.
    const isBehind = (count - 1) * strides[axis]! >= size + pads[axis]!;
    return rounding === Math.ceil && isBehind ? count - 1 : count;
  });
  if (shape.some((size) => size < 1)) {
    throw mismatch(`a kernel [${kernel}] over [${spatial}]`);
  }
  const kernelSize = sizeOf(kernel);
  const outputs = checkedShape(context, [...shape, kernelSize]) / kernelSize;
  const taps = new Int32Array(outputs * kernelSize).fill(-1);
  const inside = new Int32Array(outputs);
  const outputStrides = stridesOf(shape);
  const kernelStrides = stridesOf(kernel);
  const inputStrides = stridesOf(spatial);
  for (let out = 0; out < outputs; out++) {
    for (let tap = 0; tap < kernelSize; tap++) {
      let at = 0;
      let isInside = true;
      for (let axis = 0; axis < rank; axis++) {
        const o = Math.floor(out / outputStrides[axis]!) % shape[axis]!;
        const k = Math.floor(tap / kernelStrides[axis]!) % kernel[axis]!;
        const i = o * strides[axis]! + k * dilations[axis]! - pads[axis]!;
        isInside &&= i < spatial[axis]! + pads[axis + rank]!;
        at = at < 0 || i < 0 || i >= spatial[axis]! ? -1 : at + i * inputStrides[axis]!;
      }
      taps[out * kernelSize + tap] = at;
      inside[out]! += isInside ? 1 : 0;
    }
  }
  return { shape, taps, kernelSize, inside };
}

function listOf(context: NodeContext, name: string, rank: number): readonly number[] {
  const given = integersOf(context.node, name);
  return given === undefined || given.length === 0 ? new Array<number>(rank).fill(1) : given;
}

/** Before each axis, then after each axis. */
function padsOf(
  context: NodeContext,
  window: { readonly spatial: Shape; readonly spans: Shape; readonly strides: Shape },
): readonly number[] {
  const { spatial, spans, strides } = window;
  const mode = textOf(context.node, "auto_pad", "NOTSET");
  if (mode === "VALID") {
    return new Array<number>(2 * spatial.length).fill(0);
  }
  if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
    const totals = spatial.map((size, axis) => {
      const count = Math.ceil(size / strides[axis]!);
      return Math.max(0, (count - 1) * strides[axis]! + spans[axis]! - size);
    });
    const small = totals.map((total) => Math.floor(total / 2));
    const large = totals.map((total) => Math.ceil(total / 2));
    return mode === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  }
  const pads = integersOf(context.node, "pads") ?? [];
  if (pads.some((pad) => pad < 0)) {
    throw new NodeRefusal(`it has the pads ${pads}`, "use pads of at least 0");
  }
  return pads.length === 0 ? new Array<number>(2 * spatial.length).fill(0) : pads;
}
