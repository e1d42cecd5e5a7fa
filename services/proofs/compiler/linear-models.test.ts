import { describe, expect, it } from "vitest";
import type { Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { compileModel } from "./compile-model.ts";
import { checkModel, GRID, type SmallModel, smallModel } from "./testing.ts";
import { UnsupportedModel } from "./unsupported.ts";

const random = new SeededRandom(13);
const some = (count: number) => Array.from({ length: count }, () => random.uint32() / 2 ** 31 - 1);

function ml(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Node["attributes"],
): Node {
  return { op, domain: "ai.onnx.ml", inputs, outputs, attributes: attributes ?? {} };
}

function classifier(scores: number, classes: number, post: string, outputs = ["label", "y"]): Node {
  return ml("LinearClassifier", ["x"], outputs, {
    coefficients: { floats: some(scores * 3) },
    intercepts: { floats: some(scores) },
    classlabels_ints: { integers: Array.from({ length: classes }, (_, i) => i) },
    post_transform: { text: post },
  });
}

const model = (...nodes: readonly Node[]): SmallModel => ({ shape: [3], nodes });

describe("linear models of ai.onnx.ml against onnxruntime", () => {
  it.each(["NONE", "LOGISTIC", "SOFTMAX"])(
    "classifies by one, two and three scores with %s",
    async (post) => {
      for (const [scores, classes] of [
        [1, 2],
        [2, 2],
        [3, 3],
      ] as const) {
        const { bound } = await checkModel(model(classifier(scores, classes, post)), random);
        expect(bound).toBeLessThan(0.01);
      }
    },
  );

  it.each([
    [1, 2],
    [2, 2],
    [3, 3],
  ])("gives onnxruntime's label for %i scores of %i classes", async (scores, classes) => {
    const nodes = [
      classifier(scores, classes, "LOGISTIC", ["label", "scores"]),
      { op: "Identity", inputs: ["label"], outputs: ["y"] },
    ];
    const { compiled } = await checkModel({ shape: [3], nodes, outputType: "INT64" }, random);
    expect(compiled.graph.output.argmax).toBe(true);
  });

  it("regresses, with several targets and a logistic", async () => {
    const attributes = {
      coefficients: { floats: some(6) },
      intercepts: { floats: some(2) },
      targets: 2,
    };
    await checkModel(model(ml("LinearRegressor", ["x"], ["y"], attributes)), random);
  });

  it("scales in front of a classifier", async () => {
    const scaler = ml("Scaler", ["x"], ["s"], {
      offset: { floats: [1, -2, 0.5] },
      scale: { floats: [0.3, 2, 1e-2] },
    });
    const last = { ...classifier(2, 2, "LOGISTIC"), inputs: ["s"] };
    const { compiled } = await checkModel(model(scaler, last), random);
    expect(compiled.graph.steps).toHaveLength(1);
  });

  it("takes a Normalizer of probabilities that sum to 1, and no other", async () => {
    const normalizer = ml("Normalizer", ["p"], ["y"], { norm: { text: "L1" } });
    const sure = ["label", "p"];
    await checkModel(model(classifier(3, 3, "SOFTMAX", sure), normalizer), random);
    await checkModel(model(classifier(1, 2, "LOGISTIC", sure), normalizer), random);
    const each = smallModel(model(classifier(3, 3, "LOGISTIC", sure), normalizer));
    expect(() => compileModel(each, { inputs: { x: GRID } })).toThrow(UnsupportedModel);
  });

  it("drops a ZipMap and keeps its labels", () => {
    const zip = ml("ZipMap", ["p"], ["y"], { classlabels_int64s: { integers: [0, 1, 2] } });
    const bytes = smallModel(model(classifier(3, 3, "SOFTMAX", ["label", "p"]), zip));
    const { graph } = compileModel(bytes, { inputs: { x: GRID } });
    expect(graph.output).toMatchObject({
      name: "y",
      after: "softmax",
      classLabels: ["0", "1", "2"],
    });
  });
});
