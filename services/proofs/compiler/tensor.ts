// Tensors of the compiler: weights and what is computed from them. All numbers are float64, which
// holds every float32 and every integer that a model can be sensible with.

export type ElementType =
  | "float32"
  | "float64"
  | "float16"
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "bool"
  | "string";

export type Shape = readonly number[];

/** Row-major. Of texts `data` is empty and `texts` is there. */
export interface Tensor {
  readonly type: ElementType;
  readonly shape: Shape;
  readonly data: Float64Array;
  readonly texts?: readonly string[];
}

/** Smallest and largest of the integer types. */
export const INTEGER_RANGE: Readonly<Partial<Record<ElementType, readonly [number, number]>>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65_535],
  int16: [-32_768, 32_767],
  uint32: [0, 4_294_967_295],
  int32: [-2_147_483_648, 2_147_483_647],
};

export function isFloat(type: ElementType): boolean {
  return type === "float32" || type === "float64" || type === "float16";
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** A tensor of numbers. */
export function numbers(type: ElementType, shape: Shape, data: ArrayLike<number>): Tensor {
  return { type, shape, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

/** Distance in elements between neighbours, by dimension. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** The shape that two shapes give together; undefined where they do not fit. */
export function broadcastShape(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      return undefined;
    }
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** For each element of `to`, which element of `from` it is; `from` must broadcast to `to`. */
export function broadcastIndexes(from: Shape, to: Shape): Int32Array {
  const strides = stridesOf(from);
  const steps = to.map((_, axis) => {
    const own = axis - to.length + from.length;
    return own < 0 || from[own] === 1 ? 0 : strides[own]!;
  });
  return walk(to, steps, 0);
}

/** For each element of a tensor of this shape, in order: start + sum of index times step. */
export function walk(shape: Shape, steps: readonly number[], start: number): Int32Array {
  const indexes = new Int32Array(sizeOf(shape));
  const position = new Array<number>(shape.length).fill(0);
  let at = start;
  for (let i = 0; i < indexes.length; i++) {
    indexes[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis]! += 1;
      at += steps[axis]!;
      if (position[axis]! < shape[axis]!) {
        break;
      }
      at -= steps[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
  return indexes;
}

/** An axis that may count from the end; undefined where the tensor has no such one. */
export function axisOf(axis: number, rank: number): number | undefined {
  const own = axis < 0 ? axis + rank : axis;
  return Number.isInteger(own) && own >= 0 && own < rank ? own : undefined;
}
