// What gRPC puts into HTTP/2 headers and trailers: which requests are gRPC at all, timeouts as
// "100m", statuses with a percent-encoded message and binary details. Source: the gRPC over HTTP/2
// protocol.

import { create } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { statusBytes } from "../errors/status.ts";

/** Clients on gRPC's C core (Python, C++, Ruby) may refuse more than 8 KiB of trailers. */
const TRAILER_BYTES_MAX = 7 * 1024;

/** In UTF-8; percent-encoding makes up to three of each, and the details repeat the message. */
const MESSAGE_BYTES_MAX = 1024;

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Whether the content type is gRPC with Protobuf: not gRPC-Web, not another message format. */
export function isGrpc(contentType: string | undefined): boolean {
  return (
    contentType === "application/grpc" ||
    /^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType ?? "")
  );
}

/**
 * Milliseconds of a `grpc-timeout` header; undefined when there is none; NaN when it is malformed.
 */
export function timeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) {
    return undefined;
  }
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  return match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** `grpc-message`: percent-encoded where it is not printable ASCII. */
export function percentEncode(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) {
    return text;
  }
  let encoded = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/**
 * The trailers that carry a status. A long message is cut and details that no longer fit are left
 * out (ErrorInfo, the first, goes before the others), since a client would refuse the trailers as a
 * whole.
 */
export function statusTrailers(status: Status): Record<string, string | number> {
  const message = clipped(status.message);
  const encoded = percentEncode(message);
  const trailers: Record<string, string | number> = {
    "grpc-status": status.code,
    "grpc-message": encoded,
  };
  const bytesLeft = TRAILER_BYTES_MAX - encoded.length;
  const details: Any[] = [];
  for (const detail of status.details) {
    const fits = create(StatusSchema, {
      code: status.code,
      message,
      details: [...details, detail],
    });
    const base64 = Buffer.from(statusBytes(fits)).toString("base64").replace(/=+$/, "");
    if (base64.length <= bytesLeft) {
      details.push(detail);
      trailers["grpc-status-details-bin"] = base64;
    }
  }
  return trailers;
}

function clipped(message: string): string {
  if (Buffer.byteLength(message) <= MESSAGE_BYTES_MAX) {
    return message;
  }
  const { read } = new TextEncoder().encodeInto(message, new Uint8Array(MESSAGE_BYTES_MAX - 3));
  return `${message.slice(0, read)}...`;
}
