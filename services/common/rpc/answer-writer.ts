// The sending side of a streaming or large answer: what one turn of the event loop produced leaves
// as one DATA frame, and node:http2 is given no more than the connection takes. It counts what it
// was given against the connection's memory and, above that, refuses new calls.

import type { ServerHttp2Stream } from "node:http2";
import { FRAME_HEADER_BYTES, frame, writeFrameHeader } from "./grpc-frame.ts";

/** Above this much waiting, the handler should pause. */
const WAITING_BYTES_MAX = 64 * 1024;

/** Above this a message is not copied but written beside its header. */
export const COPIED_BYTES_MAX = 16 * 1024;

/** What node:http2 is given at once of messages too large to be copied. */
const SLICE_BYTES = 256 * 1024;

export class AnswerWriter {
  readonly #stream: ServerHttp2Stream;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #givenBytes = 0;
  #scheduled = false;
  #ending = false;
  #abandoned = false;
  #writable: (() => void) | undefined;

  /** Counts up whenever the caller's side has taken something. */
  progress = 0;

  /** For a stream whose response headers are sent. */
  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  /**
   * Queues a message; false when the caller does not keep up and `onWritable` should be awaited.
   */
  write(message: Uint8Array): boolean {
    if (message.length > COPIED_BYTES_MAX) {
      const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      writeFrameHeader(header, message.length);
      this.#queue.push(header);
      this.#pushSlices(Buffer.from(message.buffer, message.byteOffset, message.byteLength));
    } else {
      this.#queue.push(frame(message));
    }
    this.#queuedBytes += FRAME_HEADER_BYTES + message.length;
    if (!this.#scheduled && this.#givenBytes === 0) {
      this.#scheduled = true;
      // After everything this turn of the loop produced, so that it leaves in one piece.
      setImmediate(() => this.#flush());
    }
    return !this.#congested;
  }

  /** Calls back once when more may be written, or nothing more ever will be taken. */
  onWritable(listener: () => void): void {
    if (this.#abandoned || !this.#congested) {
      setImmediate(listener);
    } else {
      this.#writable = listener;
    }
  }

  /** Sends what is queued, then ends the stream. */
  end(): void {
    this.#ending = true;
    this.#flush();
  }

  /** Forgets what is queued: nobody is there to take it. */
  abandon(): void {
    this.#abandoned = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#wake();
  }

  get #congested(): boolean {
    return this.#queuedBytes + this.#givenBytes > WAITING_BYTES_MAX;
  }

  #pushSlices(body: Buffer): void {
    for (let at = 0; at < body.length; at += SLICE_BYTES) {
      this.#queue.push(body.subarray(at, at + SLICE_BYTES));
    }
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#abandoned || this.#givenBytes > 0 || this.#stream.closed) {
      return;
    }
    if (this.#queue.length > 0) {
      this.#give();
    }
    if (this.#ending && this.#queue.length === 0) {
      this.#stream.end();
    }
  }

  /** Hands node:http2 the next part of the queue: all of it, or a slice's worth. */
  #give(): void {
    let parts = this.#queue;
    this.#givenBytes = this.#queuedBytes;
    if (this.#queuedBytes > SLICE_BYTES) {
      let count = 0;
      this.#givenBytes = 0;
      while (count === 0 || (count < parts.length && this.#givenBytes < SLICE_BYTES)) {
        this.#givenBytes += parts[count]!.length;
        count += 1;
      }
      this.#queue = parts.splice(count);
    } else {
      this.#queue = [];
    }
    this.#queuedBytes -= this.#givenBytes;
    if (this.#givenBytes <= WAITING_BYTES_MAX && parts.length > 1) {
      parts = [Buffer.concat(parts, this.#givenBytes)];
    }
    const last = parts.pop()!;
    if (parts.length === 0) {
      this.#stream.write(last, this.#taken);
      return;
    }
    this.#stream.cork();
    for (const part of parts) {
      this.#stream.write(part);
    }
    this.#stream.write(last, this.#taken);
    this.#stream.uncork();
  }

  readonly #taken = (): void => {
    this.#givenBytes = 0;
    this.progress += 1;
    this.#flush();
    this.#wake();
  };

  #wake(): void {
    const wake = this.#writable;
    if (wake !== undefined && (this.#abandoned || !this.#congested)) {
      this.#writable = undefined;
      wake();
    }
  }
}
