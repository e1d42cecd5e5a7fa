// The REST form of the Open Inference Protocol, `/v2/...`: which path means which RPC of
// inference.GRPCInferenceService, and how its answer is written.

import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import {
  GRPCInferenceService,
  ModelConfigResponseSchema,
  ModelMetadataResponseSchema,
  ModelStatisticsResponseSchema,
  RepositoryIndexRequestSchema,
  RepositoryIndexResponseSchema,
  ServerMetadataResponseSchema,
} from "../../gen/inference/grpc_service_pb.js";
import { ModelConfigSchema } from "../../gen/inference/model_config_pb.js";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { CallOptions, Client } from "../common/rpc/context.ts";
import { parseJson, protocolForm, toJsonText } from "./exact-json.ts";
import { HttpFailure } from "./failure.ts";
import { parseInfer } from "./infer-request.ts";
import { type HttpBody, inferBody } from "./infer-response.ts";
import { readBody } from "./request-body.ts";
import type { WebRequest } from "./web-port.ts";

export interface RestAnswer extends HttpBody {
  readonly status: number;
}

export interface RestRoute {
  /** With the variables in braces, for metrics: "/v2/models/{model}/infer". */
  readonly pattern: string;
  readonly method: "GET" | "POST";
  /** @throws what failure.ts turns into an answer. */
  serve(request: WebRequest, options: CallOptions): Promise<RestAnswer>;
}

export interface RestRoutesOptions {
  readonly channel: Channel;
  readonly bodyBytesMax: number;
  readonly jsonBytesMax: number;
}

/** The header that says where the JSON of a binary request ends. */
const JSON_LENGTH_HEADER = "inference-header-content-length";

type Inference = Client<typeof GRPCInferenceService>;
interface Call {
  readonly model: string;
  readonly version: string;
  readonly request: WebRequest;
  readonly options: CallOptions;
}
type Serve = (call: Call) => Promise<RestAnswer>;

/** Finds the route of a path; undefined when it is none of the protocol's. */
export type FindRoute = (path: string) => RestRoute | undefined;

/** The routes, on one client. */
export function restRoutes(options: RestRoutesOptions): FindRoute {
  const inference = createClient(GRPCInferenceService, options.channel);
  const get = getRoutes(inference);
  const post = postRoutes(inference, options);
  return (path) => {
    const { pattern, model, version } = parsePath(path);
    const found = get[pattern] ?? post[pattern];
    if (found === undefined) {
      return undefined;
    }
    return {
      pattern,
      method: pattern in get ? "GET" : "POST",
      serve: (request, callOptions) => found({ model, version, request, options: callOptions }),
    };
  };
}

/** The pattern of a path, with what stands in its places. Segments are decoded one by one. */
function parsePath(path: string): { pattern: string; model: string; version: string } {
  const segments = path.replace(/\/$/, "").split("/");
  const places = { model: "", version: "" };
  if (segments[2] === "models" && segments[3] !== undefined && path !== "/v2/models/stats") {
    places.model = decoded(segments[3]);
    segments[3] = "{model}";
    if (segments[4] === "versions" && segments[5] !== undefined) {
      places.version = decoded(segments[5]);
      segments.splice(4, 2);
    }
  } else if (segments[2] === "repository" && segments[3] === "models" && segments[4]) {
    places.model = decoded(segments[4]);
    segments[4] = "{model}";
  }
  return { pattern: segments.join("/"), ...places };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpFailure(400, "The path has a % that no two hexadecimal digits follow.");
  }
}

