import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { createClient } from "../../common/rpc/client.ts";
import type { Datatype } from "../tensor.ts";
import { ComputingEngine } from "../testing/computing-engine.ts";
import {
  loadingModel,
  meanModel,
  mixedModel,
  sameModels,
  scalarModel,
} from "../testing/test-models.ts";
import { useServer } from "../testing/use-server.ts";

const GOOD = { radius: 1, texture: 1, "mean area": 0.25 };

/** A client of a real server over the test engine. */
async function start() {
  const models = [meanModel, mixedModel, scalarModel, loadingModel, ...sameModels];
  const engine = new ComputingEngine(models);
  const client = createClient(InferenceService, await useServer(engine));
  const predict = (deployment: string, ...rows: JsonObject[]) =>
    client.predict({ deployment, rows });
  return { client, engine, predict };
}

async function violationsOf(refused: Promise<unknown>): Promise<string[]> {
  const error = await refused.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InvalidArgument);
  return (error as InvalidArgument).violations.map(({ description }) => description);
}

describe("Predict", () => {
  it("takes rows by column name and gives outputs, label, scores, version and times", async () => {
    const { client } = await start();
    const response = await client.predict({
      deployment: "mean",
      id: "mine",
      rows: [GOOD, { "mean area": 0, texture: 0.375, radius: 0 }],
    });
    expect(response).toMatchObject({
      id: "mine",
      modelVersion: "workspaces/default/models/mean/versions/3",
      predictions: [
        {
          outputs: { label: 1, probabilities: [0.25, 0.75] },
          label: "malignant",
          scores: { benign: 0.25, malignant: 0.75 },
        },
        { outputs: { label: 0, probabilities: [0.875, 0.125] }, label: "benign" },
      ],
      timing: { queue: { nanos: 1_000_000 }, compute: { nanos: 2_000_000 }, batchRows: 2 },
    });
  });

  it("makes an id, shows the outputs asked for and still names the class", async () => {
    const { client, engine } = await start();
    const outputs = ["probabilities"];
    const response = await client.predict({ deployment: "mean", outputs, rows: [GOOD] });
    expect(response.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(response.predictions[0]).toMatchObject({ label: "malignant" });
    expect(response.predictions[0]?.outputs).toEqual({ probabilities: [0.25, 0.75] });
    expect(engine.seen[0]).toMatchObject({ priority: 5, rows: 1 });
  });

  it("takes rows by input name, nested lists and single elements without brackets", async () => {
    const { predict } = await start();
    const { predictions } = await predict(
      "mixed",
      { x: [1, 2], s: "ä", n: 7, b: true },
      { x: ["NaN", "-Infinity"], s: "", n: ["9223372036854775807"], b: false },
    );
    expect(predictions.map(({ outputs }) => outputs)).toEqual([
      { x_out: [1, 2], s_out: "ä", n_out: [7], b_out: true },
      { x_out: ["NaN", "-Infinity"], s_out: "", n_out: ["9223372036854775807"], b_out: false },
    ]);
    expect((await predict("mean", { features: [1, 1, 0.25] })).predictions[0]?.label).toBe(
      "malignant",
    );
  });

  it("takes one row for a model without a batch dimension", async () => {
    const { predict } = await start();
    expect((await predict("scalar", { x: 2.5 })).predictions[0]?.outputs).toEqual({ x_out: 2.5 });
    expect(await violationsOf(predict("scalar", { x: 1 }, { x: 2 }))).toEqual([
      "2 rows came; this model has no batch dimension and takes one row a request",
    ]);
  });

  it.each<[Datatype, [unknown, unknown], [unknown, unknown]]>([
    ["BOOL", [true, false], [true, false]],
    ["INT8", [-128, 127], [-128, 127]],
    ["UINT8", [0, 255], [0, 255]],
    ["INT16", [-32768, 32767], [-32768, 32767]],
    ["UINT16", [0, 65535], [0, 65535]],
    ["INT32", [-2147483648, 2147483647], [-2147483648, 2147483647]],
    ["UINT32", [0, 4294967295], [0, 4294967295]],
    ["INT64", ["-9223372036854775808", 12], ["-9223372036854775808", 12]],
    ["UINT64", ["18446744073709551615", "12"], ["18446744073709551615", 12]],
    ["FP16", [0.5, 65504], [0.5, 65504]],
    ["FP32", [0.1, "Infinity"], [0.1, "Infinity"]],
    ["FP64", [0.1, -1e300], [0.1, -1e300]],
    ["BYTES", ["漢", ""], ["漢", ""]],
  ])("carries %s there and back", async (datatype, given, expected) => {
    const { predict } = await start();
    const { predictions } = await predict(`same-${datatype}`, { x: given as never });
    expect(predictions[0]?.outputs).toEqual({ x_out: expected });
  });

  it.each<[Datatype, unknown, string]>([
    ["FP32", ["abc", 1], 'rows[0].x[0]: expected a number, got "abc"'],
    ["FP32", [null, 1], 'expected a number, got null (send "NaN" for a missing number)'],
    ["FP32", [1e39, 1], "rows[0].x[0]: 1e+39 is beyond the range of FP32"],
    ["FP16", [70000, 1], "70000 is beyond the range of FP16"],
    ["FP64", [[1], 1], "rows[0].x[0]: expected a number, got a list of 1"],
    ["INT8", [128, 1], "128 is beyond INT8, which holds -128 to 127"],
    ["INT32", [1.5, 1], "expected a whole number, got 1.5"],
    ["INT32", ["1", 1], 'expected a whole number, got "1"'],
    ["UINT64", [-1, 1], "-1 is beyond UINT64"],
    ["INT64", [2 ** 60, 1], "is beyond 2^53, where numbers lose digits; send it as a string"],
    ["INT64", ["9223372036854775808", 1], "9223372036854775808 is beyond INT64"],
    ["BOOL", [1, true], "expected true or false, got 1"],
    ["BYTES", [1, "a"], "expected a string without NUL, got 1"],
    ["FP32", [1, 2, 3], "rows[0].x: expected a list of 2 (shape [2]), got a list of 3"],
    ["FP32", 1, "rows[0].x: expected a list of 2 (shape [2]), got 1"],
    ["FP32", { a: 1 }, "got an object"],
  ])("refuses as %s %j", async (datatype, given, text) => {
    const { predict } = await start();
    const [first] = await violationsOf(predict(`same-${datatype}`, { x: given as never }));
    expect(first).toContain(text);
  });

  it("names row and column of everything that is wrong, up to 20", async () => {
    const { predict } = await start();
    const bad = { radius: "abc", texture: 1, "mean area": true, extra: 1 };
    expect(await violationsOf(predict("mean", GOOD, bad, { radius: 1, texture: 2 }))).toEqual([
      'rows[1].radius: expected a number, got "abc"',
      'rows[1]["mean area"]: expected a number, got true',
      'rows[1].extra: there is no column "extra"; there are "radius", "texture", "mean area"',
      'rows[2]["mean area"]: expected a number, got nothing',
    ]);
    expect(await violationsOf(predict("mean", ...Array(500).fill({})))).toHaveLength(20);
    expect(await violationsOf(predict("mixed", { x: [1], s: "a", n: 1 }, { y: 1 }))).toEqual([
      'rows[1].y: there is no input "y"; there are "x", "s", "n", "b"',
      "rows[1].x: this input is missing",
      "rows[1].s: this input is missing",
      "rows[1].n: this input is missing",
      "rows[0].b: this input is missing",
      "rows[1].b: this input is missing",
    ]);
    const uneven = predict(
      "mixed",
      { x: [1], s: "", n: 1, b: true },
      { x: [1, 2], s: "", n: 1, b: true },
    );
    expect(await violationsOf(uneven)).toEqual([
      "rows[1].x: expected a list of 1 (shape [1]), got a list of 2",
    ]);
  });

  it("checks the request itself", async () => {
    const { client, predict } = await start();
    expect(await violationsOf(predict("mean"))).toEqual(["0 rows came; expected 1 to 1024"]);
    const all = { deployment: "mean", id: "x".repeat(257), version: -1n, priority: 10 };
    expect(
      await violationsOf(client.predict({ ...all, outputs: ["x"], rows: Array(1025).fill({}) })),
    ).toEqual([
      "id has 257 characters; at most 256 are allowed",
      "version is -1; expected a version number, or 0 to let the weights choose",
      "priority is 10; expected 1 (first) to 9, or 0 for the default",
      "1025 rows came; expected 1 to 1024",
      'output "x" is not one of the model, which gives "label", "probabilities"',
    ]);
    await expect(predict("nobody", GOOD)).rejects.toMatchObject({ kind: "NotFound" });
    await expect(predict("slow", GOOD)).rejects.toMatchObject({ kind: "Unavailable" });
    const version = client.predict({ deployment: "mean", version: 9n, rows: [GOOD] });
    await expect(version).rejects.toMatchObject({ kind: "NotFound" });
  });
});

describe("StreamPredict", () => {
  it("answers in order, with an error for a bad request", async () => {
    const { client } = await start();
    async function* requests() {
      for (let i = 0; i < 600; i++) {
        const deployment = i === 100 ? "nobody" : "mean";
        yield i === 200 ? {} : { request: { deployment, id: `${i}`, rows: [GOOD] } };
      }
    }
    const answers = await Array.fromAsync(client.streamPredict(requests()));
    expect(answers.map(({ id }) => id)).toEqual(
      Array.from({ length: 600 }, (_, i) => (i === 200 ? "" : `${i}`)),
    );
    expect(answers[100]?.result).toMatchObject({ case: "error", value: { code: 5 } });
    expect(answers[200]?.result).toMatchObject({ case: "error", value: { code: 3 } });
    expect(answers[599]?.result).toMatchObject({
      case: "response",
      value: { predictions: [{ label: "malignant" }] },
    });
  });
});
