import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  ModelVersion_State,
  ModelVersionSchema,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import { SignatureSchema } from "../../../gen/plinth/registry/v1/signature_pb.js";
import { isBatched, toModelFacts } from "./model-facts.ts";

type Dimension = readonly [size: number, name?: string];

function signature(
  inputs: readonly Dimension[][],
  outputs: readonly Dimension[][],
  batchable = true,
) {
  const specs = (list: readonly Dimension[][]) =>
    list.map((dimensions, index) => ({
      name: `t${index}`,
      datatype: "FP32",
      shape: dimensions.map(([size]) => BigInt(size)),
      dimensionNames: dimensions.map(([, name]) => name ?? ""),
    }));
  return create(SignatureSchema, { inputs: specs(inputs), outputs: specs(outputs), batchable });
}

describe("model-facts", () => {
  const cases: readonly {
    readonly it: string;
    readonly inputs: readonly Dimension[][];
    readonly outputs: readonly Dimension[][];
    readonly batched: boolean;
  }[] = [
    {
      it: "open everywhere",
      inputs: [[[-1], [30]]],
      outputs: [[[-1]], [[-1], [2]]],
      batched: true,
    },
    {
      it: "one name everywhere",
      inputs: [[[-1, "N"], [30]]],
      outputs: [[[-1, "N"], [2]]],
      batched: true,
    },
    { it: "names that differ", inputs: [[[-1, "N"]]], outputs: [[[-1, "M"]]], batched: true },
    { it: "a fixed first dimension", inputs: [[[1], [30]]], outputs: [[[1], [2]]], batched: false },
    { it: "a fixed input beside", inputs: [[[-1]], [[3]]], outputs: [[[-1]]], batched: false },
    { it: "a scalar input", inputs: [[[-1]], []], outputs: [[[-1]]], batched: false },
    { it: "an output without dimensions", inputs: [[[-1]]], outputs: [[]], batched: false },
    {
      it: "only the second dimension open",
      inputs: [[[1], [-1]]],
      outputs: [[[1]]],
      batched: false,
    },
  ];
  for (const { it: name, inputs, outputs, batched } of cases) {
    it(`is ${batched ? "" : "not "}batched: ${name}`, () => {
      expect(isBatched(signature(inputs, outputs))).toBe(batched);
    });
  }

  it("is not batched where validation found that rows influence each other", () => {
    expect(isBatched(signature([[[-1]]], [[[-1]]], false))).toBe(false);
  });

  it("reads what serving needs", () => {
    const version = create(ModelVersionSchema, {
      name: "workspaces/w/models/m/versions/3",
      uid: "u3",
      state: ModelVersion_State.READY,
      artifact: { sha256: "ab" },
      signature: signature([[[-1], [2]]], [[[-1]]]),
      columns: ["a", "b"],
      featureService: "workspaces/w/featureServices/f/versions/2",
    });
    expect(toModelFacts(version)).toEqual({
      modelVersion: "workspaces/w/models/m/versions/3",
      version: "3",
      uid: "u3",
      digest: "ab",
      signature: {
        inputs: [{ name: "t0", datatype: "FP32", shape: [-1, 2] }],
        outputs: [{ name: "t0", datatype: "FP32", shape: [-1] }],
      },
      batched: true,
      columns: ["a", "b"],
      classLabels: [],
      featureService: "workspaces/w/featureServices/f/versions/2",
    });
    const without = toModelFacts({ ...version, featureService: "" });
    expect(without.featureService).toBeUndefined();
  });

  it("refuses a version that is not ready", () => {
    const version = create(ModelVersionSchema, { name: "x", state: ModelVersion_State.FAILED });
    expect(() => toModelFacts(version)).toThrow("x is FAILED in the registry");
  });
});
