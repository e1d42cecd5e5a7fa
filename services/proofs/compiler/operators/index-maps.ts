// Operators that only move values: each says, for every element that it gives, which element of its
// inputs that is. In a circuit they cost nothing.

import { floatOf, integerOf, integersOf, textOf } from "../onnx-model.ts";
import { type Shape, sizeOf, stridesOf, walk } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import {
  checkedAxis,
  checkedShape,
  constantInput,
  mismatch,
  type NodeContext,
  type Operand,
  required,
} from "./node-context.ts";

/** One output of a node that moves values. */
export interface IndexMap {
  readonly shape: Shape;
  /**
   * For each element which one of the inputs in `sources`, numbered one after another, or -1 for
   * `fill`. Absent: all elements of the first input, in order.
   */
  readonly from?: Int32Array;
  readonly fill: number;
  /** Which inputs values are taken from. */
  readonly sources: readonly number[];
}

type Mapper = (context: NodeContext, inputs: readonly (Operand | undefined)[]) => IndexMap[];

const FIRST = [0] as const;

/** By operator of ONNX itself. */
export const INDEX_MAPS: Readonly<Record<string, Mapper>> = {
  Identity: same,
  Dropout: same,
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
  Split: split,
  Gather: gather,
  Expand: expand,
  Pad: padMap,
};

function inOrder(context: NodeContext, input: Operand, shape: Shape): IndexMap[] {
  if (checkedShape(context, shape) !== sizeOf(input.shape)) {
    throw mismatch(`[${input.shape}] cannot be seen as [${shape}]`);
  }
  return [{ shape, fill: 0, sources: FIRST }];
}

function same(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  if (
    integerOf(context.node, "training_mode", 0) !== 0 ||
    constantInput(inputs, 2, "training mode")?.data[0] === 1
  ) {
    throw new NodeRefusal("it is in training mode", "export the model for inference");
  }
  const input = required(context, inputs, 0);
  return inOrder(context, input, input.shape);
}

function flatten(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const input = required(context, inputs, 0);
  const rank = input.shape.length;
  const axis = integerOf(context.node, "axis", 1);
  const at = axis === rank ? rank : checkedAxis(axis, Math.max(rank, 1));
  const rows = sizeOf(input.shape.slice(0, at));
  return inOrder(context, input, [rows, sizeOf(input.shape.slice(at))]);
}

function reshape(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const input = required(context, inputs, 0);
  const asked = constantInput(inputs, 1, "shape")?.data ?? integersOf(context.node, "shape") ?? [];
  const keepsZeros = integerOf(context.node, "allowzero", 0) === 1;
  const shape = Array.from(asked, (dimension, axis) =>
    dimension === 0 && !keepsZeros ? (input.shape[axis] ?? 0) : dimension,
  );
  const open = shape.indexOf(-1);
  if (open >= 0) {
    const known = sizeOf(shape.filter((_, axis) => axis !== open));
    shape[open] = known === 0 ? 0 : sizeOf(input.shape) / known;
  }
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw mismatch(`[${input.shape}] cannot be seen as [${Array.from(asked)}]`);
  }
  return inOrder(context, input, shape);
}

function axesOf(
  context: NodeContext,
  inputs: readonly (Operand | undefined)[],
): number[] | undefined {
  const axes = constantInput(inputs, 1, "axes")?.data ?? integersOf(context.node, "axes");
  return axes === undefined ? undefined : Array.from(axes);
}

function squeeze(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const input = required(context, inputs, 0);
  const { shape } = input;
  const axes = axesOf(context, inputs)?.map((axis) => checkedAxis(axis, shape.length));
  const gone = axes ?? shape.flatMap((dimension, axis) => (dimension === 1 ? [axis] : []));
  if (gone.some((axis) => shape[axis] !== 1)) {
    throw mismatch(`[${shape}] cannot be squeezed at ${gone}`);
  }
  return inOrder(
    context,
    input,
    shape.filter((_, axis) => !gone.includes(axis)),
  );
}

function unsqueeze(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const input = required(context, inputs, 0);
  const axes = axesOf(context, inputs) ?? [];
  const rank = input.shape.length + axes.length;
  const added = new Set(axes.map((axis) => checkedAxis(axis, rank)));
  const rest = [...input.shape];
  const shape = Array.from({ length: rank }, (_, axis) =>
    added.has(axis) ? 1 : (rest.shift() ?? 1),
  );
  return inOrder(context, input, shape);
}

