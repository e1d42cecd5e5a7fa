// gRPC's framing over HTTP/2: one byte of flags and four of length before each message, each
// perhaps compressed by itself. Source: the gRPC over HTTP/2 protocol and its compression page.

import { gunzipSync, inflateSync } from "node:zlib";
import { Code } from "../../../gen/google/rpc/code_pb.js";

/** One byte of flags and four of length stand before each message. */
export const FRAME_HEADER_BYTES = 5;

const PLAIN = 0;
const COMPRESSED = 1;

/** Inflating blocks the thread; more than this at once would be felt by other calls. */
const INFLATED_BYTES_MAX = 16 * 1024 * 1024;

/** A message gets this much memory when its header came; the rest only as its bytes arrive. */
const FIRST_BYTES_MAX = 512 * 1024;

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
  /** Made when a header arrives in pieces, or its message does: most calls never need it. */
  #header: Buffer | undefined;
  #headerFilled = 0;
  #body: Buffer | undefined;
  #bodyBytes = 0;
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
   * Takes the next bytes and hands each message they complete to `emit`. After a fault the reader
   * has lost its place and must not be fed again.
   * @throws FrameFault for unknown flags, a message above the limit, or one that cannot be
   *   inflated.
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
        at += this.#fillBody(this.#body, chunk, at);
      }
      this.#emitIfFull(emit);
    }
  }

  /** Bytes of the frame that begins at `at` if all of it is in the chunk, else 0. */
  #wholeMessage(chunk: Buffer, at: number): number {
    if (this.#headerFilled > 0 || chunk.length - at < FRAME_HEADER_BYTES) {
      return 0;
    }
    const whole = FRAME_HEADER_BYTES + this.#checkedLength(chunk, at);
    return chunk.length - at >= whole ? whole : 0;
  }

  #fillHeader(chunk: Buffer, at: number): number {
    this.#header ??= Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    const header = this.#header;
    const end = at + FRAME_HEADER_BYTES - this.#headerFilled;
    const taken = chunk.copy(header, this.#headerFilled, at, end);
    this.#headerFilled += taken;
    if (this.#headerFilled === FRAME_HEADER_BYTES) {
      this.#bodyBytes = this.#checkedLength(header, 0);
      this.#bodyFilled = 0;
      this.#body = Buffer.allocUnsafeSlow(Math.min(this.#bodyBytes, FIRST_BYTES_MAX));
    }
    return taken;
  }

  /** A header alone costs its sender nothing, so the memory grows with what was really sent. */
  #fillBody(body: Buffer, chunk: Buffer, at: number): number {
    let into = body;
    if (this.#bodyFilled === into.length) {
      into = Buffer.allocUnsafeSlow(Math.min(this.#bodyBytes, into.length * 4));
      body.copy(into, 0, 0, this.#bodyFilled);
      this.#body = into;
    }
    const taken = chunk.copy(into, this.#bodyFilled, at);
    this.#bodyFilled += taken;
    return taken;
  }

  #emitIfFull(emit: (message: Buffer) => void): void {
    const body = this.#body;
    if (body !== undefined && this.#bodyFilled === this.#bodyBytes) {
      this.#body = undefined;
      this.#headerFilled = 0;
      emit(this.#plain(this.#header![0]!, body));
    }
  }

  #checkedLength(header: Buffer, at: number): number {
    const flags = header[at]!;
    if (flags !== PLAIN && flags !== COMPRESSED) {
      throw new FrameFault(
        Code.INTERNAL,
        `A message begins with flags ${flags}; expected 0, or 1 if compressed. ` +
          "These bytes are not gRPC framing: a client or proxy damaged them.",
      );
    }
    const length = header.readUInt32BE(at + 1);
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
    if (flags === PLAIN) {
      return message;
    }
    const encoding = this.#encoding;
    const maxOutputLength = Math.min(this.#bytesMax, INFLATED_BYTES_MAX);
    try {
      switch (encoding) {
        case "gzip":
          return gunzipSync(message, { maxOutputLength });
        case "deflate":
          return inflateSync(message, { maxOutputLength });
      }
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE"
        ? new FrameFault(
            Code.RESOURCE_EXHAUSTED,
            `The message inflates to more than ${maxOutputLength} bytes, the most the server ` +
              "inflates. Send it without compression, or in smaller parts.",
          )
        : new FrameFault(Code.INVALID_ARGUMENT, `The message is not valid ${encoding}.`);
    }
    throw encoding === "identity"
      ? new FrameFault(
          Code.INTERNAL,
          "A message is flagged as compressed, but the call has no grpc-encoding header.",
        )
      : new FrameFault(
          Code.UNIMPLEMENTED,
          `Compression "${encoding}" is not supported; use gzip, deflate or identity.`,
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
  into[0] = PLAIN;
  into.writeUInt32BE(messageBytes, 1);
}
