// The answer to a REST inference: the protocol's JSON, with the outputs that were asked for in
// binary after it.

import type {
  InferTensorContents,
  ModelInferResponse,
} from "../../gen/inference/grpc_service_pb.js";
import { toJsonText } from "./exact-json.ts";
import type { BinaryChoice } from "./infer-request.ts";
import { jsonOfRaw, rawOfJson } from "./tensor-json.ts";

export interface HttpBody {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * The HTTP form of an answer.
 * @throws InvalidArgument when an output can only go in binary and was not asked for so.
 */
export function inferBody(response: ModelInferResponse, binary: BinaryChoice): HttpBody {
  const tail: Uint8Array[] = [];
  const outputs = response.outputs.map((output, i) => {
    const { name, datatype, shape } = output;
    const raw = response.rawOutputContents[i] ?? rawOfContents(name, datatype, output.contents);
    const inBinary = binary.byName.get(name) ?? binary.byDefault;
    const parameters = parametersForm(output.parameters);
    if (inBinary) {
      tail.push(raw);
      parameters.binary_data_size = raw.length;
    }
    const head = toJsonText({
      name,
      datatype,
      shape,
      ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
    });
    // Spliced as text: data may have millions of elements, and is JSON already.
    return inBinary ? head : `${head.slice(0, -1)},"data":${jsonOfRaw(name, datatype, raw)}}`;
  });
  const parameters = parametersForm(response.parameters);
  const head = toJsonText({
    model_name: response.modelName,
    model_version: response.modelVersion,
    ...(response.id === "" ? {} : { id: response.id }),
    ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
  });
  const json = Buffer.from(`${head.slice(0, -1)},"outputs":[${outputs.join(",")}]}`);
  if (tail.length === 0) {
    return { headers: { "content-type": "application/json" }, body: json };
  }
  return {
    headers: {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(json.length),
    },
    body: Buffer.concat([json, ...tail]),
  };
}

function parametersForm(parameters: ModelInferResponse["parameters"]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, p]) => [name, p.parameterChoice.value]),
  );
}

/** Servers may answer in typed contents, the more so a request that had no inputs. */
function rawOfContents(
  name: string,
  datatype: string,
  contents: InferTensorContents | undefined,
): Uint8Array {
  const lists = contents && [
    contents.boolContents,
    contents.intContents,
    contents.int64Contents,
    contents.uintContents,
    contents.uint64Contents,
    contents.fp32Contents.map(nonFiniteAsText),
    contents.fp64Contents.map(nonFiniteAsText),
    contents.bytesContents.map((bytes) => Buffer.from(bytes).toString("utf8")),
  ];
  return rawOfJson(`outputs.${name}`, datatype, lists?.find((list) => list.length > 0) ?? []);
}

function nonFiniteAsText(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
