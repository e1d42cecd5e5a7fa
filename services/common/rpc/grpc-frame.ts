// gRPC's framing over HTTP/2, as pure functions and one reader: five bytes before each message, statuses
// in trailers, timeouts as "100m". Source: the gRPC over HTTP/2 protocol specification.

import { gunzipSync, inflateSync } from "node:zlib";
import { Code } from "../../../gen/google/rpc/code_pb.js";

/** One byte of flags and four of length stand before each message. */
export const FRAME_HEADER_BYTES = 5;

const COMPRESSED = 1;

/** Inflating blocks the thread; more than this at once would be felt by other calls. */
const INFLATED_BYTES_MAX = 16 * 1024 * 1024;

/** A fault of the bytes a client sends; ends the call with this status. */
export class FrameFault extends Error {
  readonly code: Code;

  constructor(code: Code, message: string) {
    super(message);
    this.code = code;
  }
}

/** Cuts what arrives into messages. A message that arrives in one piece is a view, not a copy. */
export class FrameReader {
  readonly #bytesMax: number;
  readonly #encoding: string;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #body: Buffer | undefined;
  #bodyFilled = 0;

  constructor(options: { readonly bytesMax: number; readonly encoding: string | undefined }) {
    this.#bytesMax = options.bytesMax;
    this.#encoding = options.encoding ?? "identity";
  }

  /** Whether the bytes so far end with a whole message. */
  get atBoundary(): boolean {
    return this.#headerFilled === 0;
  }

  /**
   * Takes the next bytes and hands each message they complete to `emit`.
   * @throws FrameFault for a message above the limit, or one that cannot be inflated.
   */
  feed(chunk: Buffer, emit: (message: Buffer) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === undefined) {
        const whole = this.#wholeMessage(chunk, at);
        if (whole > 0) {
          const message = chunk.subarray(at + FRAME_HEADER_BYTES, at + whole);
          emit(this.#plain(chunk[at]!, message));
          at += whole;
          continue;
        }
        at += this.#fillHeader(chunk, at);
      } else {
        const taken = chunk.copy(this.#body, this.#bodyFilled, at);
        this.#bodyFilled += taken;
        at += taken;
      }
      this.#emitIfFull(emit);
    }
  }

  /** Bytes of the frame that begins at `at` if all of it is in the chunk, else 0. */
  #wholeMessage(chunk: Buffer, at: number): number {
    if (this.#headerFilled > 0 || chunk.length - at < FRAME_HEADER_BYTES) {
      return 0;
    }
    const length = this.#checked(chunk.readUInt32BE(at + 1));
    const whole = FRAME_HEADER_BYTES + length;
    return chunk.length - at >= whole ? whole : 0;
  }

  #fillHeader(chunk: Buffer, at: number): number {
    const end = at + FRAME_HEADER_BYTES - this.#headerFilled;
    const taken = chunk.copy(this.#header, this.#headerFilled, at, end);
    this.#headerFilled += taken;
    if (this.#headerFilled === FRAME_HEADER_BYTES) {
      this.#body = Buffer.allocUnsafeSlow(this.#checked(this.#header.readUInt32BE(1)));
      this.#bodyFilled = 0;
    }
    return taken;
  }

  #emitIfFull(emit: (message: Buffer) => void): void {
    const body = this.#body;
    if (body !== undefined && this.#bodyFilled === body.length) {
      this.#body = undefined;
      this.#headerFilled = 0;
      emit(this.#plain(this.#header[0]!, body));
    }
  }

  #checked(length: number): number {
    if (length > this.#bytesMax) {
      throw new FrameFault(
        Code.RESOURCE_EXHAUSTED,
        `The message has ${length} bytes; the server takes at most ${this.#bytesMax}. ` +
          "Send it in smaller parts.",
      );
    }
    return length;
  }

  #plain(flags: number, message: Buffer): Buffer {
    if ((flags & COMPRESSED) === 0) {
      return message;
    }
    const maxOutputLength = Math.min(this.#bytesMax, INFLATED_BYTES_MAX);
    try {
      switch (this.#encoding) {
        case "gzip":
          return gunzipSync(message, { maxOutputLength });
        case "deflate":
          return inflateSync(message, { maxOutputLength });
      }
    } catch {
      throw new FrameFault(
        Code.INVALID_ARGUMENT,
        `The message is not valid ${this.#encoding}, or inflates to more than ${maxOutputLength} bytes.`,
      );
    }
    throw new FrameFault(
      Code.UNIMPLEMENTED,
      `Compression "${this.#encoding}" is not supported; use gzip, deflate or identity.`,
    );
  }
}

/** The message with its frame header, in one buffer. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(FRAME_HEADER_BYTES + message.length);
  writeFrameHeader(framed, message.length);
  framed.set(message, FRAME_HEADER_BYTES);
  return framed;
}

/** Writes the five bytes that stand before a message of this length. */
export function writeFrameHeader(into: Buffer, messageBytes: number): void {
  into[0] = 0;
  into.writeUInt32BE(messageBytes, 1);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds of a `grpc-timeout` header; undefined when there is none; NaN when it is malformed. */
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
