import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type InferParameter,
  type ModelInferRequest,
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ModelStreamInferResponseSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import { DomainError, InvalidArgument } from "../../common/errors/domain-error.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { Tensor } from "../tensor.ts";
import { bytesOf, randomRequest, randomTensor } from "../testing/random-messages.ts";
import type { InferAnswer, Parameter, Parameters, WireInferRequest } from "./infer-messages.ts";
import { decodeInferRequest } from "./infer-request-codec.ts";
import { encodeInferResponse, encodeStreamInferResponse } from "./infer-response-codec.ts";

describe("decodeInferRequest", () => {
  it("reads what protobuf-es writes, for 1500 random messages", () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 1500; round++) {
      const message = randomRequest(random);
      const decoded = decodeInferRequest(toBinary(ModelInferRequestSchema, message));
      expectSame(decoded, message);
    }
  });

  it("reads messages that are concatenated as one merged message", () => {
    const random = new SeededRandom(2);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.concat([
        toBinary(ModelInferRequestSchema, randomRequest(random)),
        toBinary(ModelInferRequestSchema, randomRequest(random)),
      ]);
      expectSame(decodeInferRequest(bytes), fromBinary(ModelInferRequestSchema, bytes));
    }
  });

  it("reads unpacked lists, merged contents and fields in any order", () => {
    // Contents: fp32 [2, 3] packed and int_contents -1 unpacked, merged with fp32 [1] unpacked.
    const one = field(5, [...tag(6, 5), 0, 0, 0x80, 0x3f]);
    const two = field(5, [
      ...field(6, [0, 0, 0, 0x40, 0, 0, 0x40, 0x40]),
      ...tag(2, 0),
      ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ]);
    const shape = [...tag(3, 0), 3, ...field(3, [1]), ...tag(3, 0), 0x80, 0x01];
    const bytes = new Uint8Array(field(5, [...two, ...shape, ...one, ...field(1, [120])]));
    const decoded = decodeInferRequest(bytes);
    expectSame(decoded, fromBinary(ModelInferRequestSchema, bytes));
    expect(decoded.inputs[0]?.shape).toEqual([3, 1, 128]);
    const elements = Buffer.from(decoded.inputs[0]?.contents?.elements(6) ?? []);
    expect([0, 4, 8].map((at) => elements.readFloatLE(at))).toEqual([2, 3, 1]);
  });

  it("passes over unknown fields, groups and known fields of another wire type", () => {
    const group = [...tag(99, 3), ...tag(1, 0), 5, ...tag(98, 3), ...tag(98, 4), ...tag(99, 4)];
    const bytes = new Uint8Array([
      ...group,
      ...tag(50, 1),
      ...[1, 2, 3, 4, 5, 6, 7, 8],
      ...tag(51, 5),
      ...[1, 2, 3, 4],
      ...tag(1, 0),
      9,
      ...field(52, [1, 2, 3]),
      ...field(3, [97]),
    ]);
    expect(decodeInferRequest(bytes)).toMatchObject({ id: "a", modelName: "", inputs: [] });
  });

  it("gives raw contents as views of the message", () => {
    const bytes = new Uint8Array(field(7, [1, 2, 3]));
    const view = decodeInferRequest(bytes).rawInputContents[0];
    expect(view?.buffer).toBe(bytes.buffer);
    expect(view).toEqual(new Uint8Array([1, 2, 3]));
  });

  it("keeps the last of repeated map entries and a parameter without a choice", () => {
    const entry = (value: number[]): number[] => field(4, [...field(1, [107]), ...value]);
    const bytes = new Uint8Array([...entry(field(2, [...tag(1, 0), 1])), ...entry([])]);
    expect(decodeInferRequest(bytes).parameters.get("k")).toEqual({ kind: "unset" });
  });

  it.each([
    ["a cut length", [0x0a, 0x05, 0x61], /longer than what is left/],
    ["a cut varint", [...tag(9, 0), 0x80], /number is cut off/],
    ["an endless varint", [...tag(9, 0), ...Array(11).fill(0x80)], /longer than 10 bytes/],
    ["field number 0", [0x00, 0x01], /field number 0/],
    ["wire type 7", [0x0f], /wire type 7/],
    ["a group that never ends", [...tag(9, 3)], /group is cut off/],
    ["a wrong end of group", [...tag(9, 3), ...tag(8, 4)], /group ends that never began/],
    ["groups that nest too deep", Array(200).fill(tag(9, 3)).flat(), /nest too deep/],
    ["a string that is not UTF-8", field(1, [0xc3, 0x28]), /not UTF-8/],
    ["half a float", field(5, field(5, field(6, [1, 2, 3]))), /fp32_contents of 3 bytes/],
    ["a length of 2^32", [0x0a, 0x80, 0x80, 0x80, 0x80, 0x10], /longer than what is left/],
  ])("refuses %s", (_, bytes, text) => {
    expect(() => decodeInferRequest(new Uint8Array(bytes))).toThrow(InvalidArgument);
    expect(() => decodeInferRequest(new Uint8Array(bytes))).toThrow(text);
  });

  it("says the id of a message whose rest is damaged", () => {
    const bytes = new Uint8Array([...field(3, [55]), 0x0a, 0x05]);
    expect(thrown(() => decodeInferRequest(bytes))).toMatchObject({
      metadata: { request_id: "7" },
    });
  });

  it("throws nothing but InvalidArgument for 20000 truncated and mutated messages", () => {
    const random = new SeededRandom(3);
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const bytes = toBinary(ModelInferRequestSchema, randomRequest(random));
      for (let mutation = 0; mutation < 50; mutation++) {
        const copy = bytes.slice(0, mutation % 2 === 0 ? bytes.length : random.below(bytes.length));
        for (let flips = random.below(4); flips > 0 && copy.length > 0; flips--) {
          copy[random.below(copy.length)] = random.below(256);
        }
        const error = thrown(() => decodeInferRequest(copy));
        refused += error === undefined ? 0 : 1;
        if (error !== undefined && !(error instanceof InvalidArgument)) {
          throw error;
        }
      }
    }
    expect(refused).toBeGreaterThan(5000);
  });
});

