// The two directions of a stream on the server: requests as an AsyncIterable that pulls no faster
// than it is read, responses written no faster than the client takes them.

import { setImmediate } from "node:timers/promises";
import type { FrameFault } from "./grpc-frame.ts";
import type { Http2Call } from "./http2-call.ts";
import { Undecodable, type WireCodec } from "./message-codec.ts";
import type { ServerContext } from "./server-context.ts";

export interface RequestOptions {
  readonly codec: WireCodec;
  /** Whether a message that cannot be decoded ends the call or is handed to the handler. */
  readonly rejectUndecodable: boolean;
}

/**
 * The requests of a stream, ending at half-close. Throws the signal's reason once the call is over
 * and FrameFault when the bytes received are no messages.
 */
export function requestsOf(
  call: Http2Call,
  context: ServerContext,
  options: RequestOptions,
): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => new RequestReader(call, context.signal, options) };
}

class RequestReader implements AsyncIterator<unknown> {
  readonly #call: Http2Call;
  readonly #signal: AbortSignal;
  readonly #options: RequestOptions;
  #wake: (() => void) | undefined;

  constructor(call: Http2Call, signal: AbortSignal, options: RequestOptions) {
    this.#call = call;
    this.#signal = signal;
    this.#options = options;
    const wake = (): void => {
      this.#wake?.();
    };
    call.onReadable(wake);
    signal.addEventListener("abort", wake, { once: true });
  }

  async next(): Promise<IteratorResult<unknown>> {
    while (true) {
      this.#signal.throwIfAborted();
      const bytes = this.#call.read();
      if (bytes !== null) {
        return { value: this.#decode(bytes), done: false };
      }
      if (this.#call.fault !== undefined) {
        throw this.#call.fault satisfies FrameFault;
      }
      if (this.#call.readEnded) {
        // A client on node:http2 that cancels half-closes a moment before it resets the stream;
        // what it sent was not all, and must not be taken for it.
        await setImmediate();
        this.#signal.throwIfAborted();
        return { value: undefined, done: true };
      }
      await this.#change();
    }
  }

  /** Two may wait at once: nothing forbids a reader to ask ahead. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const other = this.#wake;
      this.#wake = () => {
        this.#wake = undefined;
        other?.();
        resolve();
      };
    });
  }

  async return(): Promise<IteratorResult<unknown>> {
    return { value: undefined, done: true };
  }

  #decode(bytes: Buffer): unknown {
    const message = this.#options.codec.decode(bytes);
    if (message instanceof Undecodable && this.#options.rejectUndecodable) {
      throw message.error;
    }
    return message;
  }
}

/**
 * Writes what the handler yields; resolves when it is done, rejects when it throws or the call
 * ends.
 */
export async function writeAll(
  produce: () => AsyncIterable<unknown>,
  call: Http2Call,
  options: { readonly signal: AbortSignal; readonly encode: (message: unknown) => Buffer },
): Promise<void> {
  const { encode, signal } = options;
  for await (const response of produce()) {
    signal.throwIfAborted();
    if (!call.write(encode(response))) {
      await writable(call, signal);
      signal.throwIfAborted();
    }
  }
}

/** Resolves when more may be written or the call is over. */
function writable(call: Http2Call, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    call.onWritable(done);
  });
}
