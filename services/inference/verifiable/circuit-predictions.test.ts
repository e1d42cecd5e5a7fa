import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ProvedOutputSchema } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { circuitPrediction } from "./circuit-predictions.ts";

const LABELS = ["benign", "malignant"];

function shown(
  output: MessageInitShape<typeof ProvedOutputSchema>,
  classLabels: readonly string[] = [],
  names: readonly string[] = ["y"],
) {
  return circuitPrediction(create(ProvedOutputSchema, { name: "y", ...output }), {
    classLabels,
    shown: new Set(names),
  });
}

describe("what a circuit gives", () => {
  it("is shown by the name and in the shape of the model's output", () => {
    expect(shown({ shape: [2n, 2n], values: [1, 2, 3, 4.5] }).outputs).toEqual({
      y: [
        [1, 2],
        [3, 4.5],
      ],
    });
    expect(shown({ shape: [1n], values: [-0.5] })).toEqual({ outputs: { y: [-0.5] }, label: "" });
    expect(shown({ shape: [], values: [7] }).outputs).toEqual({ y: 7 });
  });

  it("has the model's last function applied, where there is one", () => {
    const softmax = { shape: [2n], values: [-1, 1], after: "softmax", valuesAfter: [0.125, 0.875] };
    const prediction = shown({ ...softmax, classIndex: 1n, classLabel: "malignant" }, LABELS);
    expect(prediction).toEqual({
      outputs: { y: [0.125, 0.875] },
      label: "malignant",
      scores: { benign: 0.125, malignant: 0.875 },
    });
  });

  it("has no label and no scores that the circuit does not give", () => {
    const one = { shape: [1n], values: [2], after: "sigmoid", valuesAfter: [0.88] };
    expect(shown(one, LABELS)).toEqual({ outputs: { y: [0.88] }, label: "" });
    expect(shown({ shape: [2n], values: [1, 0], classIndex: 0n })).toEqual({
      outputs: { y: [1, 0] },
      label: "",
    });
  });

  it("is the class of an argmax circuit, and whether a threshold is reached", () => {
    expect(shown({ shape: [2n], classIndex: 1n }, LABELS)).toEqual({
      outputs: { y: 1 },
      label: "malignant",
    });
    expect(shown({ shape: [1n], reached: false, threshold: 0.5 }).outputs).toEqual({ y: false });
  });

  it("leaves out an output that was not asked for, never the class", () => {
    const output = { shape: [2n], values: [1, 3], classIndex: 1n };
    expect(shown(output, LABELS, ["other"])).toEqual({
      outputs: {},
      label: "malignant",
      scores: { benign: 1, malignant: 3 },
    });
  });
});
