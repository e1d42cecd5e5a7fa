// One gRPC call on a node:http2 stream: requests read no faster than they are taken, responses
// coalesced into as few DATA frames as the moment allows. This is the stream path that Plinth exists for; why it
// is not grpc-js stands in docs/adr/0002-grpc-server-on-http2.md.

import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import type { Status } from "../../../gen/google/rpc/status_pb.js";
import { statusBytes } from "../errors/status.ts";
import {
  FRAME_HEADER_BYTES,
  FrameFault,
  FrameReader,
  frame,
  percentEncode,
  timeoutMs,
  writeFrameHeader,
} from "./grpc-frame.ts";

const RESPONSE_HEADERS = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": "identity,deflate,gzip",
} as const;

const OK_TRAILERS = { "grpc-status": 0 } as const;

/** Received messages held for a handler before the stream stops reading. */
const HELD_MESSAGES_MAX = 64;
const HELD_BYTES_MAX = 1024 * 1024;

/** Answers of one turn of the event loop up to this size are copied into one frame. */
const COALESCED_BYTES_MAX = 64 * 1024;

/** Above this a message is not copied but written beside its header. */
const COPIED_BYTES_MAX = 16 * 1024;

/** How long a caller may go on sending after the server has answered. */
const LINGER_MS = 1000;

