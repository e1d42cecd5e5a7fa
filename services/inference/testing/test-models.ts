// Small models that compute something real, for the tests of the protocols.

/// <reference lib="esnext.float16" />

import { DATATYPES, type FixedTensor, type Tensor } from "../tensor.ts";
import type { TestModel } from "./computing-engine.ts";

/** FP32 elements as raw bytes. */
export function fp32(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

/** INT64 elements as raw bytes. */
export function int64(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
}

/** Raw bytes as FP32 elements. */
export function floats(bytes: Uint8Array | undefined): number[] {
  const copy = new Uint8Array(bytes ?? []);
  return [...new Float32Array(copy.buffer)];
}

/**
 * features FP32 [N,3] to label INT64 [N] and probabilities FP32 [N,2]; the mean is the second one.
 */
export const meanModel: TestModel = {
  deployment: "mean",
  version: "3",
  batched: true,
  columns: ["radius", "texture", "mean area"],
  classLabels: ["benign", "malignant"],
  signature: {
    inputs: [{ name: "features", datatype: "FP32", shape: [-1, 3] }],
    outputs: [
      { name: "label", datatype: "INT64", shape: [-1] },
      { name: "probabilities", datatype: "FP32", shape: [-1, 2] },
    ],
  },
  compute(inputs) {
    const values = floats((inputs[0] as FixedTensor).data);
    const rows = inputs[0]!.shape[0]!;
    const means = Array.from({ length: rows }, (_, row) => {
      const [a, b, c] = values.slice(row * 3, row * 3 + 3);
      return (a! + b! + c!) / 3;
    });
    return [
      {
        name: "label",
        datatype: "INT64",
        shape: [rows],
        data: int64(...means.map((mean) => (mean > 0.5 ? 1 : 0))),
      },
      {
        name: "probabilities",
        datatype: "FP32",
        shape: [rows, 2],
        data: fp32(...means.flatMap((mean) => [1 - mean, mean])),
      },
    ];
  },
};

/** x FP32 [N,k], s BYTES [N], n INT64 [N,1] and b BOOL [N] come back as they are. */
export const mixedModel: TestModel = {
  deployment: "mixed",
  version: "1",
  batched: true,
  signature: {
    inputs: [
      { name: "x", datatype: "FP32", shape: [-1, -1] },
      { name: "s", datatype: "BYTES", shape: [-1] },
      { name: "n", datatype: "INT64", shape: [-1, 1] },
      { name: "b", datatype: "BOOL", shape: [-1] },
    ],
    outputs: [
      { name: "x_out", datatype: "FP32", shape: [-1, -1] },
      { name: "s_out", datatype: "BYTES", shape: [-1] },
      { name: "n_out", datatype: "INT64", shape: [-1, 1] },
      { name: "b_out", datatype: "BOOL", shape: [-1] },
    ],
  },
  compute: (inputs) => inputs.map(renamed),
};

/** A scalar that comes back; no batch dimension. */
export const scalarModel: TestModel = {
  deployment: "scalar",
  version: "1",
  batched: false,
  signature: {
    inputs: [{ name: "x", datatype: "FP64", shape: [] }],
    outputs: [{ name: "x_out", datatype: "FP64", shape: [] }],
  },
  compute: (inputs) => inputs.map(renamed),
};

/** One model a datatype, `same-FP32`: x [N,2] comes back. */
export const sameModels: readonly TestModel[] = DATATYPES.map((datatype) => ({
  deployment: `same-${datatype}`,
  version: "1",
  batched: true,
  signature: {
    inputs: [{ name: "x", datatype, shape: [-1, 2] }],
    outputs: [{ name: "x_out", datatype, shape: [-1, 2] }],
  },
  compute: (inputs) => inputs.map(renamed),
}));

/** x FP32 [N,2] comes back as FP16 and as it is. */
export const halvingModel: TestModel = {
  deployment: "halving",
  version: "1",
  batched: true,
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
    outputs: [
      { name: "half", datatype: "FP16", shape: [-1, 2] },
      { name: "x_out", datatype: "FP32", shape: [-1, 2] },
    ],
  },
  compute([x]) {
    const { shape, data } = x as FixedTensor;
    const half = new Uint8Array(Float16Array.from(floats(data)).buffer);
    return [{ name: "half", datatype: "FP16", shape, data: half }, renamed(x!)];
  },
};

/** A version that is still loading. */
export const loadingModel: TestModel = {
  ...scalarModel,
  deployment: "slow",
  state: "LOADING",
};

/** A version that could not be loaded, beside one that serves. */
export const failedModel: TestModel = { ...meanModel, version: "4", state: "FAILED" };

function renamed(tensor: Tensor): Tensor {
  return { ...tensor, name: `${tensor.name}_out` };
}
