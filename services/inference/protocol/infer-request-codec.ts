// Decodes ModelInferRequest by hand: the generated codec builds every field by reflection and
// copies, which costs more than the rest of a small inference. Field numbers are the protocol's.

import { InvalidArgument } from "../../common/errors/domain-error.ts";
import {
  NO_PARAMETERS,
  type Parameter,
  type Parameters,
  type WireInferRequest,
  type WireInput,
  type WireRequestedOutput,
} from "./infer-messages.ts";
import { TypedContents } from "./typed-contents.ts";
import { WireReader } from "./wire-reader.ts";

/** `field << 3 | wire type` of ModelInferRequest. */
const MODEL_NAME = (1 << 3) | 2;
const MODEL_VERSION = (2 << 3) | 2;
const ID = (3 << 3) | 2;
const PARAMETERS = (4 << 3) | 2;
const INPUTS = (5 << 3) | 2;
const OUTPUTS = (6 << 3) | 2;
const RAW_INPUT_CONTENTS = (7 << 3) | 2;

/** Of InferInputTensor; InferRequestedOutputTensor has its parameters at 2. */
const TENSOR_NAME = (1 << 3) | 2;
const TENSOR_DATATYPE = (2 << 3) | 2;
const TENSOR_SHAPE_PACKED = (3 << 3) | 2;
const TENSOR_SHAPE_SINGLE = 3 << 3;
const TENSOR_PARAMETERS = (4 << 3) | 2;
const TENSOR_CONTENTS = (5 << 3) | 2;
const OUTPUT_PARAMETERS = (2 << 3) | 2;

/** Of a map entry. */
const ENTRY_KEY = (1 << 3) | 2;
const ENTRY_VALUE = (2 << 3) | 2;

/** Of InferParameter. */
const BOOL_PARAM = 1 << 3;
const INT64_PARAM = 2 << 3;
const STRING_PARAM = (3 << 3) | 2;
const DOUBLE_PARAM = (4 << 3) | 1;
const UINT64_PARAM = 5 << 3;

const UNSET: Parameter = { kind: "unset" };

/** Error metadata that carries the id of a message whose rest could not be read. */
export const REQUEST_ID = "request_id";

/**
 * A ModelInferRequest. Raw contents are views of `bytes`, which must not change while those are
 * held.
 * @throws InvalidArgument when the bytes are not such a message; its metadata have the message's id
 *   under `request_id` where that came before the fault.
 */
export function decodeInferRequest(bytes: Uint8Array): WireInferRequest {
  const reader = new WireReader(bytes);
  const request = {
    modelName: "",
    modelVersion: "",
    id: "",
    parameters: NO_PARAMETERS,
    inputs: [] as WireInput[],
    outputs: [] as WireRequestedOutput[],
    rawInputContents: [] as Uint8Array[],
    byteLength: bytes.length,
  };
  try {
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      switch (tag) {
        case MODEL_NAME:
          request.modelName = reader.name();
          break;
        case MODEL_VERSION:
          request.modelVersion = reader.name();
          break;
        case ID:
          request.id = reader.string();
          break;
        case PARAMETERS:
          request.parameters = readParameter(reader, request.parameters);
          break;
        case INPUTS:
          request.inputs.push(readInput(reader));
          break;
        case OUTPUTS:
          request.outputs.push(readOutput(reader));
          break;
        case RAW_INPUT_CONTENTS:
          request.rawInputContents.push(reader.view());
          break;
        default:
          reader.skip(tag);
      }
    }
  } catch (error) {
    if (error instanceof InvalidArgument && request.id !== "") {
      const metadata = { [REQUEST_ID]: request.id };
      throw new InvalidArgument(error.message, { reason: error.reason, metadata });
    }
    throw error;
  }
  return request;
}

function readInput(reader: WireReader): WireInput {
  const outer = reader.enter();
  const shape: number[] = [];
  let name = "";
  let datatype = "";
  let parameters = NO_PARAMETERS;
  let contents: TypedContents | undefined;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case TENSOR_NAME:
        name = reader.name();
        break;
      case TENSOR_DATATYPE:
        datatype = reader.name();
        break;
      case TENSOR_SHAPE_PACKED: {
        const tensorEnd = reader.enter();
        while (reader.pos < reader.end) {
          shape.push(reader.int64());
        }
        reader.leave(tensorEnd);
        break;
      }
      case TENSOR_SHAPE_SINGLE:
        shape.push(reader.int64());
        break;
      case TENSOR_PARAMETERS:
        parameters = readParameter(reader, parameters);
        break;
      case TENSOR_CONTENTS:
        contents ??= new TypedContents();
        contents.read(reader);
        break;
      default:
        reader.skip(tag);
    }
  }
  reader.leave(outer);
  return { name, datatype, shape, parameters, contents };
}

function readOutput(reader: WireReader): WireRequestedOutput {
  const outer = reader.enter();
  let name = "";
  let parameters = NO_PARAMETERS;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === TENSOR_NAME) {
      name = reader.name();
    } else if (tag === OUTPUT_PARAMETERS) {
      parameters = readParameter(reader, parameters);
    } else {
      reader.skip(tag);
    }
  }
  reader.leave(outer);
  return { name, parameters };
}

/** The parameters with one map entry more; a key that comes again replaces the first. */
function readParameter(reader: WireReader, known: Parameters): Parameters {
  const parameters = known === NO_PARAMETERS ? new Map<string, Parameter>() : known;
  const outer = reader.enter();
  let key = "";
  let value = UNSET;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === ENTRY_KEY) {
      key = reader.name();
    } else if (tag === ENTRY_VALUE) {
      value = readValue(reader, value);
    } else {
      reader.skip(tag);
    }
  }
  reader.leave(outer);
  (parameters as Map<string, Parameter>).set(key, value);
  return parameters;
}

function readValue(reader: WireReader, before: Parameter): Parameter {
  const outer = reader.enter();
  let value = before;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case BOOL_PARAM:
        reader.varint64();
        value = { kind: "bool", value: reader.low !== 0 || reader.high !== 0 };
        break;
      case INT64_PARAM:
        value = { kind: "int64", value: reader.bigInt64() };
        break;
      case STRING_PARAM:
        value = { kind: "string", value: reader.string() };
        break;
      case DOUBLE_PARAM: {
        const view = reader.fixed(8);
        const double = new DataView(view.buffer, view.byteOffset, 8).getFloat64(0, true);
        value = { kind: "double", value: double };
        break;
      }
      case UINT64_PARAM:
        value = { kind: "uint64", value: BigInt.asUintN(64, reader.bigInt64()) };
        break;
      default:
        reader.skip(tag);
    }
  }
  reader.leave(outer);
  return value;
}
