// One gRPC call on a node:http2 stream: requests read no faster than they are taken, one answer or
// many, and an end that holds whatever the caller does meanwhile. This is the stream path that
// Plinth exists for; why it is not grpc-js stands in docs/adr/0002-grpc-server-on-http2.md.

import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import type { Status } from "../../../gen/google/rpc/status_pb.js";
import { AnswerWriter, COPIED_BYTES_MAX } from "./answer-writer.ts";
import { FrameFault, FrameReader, frame } from "./grpc-frame.ts";
import { statusTrailers, timeoutMs } from "./grpc-metadata.ts";

const RESPONSE_HEADERS = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": "identity,deflate,gzip",
} as const;

const WITH_TRAILERS = { waitForTrailers: true, sendDate: false } as const;

const OK_TRAILERS = { "grpc-status": "0" } as const;

/** Received messages held for a handler before the stream stops reading. */
const HELD_MESSAGES_MAX = 64;
const HELD_BYTES_MAX = 1024 * 1024;

/** How long a caller may go on sending after the whole answer was sent. */
const LINGER_MS = 1000;

/** A finished answer of which the caller takes nothing for this long is given up. */
const STALLED_MS = 60_000;

/** Node fires timers above this at once; a longer deadline is as good as none. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export class Http2Call {
  readonly path: string;
  /** Milliseconds since the epoch; infinite when the caller set none, NaN when it is malformed. */
  readonly deadlineMs: number;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #reader: FrameReader;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #paused = false;
  #hearsAbort = false;
  #halfClosed = false;
  #cancelled = false;
  #finished = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #progressSeen = -1;
  #writer: AnswerWriter | undefined;
  #readable: (() => void) | undefined;
  #onCancel: (() => void) | undefined;
  #onExpired: (() => void) | undefined;
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

  /** True once the call was finished or the caller is gone: nothing more is read or written. */
  get over(): boolean {
    return this.#finished || this.#cancelled;
  }

  /** Calls back once if the caller leaves before the call is finished. */
  onCancel(listener: () => void): void {
    this.#onCancel = listener;
  }

  /** Calls back when the time is up, unless the call is finished by then. */
  startTimer(atMs: number, expired: () => void): void {
    this.#onExpired = expired;
    this.#setTimer(Math.max(0, atMs - Date.now()));
  }

  /** The next request message; null when none has arrived yet. */
  read(): Buffer | null {
    const message = this.#held.shift();
    if (message === undefined) {
      return null;
    }
    this.#heldBytes -= message.length;
    if (
      this.#paused &&
      this.#held.length < HELD_MESSAGES_MAX / 2 &&
      this.#heldBytes < HELD_BYTES_MAX / 2
    ) {
      this.#resume();
    }
    return message;
  }

  /** Whether no more requests will come. */
  get readEnded(): boolean {
    return this.#held.length === 0 && (this.#halfClosed || this.over || this.#fault !== undefined);
  }

  /** What was wrong with the bytes received, if anything; nothing more is read then. */
  get fault(): FrameFault | undefined {
    return this.#fault;
  }

  /** Calls back, from now on, whenever reading is worth another try. */
  onReadable(listener: () => void): void {
    this.#readable = listener;
  }

  /**
   * Queues a response; false when the caller does not keep up and `onWritable` should be awaited.
   */
  write(message: Uint8Array): boolean {
    if (this.over || this.#gone()) {
      return true;
    }
    this.#respond();
    this.#writer ??= new AnswerWriter(this.#stream);
    return this.#writer.write(message);
  }

  /** Calls back once when the caller has taken enough for more to be written, or is gone. */
  onWritable(listener: () => void): void {
    if (this.over || this.#writer === undefined) {
      setImmediate(listener);
    } else {
      this.#writer.onWritable(listener);
    }
  }

  /** The one answer of a call, and its end. */
  finishWith(message: Uint8Array): void {
    if (message.length > COPIED_BYTES_MAX) {
      this.write(message);
      this.finish(undefined);
    } else if (this.#beginFinish()) {
      this.#respond();
      this.#stream.end(frame(message));
      this.#awaitDelivery();
    }
  }

  /** Ends the call after what was written. */
  finish(status: Status | undefined): void {
    if (!this.#beginFinish()) {
      return;
    }
    this.#trailers = status === undefined ? OK_TRAILERS : statusTrailers(status);
    if (this.#writer !== undefined) {
      this.#writer.end();
    } else if (status === undefined) {
      this.#respond();
      this.#stream.end();
    } else {
      this.#stream.respond({ ...RESPONSE_HEADERS, ...this.#trailers }, { endStream: true });
    }
    this.#awaitDelivery();
  }

  #beginFinish(): boolean {
    if (this.over || this.#gone()) {
      return false;
    }
    this.#finished = true;
    return true;
  }

  /**
   * Between a reset and the event that tells of it, node:http2 throws at whoever uses the stream.
   */
  #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #respond(): void {
    if (!this.#stream.headersSent) {
      this.#stream.respond(RESPONSE_HEADERS, WITH_TRAILERS);
      this.#stream.on("wantTrailers", () => {
        if (!this.#gone()) {
          this.#stream.sendTrailers(this.#trailers);
        }
      });
    }
  }

  /** What a caller still sends is discarded, and one that neither takes nor ends is cut off. */
  #awaitDelivery(): void {
    if (!this.#halfClosed) {
      this.#held.length = 0;
      this.#heldBytes = 0;
      this.#resume();
      this.#setTimer(LINGER_MS);
    } else if (this.#timerAtMs - Date.now() > STALLED_MS) {
      this.#setTimer(STALLED_MS);
    }
  }

  #setTimer(afterMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAtMs = Date.now() + afterMs;
    if (afterMs < TIMER_MAX_MS) {
      this.#timer = setTimeout(() => this.#expire(), afterMs);
    }
  }

  #pause(): void {
    this.#paused = true;
    this.#stream.pause();
    if (!this.#hearsAbort) {
      // A paused stream closes only once it was read to its end; that the caller left shows at
      // once.
      this.#hearsAbort = true;
      this.#stream.on("aborted", () => this.#leave());
    }
  }

  #resume(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#stream.resume();
    }
  }

  #expire(): void {
    if (!this.#finished) {
      this.#onExpired?.();
      return;
    }
    const progress = this.#writer?.progress ?? 0;
    if (this.#stream.writableFinished) {
      this.#stream.close(constants.NGHTTP2_NO_ERROR);
    } else if (progress === this.#progressSeen) {
      this.#stream.close(constants.NGHTTP2_CANCEL);
    } else {
      this.#progressSeen = progress;
      this.#setTimer(STALLED_MS);
    }
  }

  #receive(chunk: Buffer): void {
    if (this.over || this.#fault !== undefined) {
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
    }
    if (this.#held.length >= HELD_MESSAGES_MAX || this.#heldBytes >= HELD_BYTES_MAX) {
      this.#pause();
    }
    this.#readable?.();
  }

  #end(): void {
    // A reset ends the stream too; that is no half-close, and "aborted" has told of it.
    if (this.over) {
      this.#halfClosed = true;
      return;
    }
    if (!this.#reader.atBoundary) {
      this.#fault ??= new FrameFault(
        Code.INVALID_ARGUMENT,
        "The stream ended in the middle of a message. The client or a proxy cut it short.",
      );
    }
    this.#halfClosed = true;
    this.#readable?.();
  }

  /** The caller is gone, or the stream is done with. */
  #leave(): void {
    if (!this.over) {
      this.#cancelled = true;
      clearTimeout(this.#timer);
      this.#held.length = 0;
      this.#heldBytes = 0;
      this.#resume();
      this.#onCancel?.();
      this.#readable?.();
    }
    this.#writer?.abandon();
  }

  #close(): void {
    this.#leave();
    clearTimeout(this.#timer);
  }
}

function ignore(): void {}
