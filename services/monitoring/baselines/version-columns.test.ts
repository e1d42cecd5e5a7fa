import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type ModelVersion,
  ModelVersionSchema,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import type { TensorSpec } from "../../../gen/plinth/registry/v1/signature_pb.js";
import { decodeBatch } from "../capture/decode-batch.ts";
import { captured, elementsOf } from "../capture/testing.ts";
import { versionColumns } from "./version-columns.ts";

type Init = Exclude<MessageInitShape<typeof ModelVersionSchema>, ModelVersion>;

const BYTES_OF: Readonly<Record<string, number>> = { BOOL: 1, INT64: 8, FP16: 2, FP32: 4, FP64: 8 };

/** A pipeline of scikit-learn, as skl2onnx writes it. */
const CLASSIFIER: Init = {
  columns: ["distance", "hour"],
  classLabels: ["late", "on time"],
  signature: {
    inputs: [{ name: "X", datatype: "FP32", shape: [-1n, 2n] }],
    outputs: [
      { name: "output_label", datatype: "INT64", shape: [-1n] },
      { name: "probabilities", datatype: "FP32", shape: [-1n, 2n] },
    ],
  },
};
const REGRESSOR: Init = {
  signature: {
    inputs: [
      { name: "distance", datatype: "FP64", shape: [-1n, 1n] },
      { name: "carrier", datatype: "BYTES", shape: [-1n] },
      { name: "holiday", datatype: "BOOL", shape: [-1n, 1n] },
      { name: "image", datatype: "FP16", shape: [-1n, 3n, 8n, 8n] },
      { name: "prediction.before", datatype: "FP16", shape: [-1n] },
    ],
    outputs: [
      { name: "delay", datatype: "FP32", shape: [-1n, 1n] },
      { name: "embedding", datatype: "FP32", shape: [-1n, 4n] },
    ],
  },
};
const NAMED_CLASS: Init = {
  classLabels: ["a", "b", "c"],
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: [-1n, 1n] }],
    outputs: [
      { name: "label", datatype: "BYTES", shape: [-1n] },
      { name: "scores", datatype: "FP32", shape: [-1n, 3n] },
    ],
  },
};
const SCORES_ALONE: Init = {
  classLabels: ["a", "b"],
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: [-1n, 1n] }],
    outputs: [{ name: "p", datatype: "FP64", shape: [-1n, 2n] }],
  },
};
const MANY_CLASSES: Init = {
  classLabels: Array.from({ length: 65 }, (_, i) => `c${i}`),
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: [-1n, 1n] }],
    outputs: [{ name: "p", datatype: "FP32", shape: [-1n, 65n] }],
  },
};

describe("versionColumns", () => {
  it("names the columns of a classifier", () => {
    expect(versionColumns(create(ModelVersionSchema, CLASSIFIER))).toEqual([
      { name: "distance", kind: "numeric", precision: "single" },
      { name: "hour", kind: "numeric", precision: "single" },
      { name: "prediction.output_label", kind: "numeric" },
      { name: "prediction.probabilities.late", kind: "numeric", precision: "single" },
      { name: "prediction.probabilities.on time", kind: "numeric", precision: "single" },
      { name: "prediction.label", kind: "category" },
    ]);
  });

  it("names inputs where there are no columns, and counts those of many values", () => {
    expect(versionColumns(create(ModelVersionSchema, REGRESSOR))).toEqual([
      { name: "distance", kind: "numeric" },
      { name: "carrier", kind: "category" },
      { name: "holiday", kind: "bool" },
      { name: "image", kind: "counted" },
      { name: "input.prediction.before", kind: "numeric", precision: "half" },
      { name: "prediction.delay", kind: "numeric", precision: "single" },
      { name: "prediction.embedding", kind: "counted" },
    ]);
  });

  it("takes an open dimension of a classifier for its scores", () => {
    const outputs = [{ name: "p", datatype: "FP32", shape: [-1n, -1n] }];
    const version = create(ModelVersionSchema, { classLabels: ["a", "b"], signature: { outputs } });
    const names = versionColumns(version).map(({ name }) => name);
    expect(names).toEqual(["prediction.p.a", "prediction.p.b", "prediction.label"]);
  });

  it("has no columns before there is a signature", () => {
    expect(versionColumns(create(ModelVersionSchema, {}))).toEqual([]);
  });

  it.each([
    ["a classifier", CLASSIFIER],
    ["a regressor", REGRESSOR],
    ["an output that is the class", NAMED_CLASS],
    ["scores alone", SCORES_ALONE],
    ["many classes", MANY_CLASSES],
  ])("agrees with captured batches on %s", (_, init) => {
    const version = create(ModelVersionSchema, init);
    const { inputs = [], outputs = [] } = version.signature ?? {};
    const batch = captured({
      rows: 1,
      inferences: { ids: [], rows: [1], eventTimesUs: [0n] },
      classLabels: version.classLabels,
      inputs: inputs.map((input) => ({ ...tensorOf(input), columns: version.columns })),
      outputs: outputs.map(tensorOf),
    });
    const decoded = decodeBatch(batch, { sender: "s", acknowledged: 0, columnsMax: 1000 });
    const columns = [...decoded.columns].map(([name, { kind }]) => ({ name, kind }));
    expect(versionColumns(version).map(({ name, kind }) => ({ name, kind }))).toEqual(columns);
  });
});

/** One row of zeros, as it is captured. */
function tensorOf({ name, datatype, shape }: TensorSpec) {
  const rowShape = shape.slice(1).map(Number);
  const values = rowShape.reduce((product, size) => product * size, 1);
  const contents =
    datatype === "BYTES"
      ? elementsOf(...Array.from({ length: values }, () => "a"))
      : new Uint8Array(values * BYTES_OF[datatype]!);
  return { name, datatype, rowShape, contents };
}
