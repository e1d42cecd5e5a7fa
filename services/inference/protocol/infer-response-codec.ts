// Encodes ModelInferResponse and ModelStreamInferResponse by hand, in one buffer, copying each
// output once. Field numbers are the protocol's.

import { fieldSize, stringFieldSize, varintSize, WireWriter } from "../../common/wire-writer.ts";
import type { Tensor } from "../tensor.ts";
import type { InferAnswer, InferFailure } from "./infer-messages.ts";
import { contentsSize, rawSize, writeContents, writeRaw } from "./tensor-contents.ts";

/** Of ModelInferResponse. */
const MODEL_NAME = 1;
const MODEL_VERSION = 2;
const ID = 3;
const PARAMETERS = 4;
const OUTPUTS = 5;
const RAW_OUTPUT_CONTENTS = 6;

/** Of InferOutputTensor. */
const TENSOR_NAME = 1;
const TENSOR_DATATYPE = 2;
const TENSOR_SHAPE = 3;
const TENSOR_CONTENTS = 5;

/** Of ModelStreamInferResponse. */
const ERROR_MESSAGE = 1;
const INFER_RESPONSE = 2;

/** Of a map entry. */
const KEY = 1;
const VALUE = 2;

/** Names of the parameters that a failure carries. */
const GRPC_CODE = "grpc_code";
const REASON = "reason";
const FINAL_RESPONSE = "triton_final_response";

/** `parameters["triton_final_response"] = {bool_param: true}` */
const FINAL_RESPONSE_ENTRY = parameterEntry(FINAL_RESPONSE, Buffer.from([1 << 3, 1]));

interface Sizes {
  /** Of each InferOutputTensor. */
  readonly outputs: number[];
  /** Of each raw or typed contents. */
  readonly data: number[];
  total: number;
}

/** A ModelInferResponse. */
export function encodeInferResponse(answer: InferAnswer): Buffer {
  const sizes = sizesOf(answer);
  const writer = new WireWriter(sizes.total);
  writeAnswer(writer, answer, sizes);
  return writer.bytes;
}

/** A ModelStreamInferResponse: an answer, or a failure in the form that Triton's clients read. */
export function encodeStreamInferResponse(answer: InferAnswer | InferFailure): Buffer {
  if (answer.kind === "failure") {
    return encodeFailure(answer);
  }
  const sizes = sizesOf(answer);
  const writer = new WireWriter(fieldSize(sizes.total));
  writer.head(INFER_RESPONSE, sizes.total);
  writeAnswer(writer, answer, sizes);
  return writer.bytes;
}

function encodeFailure(failure: InferFailure): Buffer {
  const code = new WireWriter(1 + varintSize(failure.code));
  code.byte(2 << 3);
  code.varint(failure.code);
  const reason = new WireWriter(stringFieldSize(failure.reason));
  reason.stringField(3, failure.reason);
  const parameters = [parameterEntry(GRPC_CODE, code.bytes), parameterEntry(REASON, reason.bytes)];
  // Only a message that says something is an error to Triton's clients.
  const message = failure.message === "" ? failure.reason : failure.message;
  let size = stringFieldSize(failure.id);
  for (const entry of parameters) {
    size += fieldSize(entry.length);
  }
  const writer = new WireWriter(stringFieldSize(message) + fieldSize(size));
  writer.stringField(ERROR_MESSAGE, message);
  writer.head(INFER_RESPONSE, size);
  writer.stringField(ID, failure.id);
  for (const entry of parameters) {
    writer.head(PARAMETERS, entry.length);
    writer.raw(entry);
  }
  return writer.bytes;
}

/** An entry of a map<string, InferParameter>. */
function parameterEntry(key: string, value: Uint8Array): Buffer {
  const writer = new WireWriter(stringFieldSize(key) + fieldSize(value.length));
  writer.stringField(KEY, key);
  writer.head(VALUE, value.length);
  writer.raw(value);
  return writer.bytes;
}

function sizesOf(answer: InferAnswer): Sizes {
  const sizes: Sizes = { outputs: [], data: [], total: 0 };
  sizes.total =
    stringFieldSize(answer.modelName) +
    stringFieldSize(answer.modelVersion) +
    stringFieldSize(answer.id) +
    (answer.finalResponse ? fieldSize(FINAL_RESPONSE_ENTRY.length) : 0);
  for (const tensor of answer.outputs) {
    const data = answer.raw ? rawSize(tensor) : contentsSize(tensor);
    let output =
      stringFieldSize(tensor.name) + stringFieldSize(tensor.datatype) + shapeSize(tensor);
    if (answer.raw) {
      sizes.total += fieldSize(data);
    } else {
      output += fieldSize(data);
    }
    sizes.data.push(data);
    sizes.outputs.push(output);
    sizes.total += fieldSize(output);
  }
  return sizes;
}

function writeAnswer(writer: WireWriter, answer: InferAnswer, sizes: Sizes): void {
  writer.stringField(MODEL_NAME, answer.modelName);
  writer.stringField(MODEL_VERSION, answer.modelVersion);
  writer.stringField(ID, answer.id);
  if (answer.finalResponse) {
    writer.head(PARAMETERS, FINAL_RESPONSE_ENTRY.length);
    writer.raw(FINAL_RESPONSE_ENTRY);
  }
  const { outputs, raw } = answer;
  for (let i = 0; i < outputs.length; i++) {
    const tensor = outputs[i]!;
    writer.head(OUTPUTS, sizes.outputs[i]!);
    writer.stringField(TENSOR_NAME, tensor.name);
    writer.stringField(TENSOR_DATATYPE, tensor.datatype);
    writeShape(writer, tensor);
    if (!raw) {
      writer.head(TENSOR_CONTENTS, sizes.data[i]!);
      writeContents(writer, tensor);
    }
  }
  if (raw) {
    for (let i = 0; i < outputs.length; i++) {
      writer.head(RAW_OUTPUT_CONTENTS, sizes.data[i]!);
      writeRaw(writer, outputs[i]!);
    }
  }
}

function dimensionsSize(tensor: Tensor): number {
  let size = 0;
  for (const dimension of tensor.shape) {
    size += varintSize(dimension);
  }
  return size;
}

function shapeSize(tensor: Tensor): number {
  return tensor.shape.length === 0 ? 0 : fieldSize(dimensionsSize(tensor));
}

function writeShape(writer: WireWriter, tensor: Tensor): void {
  if (tensor.shape.length === 0) {
    return;
  }
  writer.head(TENSOR_SHAPE, dimensionsSize(tensor));
  for (const dimension of tensor.shape) {
    writer.varint(dimension);
  }
}
