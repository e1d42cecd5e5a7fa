// Random inference messages and tensors, for comparing the hand-written codec with the generated
// one.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type InferParameterSchema,
  type InferTensorContents,
  type InferTensorContentsSchema,
  type ModelInferRequest,
  ModelInferRequestSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import type { SeededRandom } from "../../common/testing/seeded-random.ts";
import { DATATYPES, type Datatype, ELEMENT_BYTES, type Tensor } from "../tensor.ts";

type ParameterInit = MessageInitShape<typeof InferParameterSchema>;

/** A request with any mixture of fields, sensible or not. */
export function randomRequest(random: SeededRandom): ModelInferRequest {
  return create(ModelInferRequestSchema, {
    modelName: random.text(70),
    modelVersion: random.text(4),
    id: random.text(40),
    parameters: randomParameters(random),
    inputs: list(random, 4, () => ({
      name: random.text(70),
      datatype: random.pick([...DATATYPES, "", "BF16"]),
      shape: list(random, 5, () => random.int64()),
      parameters: randomParameters(random),
      ...(random.below(2) === 0 ? { contents: randomContents(random) } : {}),
    })),
    outputs: list(random, 3, () => ({
      name: random.text(20),
      parameters: randomParameters(random),
    })),
    rawInputContents: list(random, 3, () => random.bytes(random.below(200))),
  });
}

function list<T>(random: SeededRandom, max: number, make: () => T): T[] {
  return Array.from({ length: random.below(max) }, make);
}

function randomParameters(random: SeededRandom): Record<string, ParameterInit> {
  const parameters: Record<string, ParameterInit> = {};
  for (let i = random.below(3); i > 0; i--) {
    parameters[random.text(12)] = random.pick<() => ParameterInit>([
      () => ({ parameterChoice: { case: "boolParam", value: random.below(2) === 0 } }),
      () => ({ parameterChoice: { case: "int64Param", value: random.int64() } }),
      () => ({ parameterChoice: { case: "stringParam", value: random.text(30) } }),
      () => ({ parameterChoice: { case: "doubleParam", value: random.uint32() / 7 } }),
      () => ({
        parameterChoice: { case: "uint64Param", value: BigInt.asUintN(64, random.int64()) },
      }),
      () => ({}),
    ])();
  }
  return parameters;
}

function randomContents(random: SeededRandom): MessageInitShape<typeof InferTensorContentsSchema> {
  return {
    boolContents: list(random, 5, () => random.below(2) === 0),
    intContents: list(random, 5, () => Number(BigInt.asIntN(32, random.int64()))),
    int64Contents: list(random, 5, () => random.int64()),
    uintContents: list(random, 5, () => Number(BigInt.asUintN(32, random.int64()))),
    uint64Contents: list(random, 5, () => BigInt.asUintN(64, random.int64())),
    fp32Contents: list(random, 5, () => Math.fround(random.uint32() / 3)),
    fp64Contents: list(random, 5, () => random.uint32() / 3),
    bytesContents: list(random, 5, () => random.bytes(random.below(9))),
  };
}

/** A tensor of random datatype, shape and bits. */
export function randomTensor(
  random: SeededRandom,
  options: { readonly withHalf: boolean },
): Tensor {
  const datatypes = DATATYPES.filter((d) => options.withHalf || d !== "FP16");
  const datatype = random.pick(datatypes);
  const shape = list(random, 4, () => random.pick([0, 1, 2, 3, 150]));
  const count = Math.min(
    300,
    shape.reduce((product, dimension) => product * dimension, 1),
  );
  const name = random.text(40);
  if (datatype === "BYTES") {
    return { name, datatype, shape, data: list(random, count + 1, () => random.text(50)) };
  }
  const data = random.bytes(count * ELEMENT_BYTES[datatype]);
  if (datatype === "BOOL") {
    return { name, datatype, shape, data: data.map((byte) => byte & 1) };
  }
  if (datatype.startsWith("FP")) {
    // Exponents of all ones are NaNs, whose bits a float in between may change.
    return { name, datatype, shape, data: data.map((byte) => byte & 0x3f) };
  }
  return { name, datatype, shape, data };
}

/** What a message's typed contents are as raw bytes. */
export function bytesOf(
  tensor: { readonly contents?: InferTensorContents | undefined } | undefined,
  { datatype }: { readonly datatype: Datatype },
): Buffer {
  const contents = tensor?.contents;
  if (contents === undefined) {
    return Buffer.alloc(0);
  }
  switch (datatype) {
    case "BOOL":
      return pack(contents.boolContents, 1, (b, v, at) => b.writeUInt8(v ? 1 : 0, at));
    case "INT8":
      return pack(contents.intContents, 1, (b, v, at) => b.writeInt8(v, at));
    case "INT16":
      return pack(contents.intContents, 2, (b, v, at) => b.writeInt16LE(v, at));
    case "INT32":
      return pack(contents.intContents, 4, (b, v, at) => b.writeInt32LE(v, at));
    case "INT64":
      return pack(contents.int64Contents, 8, (b, v, at) => b.writeBigInt64LE(v, at));
    case "UINT8":
      return pack(contents.uintContents, 1, (b, v, at) => b.writeUInt8(v, at));
    case "UINT16":
      return pack(contents.uintContents, 2, (b, v, at) => b.writeUInt16LE(v, at));
    case "UINT32":
      return pack(contents.uintContents, 4, (b, v, at) => b.writeUInt32LE(v, at));
    case "UINT64":
      return pack(contents.uint64Contents, 8, (b, v, at) => b.writeBigUInt64LE(v, at));
    case "FP32":
      return pack(contents.fp32Contents, 4, (b, v, at) => b.writeFloatLE(v, at));
    case "FP64":
      return pack(contents.fp64Contents, 8, (b, v, at) => b.writeDoubleLE(v, at));
    case "FP16":
      return Buffer.alloc(0);
    case "BYTES":
      return Buffer.concat(
        contents.bytesContents.flatMap((bytes) => {
          const length = Buffer.alloc(4);
          length.writeUInt32LE(bytes.length);
          return [length, bytes];
        }),
      );
  }
}

function pack<T>(
  values: readonly T[],
  width: number,
  write: (buffer: Buffer, value: T, at: number) => void,
): Buffer {
  const buffer = Buffer.alloc(values.length * width);
  for (const [index, value] of values.entries()) {
    write(buffer, value, index * width);
  }
  return buffer;
}
