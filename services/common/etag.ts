// Etags: what a client sends back to say "only if it is still as I read it".

import { createHash } from "node:crypto";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Aborted } from "./errors/domain-error.ts";

/**
 * The etag of one state of a resource. The uid keeps a deleted and remade resource apart from the
 * old one.
 */
export function etagOf(uid: string, version: number): string {
  const digest = createHash("sha256").update(`${uid}:${version}`).digest("base64url");
  return `"${digest.slice(0, 12)}"`;
}

/**
 * Passes when `given` is empty (no guard) or the current etag.
 * @throws Aborted (ETAG_MISMATCH)
 */
export function requireEtag(given: string, current: string, name: string): void {
  if (given !== "" && given !== current) {
    throw new Aborted(
      `${name} has changed: its etag is no longer ${given.slice(0, 40)}. Read it again and ` +
        "repeat the change.",
      { reason: ErrorReason.ETAG_MISMATCH, metadata: { resource: name } },
    );
  }
}
