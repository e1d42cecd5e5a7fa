// Create calls that may be sent twice: the request_id and a digest of the request are stored with
// what the call made, so that a replay finds the first answer.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { AlreadyExists, InvalidArgument } from "../errors/domain-error.ts";
import type { Collection, Document, IndexSpec, Stored } from "./port.ts";

/** The index that a collection of such resources needs. */
export const REQUEST_KEY: IndexSpec = { keys: { requestKey: 1 }, unique: true };

/** Stored with a resource, so that a replay finds the first answer however the first call ended. */
export interface RequestStamp {
  readonly requestKey?: string;
  readonly requestDigest: string;
}

/** The stamp of a Create call. `bytes` is the whole request. */
export function requestStamp(call: {
  readonly method: string;
  readonly parent: string;
  readonly requestId: string;
  readonly bytes: Uint8Array;
}): RequestStamp {
  const requestDigest = createHash("sha256").update(call.bytes).digest("hex");
  if (call.requestId === "") {
    return { requestDigest };
  }
  const key = JSON.stringify([call.method, call.parent, call.requestId]);
  return { requestKey: createHash("sha256").update(key).digest("hex"), requestDigest };
}

/**
 * The resource that an earlier call with the same request_id made, or undefined.
 * @throws InvalidArgument when that call asked for something else.
 */
export async function findReplayed<T extends Document & { readonly requestDigest: string }>(
  collection: Collection<T>,
  stamp: RequestStamp,
): Promise<Stored<T> | undefined> {
  if (stamp.requestKey === undefined) {
    return undefined;
  }
  const first = await collection.findOne({ requestKey: stamp.requestKey });
  if (first !== undefined && first.requestDigest !== stamp.requestDigest) {
    throw new InvalidArgument(
      `request_id was used before, for another request that made ${first._id}. Use a fresh one.`,
      {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "request_id", description: "was used for another request" }],
      },
    );
  }
  return first;
}

/**
 * Stores a new resource, or returns the one that a call with the same request_id made first.
 * @throws AlreadyExists when the name is taken.
 */
export async function insertOnce<T extends Document & RequestStamp>(
  collection: Collection<T>,
  document: T,
): Promise<{ readonly stored: Stored<T>; readonly isReplay: boolean }> {
  const earlier = await findReplayed(collection, document);
  if (earlier !== undefined) {
    return { stored: earlier, isReplay: true };
  }
  try {
    return { stored: await collection.insertOne(document), isReplay: false };
  } catch (error) {
    if (!(error instanceof AlreadyExists)) {
      throw error;
    }
    const first = await findReplayed(collection, document);
    if (first !== undefined) {
      return { stored: first, isReplay: true };
    }
    throw new AlreadyExists(`${document._id} exists already. Choose another id, or update it.`, {
      reason: ErrorReason.RESOURCE_EXISTS,
      metadata: { resource: document._id },
      cause: error,
    });
  }
}
