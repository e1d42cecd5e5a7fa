// A REST inference request as the gRPC message it means. JSON data, flat or nested, becomes raw
// contents; data of the binary extension is handed on as the views of the body that it is.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type InferParameter,
  type ModelInferRequest,
  ModelInferRequestSchema,
} from "../../gen/inference/grpc_service_pb.js";
import { parseJson } from "./exact-json.ts";
import { HttpFailure } from "./failure.ts";
import { rawOfJson, refusal } from "./tensor-json.ts";

/** Which outputs the answer carries in binary. */
export interface BinaryChoice {
  readonly byDefault: boolean;
  readonly byName: ReadonlyMap<string, boolean>;
}

export interface ParsedInfer {
  readonly request: ModelInferRequest;
  readonly binary: BinaryChoice;
}

export interface InferTarget {
  readonly model: string;
  /** Empty: chosen by the server. */
  readonly version: string;
}

/** Above any tensor that ONNX models use, and low enough to walk nested data by recursion. */
const RANK_MAX = 32;

/** Parameters that speak to the REST form itself and mean nothing behind it. */
const OWN_PARAMETERS = new Set(["binary_data_output", "binary_data", "binary_data_size"]);

type Fields = Readonly<Record<string, unknown>>;

/**
 * Parses a body whose first `jsonLength` bytes are JSON and whose rest is binary tensor data.
 * @throws HttpFailure or InvalidArgument that names the field at fault.
 */
export function parseInfer(target: InferTarget, body: Buffer, jsonLength: number): ParsedInfer {
  const top = objectOf("The body", parseJson(body.toString("utf8", 0, jsonLength)));
  const inputs = listOf("inputs", top.inputs);
  const binary = new BinaryData(body.subarray(jsonLength));
  const tensors = inputs.map((input, i) => inputOf(`inputs[${i}]`, input, binary));
  binary.finish();
  const outputs = top.outputs === undefined ? [] : listOf("outputs", top.outputs);
  const byName = new Map<string, boolean>();
  const wanted = outputs.map((output, i) => {
    const field = `outputs[${i}]`;
    const fields = objectOf(field, output);
    const name = stringOf(`${field}.name`, fields.name);
    const asked = booleanOf(`${field}.parameters.binary_data`, fields.parameters, "binary_data");
    if (asked !== undefined) {
      byName.set(name, asked);
    }
    return { name, parameters: parametersOf(`${field}.parameters`, fields.parameters) };
  });
  const all = booleanOf("parameters.binary_data_output", top.parameters, "binary_data_output");
  return {
    request: create(ModelInferRequestSchema, {
      modelName: target.model,
      modelVersion: target.version,
      id: top.id === undefined ? "" : stringOf("id", top.id),
      parameters: parametersOf("parameters", top.parameters),
      inputs: tensors.map(({ tensor }) => tensor),
      outputs: wanted,
      rawInputContents: tensors.map(({ raw }) => raw),
    }),
    binary: { byDefault: all ?? false, byName },
  };
}

/** The bytes after the JSON, taken by the inputs in their order. */
class BinaryData {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(field: string, size: number): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (size > left) {
      throw refusal(
        `${field}.parameters.binary_data_size`,
        `is ${size}, but ${left} bytes are left in the body after the JSON and earlier inputs`,
      );
    }
    const data = this.#bytes.subarray(this.#at, this.#at + size);
    this.#at += size;
    return data;
  }

  finish(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) {
      throw new HttpFailure(
        400,
        `${left} bytes follow the JSON that no input's binary_data_size accounts for. Check ` +
          "Inference-Header-Content-Length and the sizes.",
      );
    }
  }
}

interface ParsedInput {
  readonly tensor: { name: string; datatype: string; shape: bigint[]; parameters: Parameters };
  readonly raw: Uint8Array;
}

type Parameters = Record<string, InferParameter>;

function inputOf(field: string, value: unknown, binary: BinaryData): ParsedInput {
  const input = objectOf(field, value);
  const name = stringOf(`${field}.name`, input.name);
  const named = `${field} (${JSON.stringify(name.slice(0, 100))})`;
  const datatype = stringOf(`${field}.datatype`, input.datatype);
  const shape = shapeOf(named, input.shape);
  const size = binarySizeOf(named, input.parameters);
  if ((size === undefined) === (input.data === undefined)) {
    const both = size !== undefined;
    throw refusal(named, `has ${both ? "both" : "neither"} data and binary_data_size; give one`);
  }
  return {
    tensor: {
      name,
      datatype,
      shape: shape.map(BigInt),
      parameters: parametersOf(`${field}.parameters`, input.parameters),
    },
    raw:
      size === undefined
        ? rawOfJson(named, datatype, flatten(named, shape, input.data))
        : binary.take(named, size),
  };
}

