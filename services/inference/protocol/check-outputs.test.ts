import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { decoded, type RequestInit } from "../testing/requests.ts";
import { meanModel } from "../testing/test-models.ts";
import { checkOutputs } from "./check-outputs.ts";
import { Violations } from "./violations.ts";

describe("check-outputs", () => {
  const outputs = (init: RequestInit["outputs"]) => {
    const violations = new Violations();
    const checked = checkOutputs(decoded({ outputs: init ?? [] }), meanModel.signature, violations);
    violations.throwIfAny(ErrorReason.TENSOR_MISMATCH);
    return checked;
  };
  const classification = (value: bigint) => ({
    classification: { parameterChoice: { case: "int64Param", value } as const },
  });

  it("gives all, or those asked for in their order", () => {
    expect(outputs([]).indices).toEqual([0, 1]);
    expect(outputs([{ name: "probabilities" }, { name: "label" }]).indices).toEqual([1, 0]);
  });

  it("reads how many classes are wanted", () => {
    const { classes } = outputs([
      { name: "label" },
      { name: "probabilities", parameters: classification(2n) },
    ]);
    expect([...classes]).toEqual([[1, 2]]);
  });

  it.each<[string, RequestInit["outputs"], string]>([
    [
      "an unknown name",
      [{ name: "x" }],
      'output "x": is not an output of the model, which gives "label", "probabilities"',
    ],
    [
      "a name twice",
      [{ name: "label" }, { name: "label" }],
      'output "label": is asked for more than once',
    ],
    [
      "classification of another type",
      [
        {
          name: "label",
          parameters: { classification: { parameterChoice: { case: "boolParam", value: true } } },
        },
      ],
      'parameter "classification" must be int64_param',
    ],
    [
      "negative classes",
      [{ name: "label", parameters: classification(-1n) }],
      'parameter "classification" is -1',
    ],
    [
      "shared memory",
      [
        {
          name: "label",
          parameters: {
            shared_memory_region: { parameterChoice: { case: "stringParam", value: "" } },
          },
        },
      ],
      'parameter "shared_memory_region" asks for shared memory',
    ],
  ])("refuses %s", (_, init, text) => {
    expect(() => outputs(init)).toThrow(text);
  });
});