function getRoutes(inference: Inference): Readonly<Record<string, Serve>> {
  return {
    "/v2": async ({ options }) =>
      messageAnswer(ServerMetadataResponseSchema, await inference.serverMetadata({}, options)),
    "/v2/health/live": async ({ options }) => {
      const { live } = await inference.serverLive({}, options);
      return restAnswer({ live }, live ? 200 : 503);
    },
    "/v2/health/ready": async ({ options }) => {
      const { ready } = await inference.serverReady({}, options);
      return restAnswer({ ready }, ready ? 200 : 503);
    },
    "/v2/models/stats": async ({ options }) =>
      messageAnswer(ModelStatisticsResponseSchema, await inference.modelStatistics({}, options)),
    "/v2/models/{model}": async ({ model: name, version, options }) =>
      messageAnswer(
        ModelMetadataResponseSchema,
        await inference.modelMetadata({ name, version }, options),
      ),
    "/v2/models/{model}/ready": async ({ model: name, version, options }) => {
      const { ready } = await inference.modelReady({ name, version }, options);
      return restAnswer({ name, ready }, ready ? 200 : 503);
    },
    "/v2/models/{model}/config": async ({ model: name, version, options }) => {
      const { config } = await inference.modelConfig({ name, version }, options);
      const schema = config === undefined ? ModelConfigResponseSchema : ModelConfigSchema;
      return messageAnswer(schema, config ?? create(ModelConfigResponseSchema));
    },
    "/v2/models/{model}/stats": async ({ model: name, version, options }) =>
      messageAnswer(
        ModelStatisticsResponseSchema,
        await inference.modelStatistics({ name, version }, options),
      ),
  };
}

function postRoutes(
  inference: Inference,
  limits: RestRoutesOptions,
): Readonly<Record<string, Serve>> {
  return {
    "/v2/models/{model}/infer": async (call) => {
      const body = await readBody(call.request, limits.bodyBytesMax);
      const jsonLength = jsonLengthOf(call.request, body, limits.jsonBytesMax);
      const { request, binary } = parseInfer(call, body, jsonLength);
      const response = await inference.modelInfer(request, call.options);
      return { status: 200, ...inferBody(response, binary) };
    },
    "/v2/repository/index": async ({ request, options }) => {
      const body = await readBody(request, limits.jsonBytesMax);
      const ready = readyOf(body.length === 0 ? {} : parseJson(body.toString("utf8")));
      const index = create(RepositoryIndexRequestSchema, { ready });
      const answer = await inference.repositoryIndex(index, options);
      return restAnswer(protocolForm(RepositoryIndexResponseSchema, answer).models);
    },
    "/v2/repository/models/{model}/load": async ({ model: modelName, options }) => {
      await inference.repositoryModelLoad({ modelName }, options);
      return restAnswer({});
    },
    "/v2/repository/models/{model}/unload": async ({ model: modelName, options }) => {
      await inference.repositoryModelUnload({ modelName }, options);
      return restAnswer({});
    },
  };
}

function jsonLengthOf(request: WebRequest, body: Buffer, jsonBytesMax: number): number {
  const given = request.headers[JSON_LENGTH_HEADER];
  const length = given === undefined ? body.length : Number(given);
  if (!Number.isSafeInteger(length) || length < 1 || length > body.length) {
    throw new HttpFailure(
      400,
      given === undefined
        ? "The body is empty; expected an inference request in JSON."
        : `Inference-Header-Content-Length must be the length of the JSON, from 1 to the ` +
            `${body.length} bytes of the body.`,
    );
  }
  if (length > jsonBytesMax) {
    throw new HttpFailure(
      413,
      `The JSON has ${length} bytes; up to ${jsonBytesMax} are taken. Send tensors in the binary ` +
        "extension, or raise PLINTH_GATEWAY_JSON_MAX.",
    );
  }
  return length;
}

function readyOf(body: unknown): boolean {
  const ready = (body as { readonly ready?: unknown } | null)?.ready ?? false;
  if (typeof ready !== "boolean") {
    throw new HttpFailure(400, 'ready must be true or false: {"ready": true}.');
  }
  return ready;
}

function messageAnswer(schema: DescMessage, message: Message): RestAnswer {
  return restAnswer(protocolForm(schema, message));
}

function restAnswer(value: unknown, status = 200): RestAnswer {
  return {
    status,
    headers: { "content-type": "application/json" },
    body: Buffer.from(toJsonText(value)),
  };
}
