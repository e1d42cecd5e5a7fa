// Messages to bytes and back, for both ends of a call. On the server, bytes that cannot be decoded
// become a value, not a throw: a stream need not die for one bad message.

import { create, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type DomainError, InvalidArgument } from "../errors/domain-error.ts";
import type { MethodCodec } from "./context.ts";

/** Stands in for a message whose bytes could not be decoded. */
export class Undecodable {
  readonly error: DomainError;

  constructor(error: DomainError) {
    this.error = error;
  }
}

export interface WireCodec {
  readonly decode: (bytes: Buffer) => unknown;
  readonly encode: (message: unknown) => Buffer;
}

/** The codec of a server's end of a method: decodes requests, encodes responses. */
export function serverCodec(method: DescMethod, custom: MethodCodec | undefined): WireCodec {
  const decode = custom?.decode ?? ((bytes: Uint8Array) => fromBinary(method.input, bytes));
  const encode =
    custom?.encode ??
    ((message: unknown) => toBinary(method.output, create(method.output, message as never)));
  return {
    decode: (bytes) => {
      try {
        return decode(bytes);
      } catch (error) {
        return new Undecodable(undecodable(method, error));
      }
    },
    encode: (message) => asBuffer(encode(message)),
  };
}

/** The codec of a client's end of a method: encodes requests, decodes responses. */
export function clientCodec(method: DescMethod, custom: MethodCodec | undefined): WireCodec {
  const encode =
    custom?.encode ??
    ((message: unknown) => toBinary(method.input, create(method.input, message as never)));
  return {
    decode: custom?.decode ?? ((bytes) => fromBinary(method.output, bytes)),
    encode: (message) => asBuffer(encode(message)),
  };
}

function undecodable(method: DescMethod, error: unknown): DomainError {
  if (error instanceof InvalidArgument) {
    return error;
  }
  return new InvalidArgument(
    `The request is not a valid ${method.input.typeName} message: its bytes are damaged or ` +
      "truncated, or a string is not UTF-8. Check that client and server use the same proto.",
    { reason: ErrorReason.INVALID_FIELD, cause: error },
  );
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