describe("encodeInferResponse", () => {
  it("writes what protobuf-es reads, raw and typed, for every datatype", () => {
    const random = new SeededRandom(4);
    for (let round = 0; round < 1000; round++) {
      const answer = randomAnswer(random);
      const message = fromBinary(ModelInferResponseSchema, encodeInferResponse(answer));
      expect(message).toMatchObject({
        modelName: answer.modelName,
        modelVersion: answer.modelVersion,
        id: answer.id,
      });
      expect(message.$unknown).toBeUndefined();
      expect(Object.keys(message.parameters)).toEqual(
        answer.finalResponse ? ["triton_final_response"] : [],
      );
      expect(message.rawOutputContents).toHaveLength(answer.raw ? answer.outputs.length : 0);
      for (const [index, tensor] of answer.outputs.entries()) {
        const output = message.outputs[index];
        expect(output?.name).toBe(tensor.name);
        expect(output?.datatype).toBe(tensor.datatype);
        expect(output?.shape.map(Number)).toEqual([...tensor.shape]);
        const data = answer.raw ? message.rawOutputContents[index] : bytesOf(output, tensor);
        expect(Buffer.from(data ?? []).equals(rawBytes(tensor))).toBe(true);
      }
    }
  });

  it("writes a stream's answer around the same bytes", () => {
    const answer = randomAnswer(new SeededRandom(5));
    const message = fromBinary(ModelStreamInferResponseSchema, encodeStreamInferResponse(answer));
    expect(message.errorMessage).toBe("");
    expect(message.inferResponse).toEqual(
      fromBinary(ModelInferResponseSchema, encodeInferResponse(answer)),
    );
  });

  it("writes a failure with id, code and reason", () => {
    const bytes = encodeStreamInferResponse({
      kind: "failure",
      id: "größer",
      message: 'input "x" is missing',
      code: 3,
      reason: "TENSOR_MISMATCH",
    });
    expect(fromBinary(ModelStreamInferResponseSchema, bytes)).toEqual(
      create(ModelStreamInferResponseSchema, {
        errorMessage: 'input "x" is missing',
        inferResponse: {
          id: "größer",
          parameters: {
            grpc_code: { parameterChoice: { case: "int64Param", value: 3n } },
            reason: { parameterChoice: { case: "stringParam", value: "TENSOR_MISMATCH" } },
          },
        },
      }),
    );
  });
});

