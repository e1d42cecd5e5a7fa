// What comes over the wire and should not: each gets an error that says what was wrong, and the
// server, the connection and, on a stream, the messages before and after go on as if nothing had
// been.

import { gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.js";
import { ModelStreamInferResponseSchema } from "../../gen/inference/grpc_service_pb.js";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  answerOf,
  begin,
  call,
  framed,
  inferBytes,
  MODEL_STREAM_INFER,
  useConnection,
} from "./raw-call.ts";
import { GOOD, GOOD_ANSWER, shareLinear } from "./use-linear.ts";
import { collect, firstOutput, type InferRequestInit, rowsOf } from "./use-models.ts";

const linear = shareLinear({ PLINTH_MESSAGE_MAX: "64KiB" });
const { expectServing } = linear;

function input(fields: object): InferRequestInit {
  const x = { name: "x", datatype: "FP32", shape: [1n, 4n] };
  return {
    modelName: "linear",
    inputs: [{ ...x, contents: { fp32Contents: [1, 1, 1, 1] }, ...fields }],
  };
}

const MAX = 2n ** 63n - 1n;

/** What is wrong, and words the error must have: the input, what came, what was expected. */
const WRONG: Readonly<Record<string, readonly [InferRequestInit, readonly string[]]>> = {
  "wrong datatype": [
    input({ datatype: "FP64", contents: { fp64Contents: [1, 1, 1, 1] } }),
    ["x", "FP64", "FP32"],
  ],
  "unknown datatype": [input({ datatype: "COMPLEX" }), ["x", "COMPLEX", "FP32"]],
  "contents of another datatype": [
    input({ contents: { int64Contents: [1n, 1n, 1n, 1n] } }),
    ["x", "fp32_contents"],
  ],
  "rank too low": [input({ shape: [4n] }), ["x", "[4]", "[-1,4]"]],
  "rank too high": [input({ shape: [1n, 4n, 1n] }), ["x", "[1,4,1]", "[-1,4]"]],
  "wrong fixed dimension": [
    input({ shape: [1n, 3n], contents: { fp32Contents: [1, 1, 1] } }),
    ["x", "[1,3]", "4"],
  ],
  "too few elements": [input({ contents: { fp32Contents: [1, 1, 1] } }), ["x", "3", "4"]],
  "too few raw bytes": [
    { ...input({ contents: undefined }), rawInputContents: [new Uint8Array(15)] },
    ["x", "15", "16"],
  ],
  "too many raw bytes": [
    { ...input({ contents: undefined }), rawInputContents: [new Uint8Array(17)] },
    ["x", "17", "16"],
  ],
  "raw and typed contents": [
    { ...input({}), rawInputContents: [new Uint8Array(16)] },
    ["x", "raw_input_contents"],
  ],
  "raw contents of no input": [
    { ...input({}), rawInputContents: [new Uint8Array(16), new Uint8Array(4)] },
    ["raw_input_contents", "2", "1"],
  ],
  "negative dimension": [input({ shape: [-1n, 4n] }), ["x", "-1"]],
  "largest dimension": [input({ shape: [MAX, 4n] }), ["x", "shape"]],
  "product that wraps to 0": [input({ shape: [2n ** 62n, 4n] }), ["x", "shape"]],
  "more elements than came, in 32 bits 4": [input({ shape: [2n ** 30n + 1n, 4n] }), ["x"]],
  "unknown input": [input({ name: "y" }), ["y", "x"]],
  "input named like a property": [input({ name: "__proto__" }), ["__proto__", "x"]],
  "missing input": [{ modelName: "linear", inputs: [] }, ["x", "missing"]],
  "duplicate input": [
    { modelName: "linear", inputs: [...GOOD.inputs!, ...GOOD.inputs!] },
    ["x", "more than once"],
  ],
  "unknown output": [{ ...GOOD, outputs: [{ name: "z" }] }, ["z", "y"]],
  "duplicate output": [{ ...GOOD, outputs: [{ name: "y" }, { name: "y" }] }, ["y"]],
};