function shapeOf(field: string, value: unknown): number[] {
  const shape = listOf(`${field}.shape`, value);
  if (shape.length > RANK_MAX) {
    throw refusal(
      `${field}.shape`,
      `has ${shape.length} dimensions; at most ${RANK_MAX} are taken`,
    );
  }
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || (dimension as number) < 0) {
      throw refusal(
        `${field}.shape`,
        "must hold integers from 0, the actual size of each dimension",
      );
    }
  }
  return shape as number[];
}

function binarySizeOf(field: string, parameters: unknown): number | undefined {
  const size =
    parameters === undefined
      ? undefined
      : objectOf(`${field}.parameters`, parameters).binary_data_size;
  if (size !== undefined && (!Number.isSafeInteger(size) || (size as number) < 0)) {
    throw refusal(`${field}.parameters.binary_data_size`, "must be a number of bytes");
  }
  return size as number | undefined;
}

/** The elements in row-major order, of data that is flat or nested as the shape says. */
function flatten(field: string, shape: readonly number[], data: unknown): readonly unknown[] {
  const count = shape.reduce((product, dimension) => product * BigInt(dimension), 1n);
  const given = Array.isArray(data)
    ? (data as readonly unknown[])
    : shape.length === 0
      ? [data]
      : [];
  if (!Array.isArray(data) && shape.length > 0) {
    throw refusal(`${field}.data`, "must be a list, flat or nested as the shape");
  }
  if (!given.some(Array.isArray)) {
    if (BigInt(given.length) !== count) {
      throw refusal(
        `${field}.data`,
        `has ${given.length} elements; the shape [${shape}] needs ${count}`,
      );
    }
    return given;
  }
  const flat: unknown[] = [];
  collect(given, 0);
  return flat;

  function collect(list: readonly unknown[], depth: number): void {
    if (list.length !== shape[depth]) {
      throw refusal(
        `${field}.data`,
        `has a list of ${list.length} at depth ${depth}; the shape [${shape}] needs ` +
          `${shape[depth] ?? "no list there"}`,
      );
    }
    const innermost = depth === shape.length - 1;
    for (const item of list) {
      if (Array.isArray(item) === innermost) {
        throw refusal(`${field}.data`, `is not nested evenly, as the shape [${shape}] has it`);
      }
      if (innermost) {
        flat.push(item);
      } else {
        collect(item as readonly unknown[], depth + 1);
      }
    }
  }
}

function parametersOf(field: string, value: unknown): Parameters {
  if (value === undefined) {
    return {};
  }
  const entries = Object.entries(objectOf(field, value)).filter(([k]) => !OWN_PARAMETERS.has(k));
  return Object.fromEntries(
    entries.map(([name, given]) => [name, parameterOf(`${field}.${name}`, given)]),
  ) as Parameters;
}

type Choice = MessageInitShape<typeof ModelInferRequestSchema>["parameters"];

function parameterOf(field: string, value: unknown): NonNullable<Choice>[string] {
  switch (typeof value) {
    case "boolean":
      return { parameterChoice: { case: "boolParam", value } };
    case "string":
      return { parameterChoice: { case: "stringParam", value } };
    case "number":
    case "bigint":
      return { parameterChoice: numberParameter(field, value) };
    default:
      throw refusal(field, "must be a boolean, a number or a string");
  }
}

function numberParameter(field: string, value: number | bigint) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    return { case: "doubleParam", value } as const;
  }
  const integer = BigInt(value);
  if (BigInt.asIntN(64, integer) === integer) {
    return { case: "int64Param", value: integer } as const;
  }
  if (BigInt.asUintN(64, integer) === integer) {
    return { case: "uint64Param", value: integer } as const;
  }
  throw refusal(field, "is an integer beyond 64 bits");
}

function objectOf(field: string, value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refusal(field, "must be a JSON object");
  }
  return value as Fields;
}

function listOf(field: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw refusal(field, "must be a list");
  }
  return value;
}

function stringOf(field: string, value: unknown): string {
  if (typeof value !== "string") {
    throw refusal(field, "must be a string");
  }
  return value;
}

function booleanOf(field: string, parameters: unknown, name: string): boolean | undefined {
  const value = parameters === undefined ? undefined : objectOf(field, parameters)[name];
  if (value !== undefined && typeof value !== "boolean") {
    throw refusal(field, "must be true or false");
  }
  return value;
}
