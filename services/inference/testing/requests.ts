// Decoded requests for tests, made the way the wire makes them.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Context, context } from "@opentelemetry/api";
import { ModelInferRequestSchema } from "../../../gen/inference/grpc_service_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { WireInferRequest } from "../protocol/infer-messages.ts";
import { decodeInferRequest } from "../protocol/infer-request-codec.ts";
import { fp32 } from "./test-models.ts";

export type RequestInit = MessageInitShape<typeof ModelInferRequestSchema>;

/** A request for the mean of 0.5, 1 and 0, with what is to be different. */
export function meanRequest(init: RequestInit = {}): RequestInit {
  return {
    modelName: "mean",
    id: "r1",
    inputs: [{ name: "features", datatype: "FP32", shape: [1n, 3n] }],
    rawInputContents: [fp32(0.5, 1, 0)],
    ...init,
  };
}

/** Through the bytes of the wire. */
export function decoded(init: RequestInit): WireInferRequest {
  return decodeInferRequest(
    toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, init)),
  );
}

export interface TestCall {
  readonly principal?: Principal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly trace?: Context;
  readonly deadlineMs?: number;
}

/** A call as a handler sees it. */
export function testCall(call: TestCall = {}): CallContext {
  return {
    path: "/inference.GRPCInferenceService/ModelInfer",
    signal: call.signal ?? new AbortController().signal,
    deadlineMs: call.deadlineMs ?? Date.now() + 60_000,
    principal: call.principal ?? anonymous,
    header: (name) => call.headers?.[name],
    trace: call.trace ?? context.active(),
  };
}
