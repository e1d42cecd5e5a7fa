// Paging of List calls: the size asked for, and an opaque token that remembers where the last page
// ended and for which call. A token is no secret and grants nothing; the digest in it only catches
// a token that is sent with another filter, order or parent, which would silently skip results.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "./errors/domain-error.ts";

/** Where a page ended: the sort values of its last item. */
export type PageCursor = readonly (string | number | null)[];

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 1000;
const DIGEST_LENGTH = 16;
/** Ours are below 1 KiB; anything much longer is not ours. */
const TOKEN_LENGTH_MAX = 4096;

/**
 * The number of items to return: `requested`, the default for 0, the maximum for more.
 * @throws InvalidArgument when it is negative.
 */
export function pageSizeOf(requested: number): number {
  if (requested < 0) {
    throw new InvalidArgument(
      `page_size must be 0 (for ${PAGE_SIZE_DEFAULT}) or more; got ${requested}.`,
      {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "page_size", description: "must not be negative" }],
      },
    );
  }
  return requested === 0 ? PAGE_SIZE_DEFAULT : Math.min(requested, PAGE_SIZE_MAX);
}

/**
 * The token of the page after `cursor`. `call` is all that decides the result: method, parent,
 * filter, order.
 */
export function encodePageToken(call: readonly string[], cursor: PageCursor): string {
  const text = JSON.stringify([digestOf(call), ...cursor]);
  return Buffer.from(text, "utf8").toString("base64url");
}

/**
 * The cursor in a token; undefined for the empty token, which asks for the first page.
 * @throws InvalidArgument (INVALID_PAGE_TOKEN) when the token is damaged or was made for another
 * call.
 */
export function decodePageToken(call: readonly string[], token: string): PageCursor | undefined {
  if (token === "") {
    return undefined;
  }
  const [digest, ...cursor] = parse(token);
  if (digest === undefined || !cursor.every(isCursorValue)) {
    throw refused("is damaged");
  }
  if (digest !== digestOf(call)) {
    throw refused("was made for a call with another parent, filter or order");
  }
  return cursor;
}

function parse(token: string): readonly unknown[] {
  if (token.length > TOKEN_LENGTH_MAX) {
    return [];
  }
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function isCursorValue(value: unknown): value is string | number | null {
  return value === null || typeof value === "string" || typeof value === "number";
}

function digestOf(call: readonly string[]): string {
  return createHash("sha256")
    .update(JSON.stringify(call))
    .digest("base64url")
    .slice(0, DIGEST_LENGTH);
}

function refused(why: string): InvalidArgument {
  return new InvalidArgument(
    `The page_token ${why}. Send back next_page_token of the same call unchanged, or none to ` +
      "begin again.",
    {
      reason: ErrorReason.INVALID_PAGE_TOKEN,
      violations: [{ field: "page_token", description: why }],
    },
  );
}