describe("a bad tensor", () => {
  for (const [name, [request, words]] of Object.entries(WRONG)) {
    it(`${name}: INVALID_ARGUMENT in words`, async () => {
      const error = await linear.clients.inference.modelInfer(request).catch((e: unknown) => e);
      expect(error).toMatchObject({
        kind: "InvalidArgument",
        reason: ErrorReason.TENSOR_MISMATCH,
      });
      for (const word of words) {
        expect((error as Error).message).toContain(word);
      }
    });
  }

  it("leaves the server serving", expectServing);

  it("gets an answer of its own in a stream, which goes on, in order", async () => {
    const wrong = Object.values(WRONG).map(([request]) => request);
    async function* requests() {
      yield { ...GOOD, id: "first" };
      for (const [index, request] of wrong.entries()) {
        yield { ...request, id: `wrong ${index}` };
        yield { ...GOOD, id: `good ${index}` };
      }
      yield { ...GOOD, modelName: "nobody", id: "unknown model" };
      yield { ...GOOD, id: "last" };
    }
    const answers = await collect(linear.clients.inference.modelStreamInfer(requests()));
    expect(answers.map((answer) => answer.inferResponse?.id)).toEqual([
      "first",
      ...wrong.flatMap((_, index) => [`wrong ${index}`, `good ${index}`]),
      "unknown model",
      "last",
    ]);
    for (const { errorMessage, inferResponse } of answers) {
      const { id = "", parameters = {} } = inferResponse ?? {};
      if (id.startsWith("wrong")) {
        expect(errorMessage).not.toBe("");
        expect(parameters.grpc_code?.parameterChoice.value, id).toBe(BigInt(Code.INVALID_ARGUMENT));
        expect(parameters.reason?.parameterChoice.value).toBe("TENSOR_MISMATCH");
      } else if (id === "unknown model") {
        expect(errorMessage).toContain("nobody");
        expect(parameters.grpc_code?.parameterChoice.value).toBe(BigInt(Code.NOT_FOUND));
      } else {
        expect(errorMessage).toBe("");
        expect(firstOutput(inferResponse)).toEqual(GOOD_ANSWER);
      }
    }
  });
});

describe("an unusual tensor", () => {
  it("NaN and infinities pass through", async () => {
    const odd = [Number.NaN, Infinity, -Infinity];
    const response = await linear.clients.inference.modelInfer(
      rowsOf(
        "linear",
        odd.map((value) => [value, 0, 0, 0]),
      ),
    );
    expect(firstOutput(response)).toEqual(odd);
  });

  it("a batch of no rows gets an answer of no rows", async () => {
    const { outputs } = await linear.clients.inference.modelInfer(
      input({ shape: [0n, 4n], contents: { fp32Contents: [] } }),
    );
    expect(outputs[0]).toMatchObject({ name: "y", datatype: "FP32", shape: [0n, 1n] });
    expect(outputs[0]?.contents?.fp32Contents ?? []).toEqual([]);
  });
});

describe("a bad message", () => {
  const good = () => inferBytes(GOOD);

  it("that the stream ends within", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    for (const cut of [1, 4, 5, 6, framed(good()).length - 1]) {
      const answer = await call(session, framed(good()).subarray(0, cut));
      expect(answer).toMatchObject({ code: Code.INVALID_ARGUMENT, httpStatus: 200 });
      expect(answer.message).toMatch(/middle of a message/);
    }
    await expectServing();
  });

  it("above the limit, whether or not its bytes come", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    const huge = framed(new Uint8Array(70_000));
    const lie = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
    for (const body of [huge, lie, Buffer.concat([lie, Buffer.alloc(100_000)])]) {
      const answer = await call(session, body);
      expect(answer.code).toBe(Code.RESOURCE_EXHAUSTED);
      expect(answer.message).toContain("65536");
    }
    const bomb = framed(gzipSync(Buffer.alloc(16 * 1024 * 1024)), 1);
    const answer = await call(session, bomb, { headers: { "grpc-encoding": "gzip" } });
    expect([Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED]).toContain(answer.code);
    await expectServing();
  });

  it("that is no Protobuf at all", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    const garbage = [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.from("not a message"),
      // A length that points behind the end, inside a nested message.
      Buffer.from([0x2a, 0x03, 0x0a, 0x7f, 0x41]),
      // A varint that does not end, and a field number 0.
      Buffer.alloc(20, 0x80),
      Buffer.from([0x00, 0x01]),
      // A model name that is not UTF-8.
      Buffer.from([0x0a, 0x02, 0xc3, 0x28]),
    ];
    for (const bytes of garbage) {
      const answer = await call(session, framed(bytes));
      expect(answer.code, bytes.toString("hex")).toBe(Code.INVALID_ARGUMENT);
    }
    await expectServing();
  });

  it("in a stream, between good ones", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    const stream = begin(session, MODEL_STREAM_INFER);
    const message = (id: string) => framed(inferBytes({ ...GOOD, id }));
    stream.end(
      Buffer.concat([
        message("1"),
        framed(Buffer.from("garbage")),
        message("2"),
        framed(Buffer.alloc(0)),
        message("3"),
      ]),
    );
    const { code, messages } = await answerOf(stream);
    expect(code).toBe(Code.OK);
    const answers = messages.map((bytes) => fromBinary(ModelStreamInferResponseSchema, bytes));
    expect(answers.map((answer) => answer.inferResponse?.id)).toEqual(["1", "", "2", "", "3"]);
    expect(answers.map((answer) => answer.errorMessage === "")).toEqual([
      true,
      false,
      true,
      false,
      true,
    ]);
    expect(answers[1]?.inferResponse?.parameters.grpc_code?.parameterChoice.value).toBe(3n);
  });

  it("of a stream that is cut within: what came before is answered first", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    const stream = begin(session, MODEL_STREAM_INFER);
    const whole = framed(good());
    stream.end(Buffer.concat([whole, whole, whole.subarray(0, 9)]));
    const answer = await answerOf(stream);
    expect(answer.code).toBe(Code.INVALID_ARGUMENT);
    expect(answer.messages).toHaveLength(2);
  });
});
