import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  GRPCInferenceService,
  ModelInferRequestSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { DomainError } from "../../common/errors/domain-error.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import { serverCodec, type Undecodable } from "../../common/rpc/message-codec.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { ComputingEngine } from "../testing/computing-engine.ts";
import { randomRequest } from "../testing/random-messages.ts";
import { decoded, meanRequest, testCall } from "../testing/requests.ts";
import {
  failedModel,
  floats,
  fp32,
  halvingModel,
  int64,
  loadingModel,
  meanModel,
  sameModels,
  scalarModel,
} from "../testing/test-models.ts";
import { modelStreamInferCodec } from "./infer-codec.ts";
import type { InferAnswer, InferFailure, WireInferRequest } from "./infer-messages.ts";
import { decodeInferRequest } from "./infer-request-codec.ts";
import { encodeInferResponse } from "./infer-response-codec.ts";
import { openInferenceBinding } from "./open-inference.ts";

const MODELS = [meanModel, failedModel, scalarModel, halvingModel, loadingModel, ...sameModels];

describe("ModelInfer", () => {
  it("answers raw requests raw and typed requests typed", async () => {
    const { call } = setUp();
    const raw = await call.modelInfer(decoded(meanRequest()));
    expect(raw).toMatchObject({ modelName: "mean", modelVersion: "3", id: "r1", raw: true });
    expect(raw.outputs[0]).toMatchObject({ name: "label", shape: [1], data: int64(0) });
    expect(floats(raw.outputs[1]?.data as Uint8Array)).toEqual([0.5, 0.5]);
    const contents = { fp32Contents: [3, 3, 3] };
    const inputs = [{ name: "features", datatype: "FP32", shape: [1n, 3n], contents }];
    expect(await call.modelInfer(decoded({ modelName: "mean", inputs }))).toMatchObject({
      raw: false,
      outputs: [{ data: int64(1) }, {}],
    });
  });

  it("answers a typed request raw where an output is FP16, which has no typed form", async () => {
    const { call } = setUp();
    const contents = { fp32Contents: [1, -2] };
    const inputs = [{ name: "x", datatype: "FP32", shape: [1n, 2n], contents }];
    expect(await call.modelInfer(decoded({ modelName: "halving", inputs }))).toMatchObject({
      raw: true,
      outputs: [
        { datatype: "FP16", data: new Uint8Array([0, 0x3c, 0, 0xc0]) },
        { datatype: "FP32" },
      ],
    });
  });

  it("says that an answer is the last one to those who ask", async () => {
    const { call } = setUp();
    const parameters = {
      triton_enable_empty_final_response: {
        parameterChoice: { case: "boolParam", value: true } as const,
      },
    };
    const answer = await call.modelInfer(decoded(meanRequest({ parameters })));
    expect(answer.finalResponse).toBe(true);
  });

  it("throws nothing but domain errors for 5000 random and nearly right requests", async () => {
    const { call } = setUp();
    const random = new SeededRandom(7);
    const kinds = new Map<string, number>();
    for (let round = 0; round < 5000; round++) {
      const message = randomRequest(random);
      message.modelName = random.pick(MODELS).deployment;
      message.modelVersion = random.pick(["", "", "", "1", "3", message.modelVersion]);
      for (const [index, input] of message.inputs.entries()) {
        input.name = random.pick([index === 0 ? "x" : "features", input.name]);
        input.shape = random.pick([[1n, 2n], [0n, 2n], [2n], [], input.shape]);
        input.contents = random.below(2) === 0 ? undefined : input.contents;
        input.datatype = random.pick([message.modelName.slice(5), input.datatype]);
      }
      if (random.below(2) === 0) {
        message.parameters = {};
        message.outputs = [];
        const shape = random.pick([
          [1n, 2n],
          [1n, 2n],
          [2n, 2n],
          [0n, 2n],
        ]);
        const datatype = message.modelName.slice(5);
        const { inputs } = create(ModelInferRequestSchema, {
          inputs: [{ name: "x", datatype, shape }],
        });
        message.inputs = inputs;
        message.rawInputContents = [random.bytes(random.pick([0, 2, 4, 8, 16]))];
      }
      const request = decodeInferRequest(toBinary(ModelInferRequestSchema, message));
      const kind = await call.modelInfer(request).then(
        (answer) => encodeInferResponse(answer) && "answered",
        (error: unknown) => {
          if (!(error instanceof DomainError)) {
            throw error;
          }
          return error.kind;
        },
      );
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect(kinds.get("answered")).toBeGreaterThan(50);
    expect(kinds.get("InvalidArgument")).toBeGreaterThan(1000);
  });

  it("passes id, rows, priority, routing key and the earlier deadline on", async () => {
    const { call, engine, clock } = setUp();
    const parameters = {
      priority: { parameterChoice: { case: "int64Param", value: 1n } as const },
      timeout: { parameterChoice: { case: "int64Param", value: 2_000_000n } as const },
      routing_key: { parameterChoice: { case: "stringParam", value: "k" } as const },
    };
    await call.modelInfer(decoded(meanRequest({ parameters })), { deadlineMs: clock.now() + 1e6 });
    expect(engine.seen[0]).toMatchObject({
      id: "r1",
      rows: 1,
      priority: 1,
      outputs: [0, 1],
      deadlineMs: clock.now() + 2000,
    });
    expect(engine.routingKeys).toEqual(["k"]);
    await call.modelInfer(decoded(meanRequest({ parameters })), { deadlineMs: clock.now() + 500 });
    expect(engine.seen[1]?.deadlineMs).toBe(clock.now() + 500);
  });

  it("answers a batch of no rows without running the model", async () => {
    const { call, engine } = setUp();
    const inputs = [{ name: "features", datatype: "FP32", shape: [0n, 3n] }];
    const answer = await call.modelInfer(
      decoded(meanRequest({ inputs, rawInputContents: [fp32()] })),
    );
    expect(answer.outputs).toEqual([
      { name: "label", datatype: "INT64", shape: [0], data: new Uint8Array(0) },
      { name: "probabilities", datatype: "FP32", shape: [0, 2], data: new Uint8Array(0) },
    ]);
    expect(engine.seen).toEqual([]);
  });

  it("gives requested outputs in their order, as classes where asked", async () => {
    const { call } = setUp();
    const classification = { parameterChoice: { case: "int64Param", value: 1n } as const };
    const outputs = [{ name: "probabilities", parameters: { classification } }, { name: "label" }];
    const rawInputContents = [fp32(1, 1, 0.25)];
    const answer = await call.modelInfer(decoded(meanRequest({ outputs, rawInputContents })));
    expect(answer.outputs[0]).toEqual({
      name: "probabilities",
      datatype: "BYTES",
      shape: [1, 1],
      data: ["0.750000:1:malignant"],
    });
    expect(answer.outputs[1]).toMatchObject({ name: "label" });
  });

  it.each([
    ["an unknown model", { modelName: "nobody" }, "NotFound", "There is no nobody"],
    ["an unknown version", { modelVersion: "9" }, "NotFound", "There is no mean 9"],
    ["a version that is no number", { modelVersion: "v1" }, "InvalidArgument", "must be a number"],
    ["a model that loads", { modelName: "slow" }, "Unavailable", "not loaded yet"],
    ["no model", { modelName: "" }, "InvalidArgument", "model_name is empty"],
    ["half a name", { modelName: "a/b" }, "InvalidArgument", "workspaces/{workspace}/deployments"],
  ])("refuses %s", async (_, init, kind, text) => {
    const { call } = setUp();
    const refused = call.modelInfer(decoded(meanRequest(init)));
    await expect(refused).rejects.toMatchObject({ kind, message: expect.stringContaining(text) });
  });

  it("finds a deployment by id, by workspace header and by whole name", async () => {
    const { call } = setUp("team");
    const mine = { id: "k", workspace: "team", roles: [Role.PREDICTOR] };
    const other = { ...mine, workspace: "other" };
    const whole = decoded(meanRequest({ modelName: "workspaces/team/deployments/mean" }));
    const bare = decoded(meanRequest());
    const header = { "plinth-workspace": "team" };
    expect((await call.modelInfer(bare, { principal: mine })).modelVersion).toBe("3");
    expect((await call.modelInfer(bare, { headers: header })).modelVersion).toBe("3");
    expect((await call.modelInfer(whole, { principal: anonymous })).modelVersion).toBe("3");
    await expect(call.modelInfer(bare)).rejects.toMatchObject({ kind: "NotFound" });
    for (const refused of [
      call.modelInfer(whole, { principal: other }),
      call.modelInfer(bare, { principal: other, headers: header }),
    ]) {
      await expect(refused).rejects.toMatchObject({ kind: "PermissionDenied" });
    }
  });
});

describe("ModelStreamInfer", () => {
  it("answers in order, one each, with an error answer for a bad message", async () => {
    const { call } = setUp();
    const codec = serverCodec(GRPCInferenceService.method.modelStreamInfer, modelStreamInferCodec);
    const answers = await Array.fromAsync(
      call.modelStreamInfer([
        decoded(meanRequest({ id: "1" })),
        decoded(meanRequest({ id: "2", rawInputContents: [fp32(1)] })),
        codec.decode(Buffer.from([0x1a, 1, 0x33, 0x0a, 9])) as Undecodable,
        decoded(meanRequest({ id: "4", modelName: "nobody" })),
        decoded(meanRequest({ id: "5" })),
      ]),
    );
    expect(answers.map(({ kind, id }) => [kind, id])).toEqual([
      ["answer", "1"],
      ["failure", "2"],
      ["failure", "3"],
      ["failure", "4"],
      ["answer", "5"],
    ]);
    expect(answers[1]).toMatchObject({
      code: 3,
      reason: "TENSOR_MISMATCH",
      message: expect.stringContaining('input "features": 4 bytes came'),
    });
    expect(answers[2]).toMatchObject({ code: 3, reason: "INVALID_FIELD" });
    expect(answers[3]).toMatchObject({ code: 5, reason: "RESOURCE_NOT_FOUND" });
  });

  it("answers overload for the message it hits, at once", async () => {
    const { call, engine } = setUp();
    engine.held = true;
    engine.queueMax = 1;
    const stream = call.modelStreamInfer([
      decoded(meanRequest({ id: "1" })),
      decoded(meanRequest({ id: "2" })),
    ]);
    const all = Array.fromAsync(stream);
    await new Promise((resolve) => setImmediate(resolve));
    engine.release();
    expect(await all).toMatchObject([
      { id: "1", kind: "answer" },
      { id: "2", kind: "failure", code: 8, reason: "OVERLOADED" },
    ]);
  });

  it("frees the queue at once when the call is cancelled", async () => {
    const { call, engine } = setUp();
    engine.held = true;
    const controller = new AbortController();
    const messages = Array.from({ length: 20 }, (_, i) => decoded(meanRequest({ id: `${i}` })));
    const all = Array.fromAsync(call.modelStreamInfer(messages, { signal: controller.signal }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.waiting).toHaveLength(20);
    controller.abort(new Error("left"));
    expect(engine.waiting).toHaveLength(0);
    expect(engine.cancelled).toBe(20);
    await expect(all).rejects.toThrow("left");
  });

  it("ends with the first error where triton_grpc_error asks for it", async () => {
    const { call } = setUp();
    const stream = call.modelStreamInfer(
      [decoded(meanRequest({ id: "1" })), decoded(meanRequest({ modelName: "nobody" }))],
      { headers: { triton_grpc_error: "true" } },
    );
    const answers: unknown[] = [];
    await expect(
      (async () => {
        for await (const answer of stream) {
          answers.push(answer);
        }
      })(),
    ).rejects.toMatchObject({ kind: "NotFound" });
    expect(answers).toHaveLength(1);
  });

  it("tells nothing of an error that nobody foresaw, but the log", async () => {
    const { call, unforeseen } = setUp();
    const bad = decoded(meanRequest({ id: "1" }));
    const fault = new TypeError("secret");
    const [answer] = await Array.fromAsync(
      call.modelStreamInfer([
        Object.defineProperty({ ...bad }, "inputs", {
          get() {
            throw fault;
          },
        }),
      ]),
    );
    expect(answer).toMatchObject({ kind: "failure", code: 13, id: "1" });
    expect(JSON.stringify(answer)).not.toContain("secret");
    expect(unforeseen).toEqual([fault]);
  });
});

function setUp(workspace = "default") {
  const engine = new ComputingEngine(MODELS, workspace);
  const unforeseen: unknown[] = [];
  const clock = new FakeClock(Date.now());
  const { handlers } = openInferenceBinding(engine, {
    serverVersion: "0",
    streamWindow: { requestsMax: 256, bytesMax: 1_000_000 },
    requestRowsMax: 1000,
    clock,
    onUnforeseen: (error) => unforeseen.push(error),
  });
  const modelInfer = handlers.modelInfer as (
    request: WireInferRequest,
    context: CallContext,
  ) => Promise<InferAnswer>;
  const modelStreamInfer = handlers.modelStreamInfer as (
    requests: AsyncIterable<WireInferRequest | Undecodable>,
    context: CallContext,
  ) => AsyncIterable<InferAnswer | InferFailure>;
  type Call = Parameters<typeof testCall>[0];
  const call = {
    modelInfer: (request: WireInferRequest, options?: Call) =>
      modelInfer(request, testCall(options)),
    modelStreamInfer: (messages: readonly (WireInferRequest | Undecodable)[], options?: Call) =>
      modelStreamInfer(iterate(messages), testCall(options)),
  };
  return { engine, unforeseen, clock, call };
}

async function* iterate<T>(items: readonly T[]): AsyncGenerator<T, void> {
  yield* items;
}