/** Node fires timers above this at once; a longer deadline is as good as none. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export class Http2Call {
  readonly path: string;
  /** Milliseconds since the epoch; infinite when the caller set none. */
  readonly deadlineMs: number;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #reader: FrameReader;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #halfClosed = false;
  #cancelled = false;
  #finished = false;
  #timer: NodeJS.Timeout | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #flushing = false;
  #readable: (() => void) | undefined;
  #writable: (() => void) | undefined;
  #onCancel: (() => void) | undefined;
  #fault: FrameFault | undefined;
  #trailers: Readonly<Record<string, string | number>> = OK_TRAILERS;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: { readonly bytesMax: number },
  ) {
    this.#stream = stream;
    this.#headers = headers;
    this.path = headers[":path"] as string;
    const timeout = timeoutMs(this.header("grpc-timeout"));
    this.deadlineMs = timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeout;
    this.#reader = new FrameReader({
      bytesMax: options.bytesMax,
      encoding: this.header("grpc-encoding"),
    });
    stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("end", () => this.#end());
    stream.on("close", () => this.#close());
    // What goes wrong on a stream also closes it; there is nobody left to tell.
    stream.on("error", ignore);
  }

  /** A request header by lower-case name; the first of several. */
  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === "string" ? value : value?.[0];
  }

  /** True once the caller is gone, before the call was finished. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Calls back once if the caller leaves before the call is finished. */
  onCancel(listener: () => void): void {
    this.#onCancel = listener;
  }

  /** Calls back when the time is up, unless the call is finished by then. */
  startTimer(atMs: number, expired: () => void): void {
    const leftMs = atMs - Date.now();
    if (leftMs < TIMER_MAX_MS) {
      this.#timer = setTimeout(expired, Math.max(0, leftMs));
    }
  }

  /** The next request message; null when none has arrived yet. */
  read(): Buffer | null {
    const message = this.#held.shift();
    if (message === undefined) {
      return null;
    }
    this.#heldBytes -= message.length;
    if (this.#stream.isPaused() && this.#held.length < HELD_MESSAGES_MAX / 2) {
      this.#stream.resume();
    }
    return message;
  }

  /** Whether no more requests will come. */
  get readEnded(): boolean {
    return this.#held.length === 0 && (this.#halfClosed || this.#cancelled);
  }

  /** Calls back, from now on, whenever reading is worth another try. */
  onReadable(listener: () => void): void {
    this.#readable = listener;
  }

  /** Queues a response; false when the caller does not keep up and `onWritable` should be awaited. */
  write(message: Uint8Array): boolean {
    if (this.#finished || this.#cancelled) {
      return true;
    }
    if (message.length > COPIED_BYTES_MAX) {
      const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      writeFrameHeader(header, message.length);
      const body = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
      this.#pending.push(header, body);
    } else {
      this.#pending.push(frame(message));
    }
    this.#pendingBytes += FRAME_HEADER_BYTES + message.length;
    if (!this.#flushing) {
      this.#flushing = true;
      // After everything this turn of the loop produced, so that it leaves in one piece.
      setImmediate(() => this.#flush());
    }
    return !this.#congested();
  }

  /** Calls back once when the caller has taken enough for more to be written, or is gone. */
  onWritable(listener: () => void): void {
    if (this.#cancelled || this.#finished || !this.#congested()) {
      setImmediate(listener);
    } else {
      this.#writable = listener;
    }
  }

  /** The one answer of a unary call, and its end. */
  finishWith(message: Uint8Array): void {
    if (this.#beginFinish()) {
      this.#respond({});
      this.#stream.end(frame(message));
    }
  }

  /** Ends the call after what was written. */
  finish(status: Status | undefined): void {
    if (!this.#beginFinish()) {
      return;
    }
    const trailers = status === undefined ? OK_TRAILERS : statusTrailers(status);
    if (!this.#stream.headersSent && this.#pending.length === 0 && status !== undefined) {
      this.#stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true });
    } else {
      this.#respond(trailers);
      this.#flush();
      this.#stream.end();
    }
    if (!this.#halfClosed) {
      this.#stopReading();
    }
  }

  /** Ends the stream at once, without a status. */
  destroy(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #beginFinish(): boolean {
    if (this.#finished || this.#cancelled) {
      return false;
    }
    this.#finished = true;
    clearTimeout(this.#timer);
    return true;
  }

  #respond(trailers: Readonly<Record<string, string | number>>): void {
    this.#trailers = Object.keys(trailers).length === 0 ? OK_TRAILERS : trailers;
    if (!this.#stream.headersSent) {
      this.#stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
      this.#stream.once("wantTrailers", () => this.#stream.sendTrailers({ ...this.#trailers }));
    }
  }

  /**
   * The caller may still be sending when the server has finished. What comes is discarded; a caller
   * that goes on is cut off once the answer had time to arrive.
   */
  #stopReading(): void {
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#stream.resume();
    const timer = setTimeout(() => {
      if (!this.#stream.closed) {
        this.#stream.close(constants.NGHTTP2_NO_ERROR);
      }
    }, LINGER_MS);
    timer.unref();
  }

  #receive(chunk: Buffer): void {
    if (this.#finished) {
      return;
    }
    try {
      this.#reader.feed(chunk, (message) => {
        this.#held.push(message);
        this.#heldBytes += message.length;
      });
    } catch (error) {
      if (!(error instanceof FrameFault)) {
        throw error;
      }
      this.#fault = error;
      this.#halfClosed = true;
    }
    if (this.#held.length >= HELD_MESSAGES_MAX || this.#heldBytes >= HELD_BYTES_MAX) {
      this.#stream.pause();
    }
    this.#readable?.();
  }

  /** What was wrong with the bytes received, if anything; nothing more is read then. */
  get fault(): FrameFault | undefined {
    return this.#fault;
  }

  #end(): void {
    if (!this.#reader.atBoundary && this.#fault === undefined) {
      this.#fault = new FrameFault(
        Code.INVALID_ARGUMENT,
        "The stream ended in the middle of a message. The client or a proxy cut it short.",
      );
    }
    this.#halfClosed = true;
    this.#readable?.();
  }

  #close(): void {
    clearTimeout(this.#timer);
    if (!this.#finished) {
      this.#cancelled = true;
      this.#held.length = 0;
      this.#pending = [];
      this.#onCancel?.();
    }
    this.#readable?.();
    this.#wakeWriter();
  }

  #congested(): boolean {
    return (
      this.#stream.writableNeedDrain ||
      this.#pendingBytes + this.#stream.writableLength > COALESCED_BYTES_MAX
    );
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#pending.length === 0 || this.#cancelled || this.#stream.destroyed) {
      return;
    }
    const buffers = this.#pending;
    const bytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#respond(this.#trailers);
    if (bytes <= COALESCED_BYTES_MAX) {
      const whole = buffers.length === 1 ? buffers[0]! : Buffer.concat(buffers, bytes);
      this.#stream.write(whole, this.#written);
      return;
    }
    this.#stream.cork();
    for (const [index, buffer] of buffers.entries()) {
      this.#stream.write(buffer, index === buffers.length - 1 ? this.#written : undefined);
    }
    this.#stream.uncork();
  }

  readonly #written = (): void => this.#wakeWriter();

  #wakeWriter(): void {
    const wake = this.#writable;
    if (wake !== undefined && (this.#cancelled || this.#finished || !this.#congested())) {
      this.#writable = undefined;
      wake();
    }
  }
}

function statusTrailers(status: Status): Record<string, string | number> {
  const trailers: Record<string, string | number> = {
    "grpc-status": status.code,
    "grpc-message": percentEncode(status.message),
  };
  if (status.details.length > 0) {
    trailers["grpc-status-details-bin"] = Buffer.from(statusBytes(status))
      .toString("base64")
      .replace(/=+$/, "");
  }
  return trailers;
}

function ignore(): void {}