function transpose(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  const order = integersOf(context.node, "perm") ?? shape.map((_, axis) => shape.length - 1 - axis);
  if (
    [...order].sort((a, b) => a - b).some((axis, i) => axis !== i) ||
    order.length !== shape.length
  ) {
    throw mismatch(`[${shape}] cannot be transposed by ${order}`);
  }
  const strides = stridesOf(shape);
  const given = order.map((axis) => shape[axis]!);
  const steps = order.map((axis) => strides[axis]!);
  return [{ shape: given, from: walk(given, steps, 0), fill: 0, sources: FIRST }];
}

function concat(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const first = required(context, inputs, 0);
  const parts = inputs.map((_, at) => required(context, inputs, at));
  const axis = checkedAxis(integerOf(context.node, "axis", 0), first.shape.length);
  const fits = (shape: Shape) =>
    shape.length === first.shape.length &&
    shape.every((d, i) => i === axis || d === first.shape[i]);
  if (!parts.every(({ shape }) => fits(shape))) {
    throw mismatch(`${parts.map(({ shape }) => `[${shape}]`).join(" and ")} along axis ${axis}`);
  }
  const shape = first.shape.map((dimension, i) =>
    i === axis ? parts.reduce((sum, part) => sum + part.shape[axis]!, 0) : dimension,
  );
  const from = new Int32Array(checkedShape(context, shape));
  const outer = sizeOf(shape.slice(0, axis));
  let at = 0;
  for (let block = 0; block < outer; block++) {
    let start = 0;
    for (const part of parts) {
      const size = sizeOf(part.shape);
      const run = size / outer;
      for (let i = 0; i < run; i++) {
        from[at++] = start + block * run + i;
      }
      start += size;
    }
  }
  return [{ shape, from, fill: 0, sources: parts.map((_, i) => i) }];
}

function slice(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  const list = (at: number, name: string) => {
    const values = constantInput(inputs, at, name)?.data ?? integersOf(context.node, name);
    return values === undefined ? undefined : Array.from(values);
  };
  const starts = list(1, "starts") ?? [];
  const ends = list(2, "ends") ?? [];
  const axes = list(3, "axes") ?? starts.map((_, axis) => axis);
  const steps = list(4, "steps") ?? starts.map(() => 1);
  const strides = stridesOf(shape);
  const given = [...shape];
  const moves = [...strides];
  let origin = 0;
  axes.forEach((asked, i) => {
    const axis = checkedAxis(asked, shape.length);
    const size = shape[axis]!;
    const step = steps[i] ?? 1;
    if (step === 0 || ends[i] === undefined) {
      throw mismatch("a slice without an end, or with the step 0");
    }
    const low = step > 0 ? 0 : -1;
    const high = step > 0 ? size : size - 1;
    const hold = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const start = step > 0 ? hold(starts[i]!) : Math.max(hold(starts[i]!), 0);
    given[axis] = Math.max(0, Math.ceil((hold(ends[i]!) - start) / step));
    moves[axis] = strides[axis]! * step;
    origin += strides[axis]! * start;
  });
  checkedShape(context, given);
  return [{ shape: given, from: walk(given, moves, origin), fill: 0, sources: FIRST }];
}

function split(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  const axis = checkedAxis(integerOf(context.node, "axis", 0), shape.length);
  const size = shape[axis]!;
  const count = context.node.outputs.length;
  const asked = constantInput(inputs, 1, "split")?.data ?? integersOf(context.node, "split");
  const each = Math.ceil(size / count);
  const sizes = asked
    ? Array.from(asked)
    : Array.from({ length: count }, (_, i) => Math.max(0, Math.min(each, size - i * each)));
  if (sizes.reduce((sum, part) => sum + part, 0) !== size || sizes.some((part) => part < 0)) {
    throw mismatch(`${size} cannot be split into ${sizes}`);
  }
  const strides = stridesOf(shape);
  let start = 0;
  return sizes.map((part) => {
    const given = shape.map((dimension, i) => (i === axis ? part : dimension));
    const from = walk(given, strides, start * strides[axis]!);
    start += part;
    return { shape: given, from, fill: 0, sources: FIRST };
  });
}