function tag(number: number, type: number): number[] {
  const value = (number << 3) | type;
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >>> 7];
}

/** A length-delimited field of up to 127 bytes. */
function field(number: number, payload: number[]): number[] {
  return [...tag(number, 2), payload.length, ...payload];
}

function thrown(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    return error;
  }
}

function expectSame(decoded: WireInferRequest, message: ModelInferRequest): void {
  expect(decoded.modelName).toBe(message.modelName);
  expect(decoded.modelVersion).toBe(message.modelVersion);
  expect(decoded.id).toBe(message.id);
  expect(plain(decoded.parameters)).toEqual(plainMessage(message.parameters));
  expect(decoded.inputs).toHaveLength(message.inputs.length);
  for (const [index, input] of message.inputs.entries()) {
    const mine = decoded.inputs[index]!;
    expect(mine.name).toBe(input.name);
    expect(mine.datatype).toBe(input.datatype);
    expect(mine.shape).toEqual(input.shape.map(Number));
    expect(plain(mine.parameters)).toEqual(plainMessage(input.parameters));
    expect(mine.contents === undefined).toBe(input.contents === undefined);
    for (const datatype of [
      "BOOL",
      "INT32",
      "INT64",
      "UINT32",
      "UINT64",
      "FP32",
      "FP64",
    ] as const) {
      const expected = bytesOf(input, { datatype });
      const contentsField = { BOOL: 1, INT32: 2, INT64: 3, UINT32: 4, UINT64: 5, FP32: 6, FP64: 7 };
      const got = mine.contents?.elements(contentsField[datatype]) ?? new Uint8Array(0);
      expect(Buffer.from(got).equals(expected)).toBe(true);
    }
    expect((mine.contents?.strings() ?? []).map((text) => Buffer.from(text))).toEqual(
      (input.contents?.bytesContents ?? []).map((text) => Buffer.from(text)),
    );
  }
  expect(decoded.outputs.map((o) => [o.name, plain(o.parameters)])).toEqual(
    message.outputs.map((o) => [o.name, plainMessage(o.parameters)]),
  );
  expect(decoded.rawInputContents.map((raw) => Buffer.from(raw))).toEqual(
    message.rawInputContents.map((raw) => Buffer.from(raw)),
  );
}

function plain(parameters: Parameters): Record<string, Parameter> {
  return Object.fromEntries(parameters);
}

function plainMessage(parameters: Record<string, InferParameter>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(parameters).map(([key, { parameterChoice }]) => [
      key,
      parameterChoice.case === undefined
        ? { kind: "unset" }
        : { kind: parameterChoice.case.replace("Param", ""), value: parameterChoice.value },
    ]),
  );
}

function randomAnswer(random: SeededRandom): InferAnswer {
  const raw = random.below(2) === 0;
  const outputs: Tensor[] = [];
  for (let i = random.below(4); i > 0; i--) {
    outputs.push(randomTensor(random, { withHalf: raw }));
  }
  return {
    kind: "answer",
    modelName: random.text(60),
    modelVersion: String(random.below(100)),
    id: random.text(50),
    outputs,
    raw,
    finalResponse: random.below(4) === 0,
  };
}

function rawBytes(tensor: Tensor): Buffer {
  if (tensor.datatype !== "BYTES") {
    return Buffer.from(tensor.data);
  }
  return Buffer.concat(
    tensor.data.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}
