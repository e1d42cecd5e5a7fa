// Products of matrices and convolutions as linear maps.

import { floatOf, integerOf } from "../onnx-model.ts";
import { broadcastIndexes, broadcastShape, type Shape, sizeOf } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import type { Inputs, LinearMap } from "./linear-map.ts";
import {
  checkedShape,
  constantInput,
  mismatch,
  type NodeContext,
  required,
} from "./node-context.ts";
import { windowsOf } from "./windows.ts";

/** A product of matrices: element `o` is the sum over t < terms of left times right. */
interface Product {
  readonly shape: Shape;
  readonly terms: number;
  readonly leftStart: Int32Array;
  readonly leftStep: number;
  readonly rightStart: Int32Array;
  readonly rightStep: number;
}

function productMap(
  context: NodeContext,
  inputs: Inputs,
  options: {
    readonly product: Product;
    readonly factor: number;
    readonly bias?: (output: number) => number;
  },
): LinearMap {
  const { product, factor, bias = () => 0 } = options;
  const source = required(context, inputs, 1).constant === undefined ? 1 : 0;
  const weights = required(context, inputs, 1 - source).constant;
  if (weights === undefined) {
    throw new NodeRefusal(
      "it multiplies two matrices that both depend on the input",
      "only products with constant matrices are proved; attention cannot be",
    );
  }
  const { terms, leftStart, leftStep, rightStart, rightStep } = product;
  const sides = [
    { start: leftStart, step: leftStep },
    { start: rightStart, step: rightStep },
  ];
  const values = sides[source]!;
  const fixed = sides[1 - source]!;
  return {
    shape: product.shape,
    source,
    row: (output, term) => {
      const first = values.start[output]!;
      const weight = fixed.start[output]!;
      for (let t = 0; t < terms; t++) {
        term(first + t * values.step, factor * weights.data[weight + t * fixed.step]!);
      }
      return bias(output);
    },
  };
}

/** MatMul of any rank; one side is constant. */
export function matMul(context: NodeContext, inputs: Inputs): LinearMap {
  const left = required(context, inputs, 0).shape;
  const right = required(context, inputs, 1).shape;
  const a = left.length === 1 ? [1, ...left] : left;
  const b = right.length === 1 ? [...right, 1] : right;
  const [m = 0, k = 0] = a.slice(-2);
  const n = b[b.length - 1] ?? 0;
  const batch = broadcastShape(a.slice(0, -2), b.slice(0, -2));
  if (a.length < 2 || b.length < 2 || batch === undefined || b[b.length - 2] !== k) {
    throw mismatch(`[${left}] times [${right}]`);
  }
  const full = [...batch, m, n];
  const lefts = broadcastIndexes(a.slice(0, -2), batch);
  const rights = broadcastIndexes(b.slice(0, -2), batch);
  const size = checkedShape(context, full);
  const at = (output: number) => Math.floor(output / (m * n));
  const leftStart = Int32Array.from({ length: size }, (_, output) => {
    return lefts[at(output)]! * m * k + (Math.floor(output / n) % m) * k;
  });
  const rightStart = Int32Array.from({ length: size }, (_, output) => {
    return rights[at(output)]! * k * n + (output % n);
  });
  const shape = [...batch, ...(left.length === 1 ? [] : [m]), ...(right.length === 1 ? [] : [n])];
  const product = { shape, terms: k, leftStart, leftStep: 1, rightStart, rightStep: n };
  return productMap(context, inputs, { product, factor: 1 });
}

/** Gemm; one side is constant. */
export function gemm(context: NodeContext, inputs: Inputs): LinearMap {
  const left = required(context, inputs, 0).shape;
  const right = required(context, inputs, 1).shape;
  const turnsLeft = integerOf(context.node, "transA", 0) !== 0;
  const turnsRight = integerOf(context.node, "transB", 0) !== 0;
  const [m = 0, k = 0] = turnsLeft ? [...left].reverse() : left;
  const [k2 = 0, n = 0] = turnsRight ? [...right].reverse() : right;
  if (left.length !== 2 || right.length !== 2 || k !== k2) {
    throw mismatch(`[${left}] times [${right}]`);
  }
  const size = checkedShape(context, [m, n]);
  const row = (output: number) => Math.floor(output / n);
  const product: Product = {
    shape: [m, n],
    terms: k,
    leftStart: Int32Array.from({ length: size }, (_, o) => row(o) * (turnsLeft ? 1 : k)),
    leftStep: turnsLeft ? m : 1,
    rightStart: Int32Array.from({ length: size }, (_, o) => (o % n) * (turnsRight ? k : 1)),
    rightStep: turnsRight ? 1 : n,
  };
  const c = constantInput(inputs, 2, "bias");
  const beta = floatOf(context.node, "beta", 1);
  const factor = floatOf(context.node, "alpha", 1);
  if (c === undefined) {
    return productMap(context, inputs, { product, factor });
  }
  if (broadcastShape(c.shape, [m, n])?.join() !== [m, n].join()) {
    throw mismatch(`a bias [${c.shape}] for [${m},${n}]`);
  }
  const at = broadcastIndexes(c.shape, [m, n]);
  return productMap(context, inputs, { product, factor, bias: (o) => beta * c.data[at[o]!]! });
}

/** Conv with a constant kernel. */
export function conv(context: NodeContext, inputs: Inputs): LinearMap {
  const { shape } = required(context, inputs, 0);
  required(context, inputs, 1);
  const weights = constantInput(inputs, 1, "kernel")!;
  const bias = constantInput(inputs, 2, "bias");
  const [outputs = 0, channels = 0, ...kernel] = weights.shape;
  const groups = integerOf(context.node, "group", 1);
  if (shape[1] !== channels * groups || outputs % groups !== 0) {
    throw mismatch(`a kernel [${weights.shape}] in ${groups} groups over [${shape}]`);
  }
  const windows = windowsOf(context, shape.slice(2), kernel);
  const positions = sizeOf(windows.shape);
  const given = [shape[0]!, outputs, ...windows.shape];
  checkedShape(context, given);
  const area = sizeOf(shape.slice(2));
  const { taps, kernelSize } = windows;
  return {
    shape: given,
    source: 0,
    row: (output, term) => {
      const position = output % positions;
      const channel = Math.floor(output / positions) % outputs;
      const image = Math.floor(output / (positions * outputs));
      const first = Math.floor(channel / (outputs / groups)) * channels;
      for (let c = 0; c < channels; c++) {
        const start = (image * shape[1]! + first + c) * area;
        const weight = (channel * channels + c) * kernelSize;
        for (let tap = 0; tap < kernelSize; tap++) {
          const at = taps[position * kernelSize + tap]!;
          if (at >= 0) {
            term(start + at, weights.data[weight + tap]!);
          }
        }
      }
      return bias?.data[channel] ?? 0;
    },
  };
}
