// The error of a job as it is stored: google.rpc.Status as protobuf JSON, with its details
// readable.

import { createRegistry, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { toStatus } from "../errors/status.ts";

/** Every message that toStatus packs. */
const registry = createRegistry(
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
);

/** What a thrown value becomes in a job's document. */
export function storedError(error: unknown): JsonObject {
  return toJson(StatusSchema, toStatus(error), { registry }) as JsonObject;
}

/** The way back. */
export function statusOf(stored: JsonObject): Status {
  return fromJson(StatusSchema, stored, { registry, ignoreUnknownFields: true });
}