function gather(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  required(context, inputs, 1);
  const indexes = constantInput(inputs, 1, "list of indexes")!;
  const axis = checkedAxis(integerOf(context.node, "axis", 0), shape.length);
  const given = [...shape.slice(0, axis), ...indexes.shape, ...shape.slice(axis + 1)];
  const from = new Int32Array(checkedShape(context, given));
  const size = shape[axis]!;
  const inner = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const index of indexes.data) {
      const own = index < 0 ? index + size : index;
      if (!(own >= 0 && own < size)) {
        throw mismatch(`index ${index} of ${size}`);
      }
      for (let i = 0; i < inner; i++) {
        from[at++] = (block * size + own) * inner + i;
      }
    }
  }
  return [{ shape: given, from, fill: 0, sources: FIRST }];
}

function expand(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  required(context, inputs, 1);
  const asked = Array.from(constantInput(inputs, 1, "shape")!.data);
  const rank = Math.max(shape.length, asked.length);
  const given = Array.from({ length: rank }, (_, axis) => {
    const own = shape[axis - rank + shape.length] ?? 1;
    return own === 1 ? (asked[axis - rank + asked.length] ?? 1) : own;
  });
  checkedShape(context, given);
  const strides = stridesOf(shape);
  const steps = given.map((_, axis) => {
    const own = axis - rank + shape.length;
    return own < 0 || shape[own] === 1 ? 0 : strides[own]!;
  });
  return [{ shape: given, from: walk(given, steps, 0), fill: 0, sources: FIRST }];
}

/** Where Pad takes the elements of one axis from; -1 is the constant. */
function paddedAxis(
  size: number,
  pads: { readonly before: number; readonly after: number },
  mode: string,
): number[] {
  return Array.from({ length: size + pads.before + pads.after }, (_, i) => {
    const at = i - pads.before;
    if (at >= 0 && at < size) {
      return at;
    }
    if (mode === "edge") {
      return at < 0 ? 0 : size - 1;
    }
    if (mode === "reflect") {
      return at < 0 ? -at : 2 * (size - 1) - at;
    }
    return -1;
  });
}

/** Pad with a constant, by the edge or by reflection. */
function padMap(context: NodeContext, inputs: readonly (Operand | undefined)[]): IndexMap[] {
  const { shape } = required(context, inputs, 0);
  const mode = textOf(context.node, "mode", "constant");
  const asked = constantInput(inputs, 1, "pads")?.data ?? integersOf(context.node, "pads") ?? [];
  const axes = Array.from(
    constantInput(inputs, 3, "axes")?.data ?? shape.map((_, axis) => axis),
    (axis) => checkedAxis(axis, shape.length),
  );
  const pads = shape.map(() => ({ before: 0, after: 0 }));
  axes.forEach((axis, i) => {
    pads[axis] = { before: asked[i] ?? 0, after: asked[i + axes.length] ?? 0 };
  });
  if (!["constant", "edge", "reflect"].includes(mode) || asked.length !== 2 * axes.length) {
    throw new NodeRefusal(`it pads with mode "${mode}"`, "pad with a constant, edge or reflect");
  }
  const given = shape.map((size, axis) => size + pads[axis]!.before + pads[axis]!.after);
  const from = new Int32Array(checkedShape(context, given));
  const strides = stridesOf(shape);
  const lists = shape.map((size, axis) => paddedAxis(size, pads[axis]!, mode));
  if (lists.some((list, axis) => list.some((at) => at >= shape[axis]! || at < -1))) {
    throw mismatch(`[${shape}] cannot be padded by ${Array.from(asked)} with mode "${mode}"`);
  }
  const positions = stridesOf(given);
  for (let i = 0; i < from.length; i++) {
    let at = 0;
    for (let axis = 0; axis < given.length && at >= 0; axis++) {
      const own = lists[axis]![Math.floor(i / positions[axis]!) % given[axis]!]!;
      at = own < 0 ? -1 : at + own * strides[axis]!;
    }
    from[i] = at;
  }
  const fill = constantInput(inputs, 2, "value")?.data[0] ?? floatOf(context.node, "value", 0);
  return [{ shape: given, from, fill, sources: FIRST }];
}
