// What the inference service offers over an engine, ready to be put behind a server.

import { type Clock, systemClock } from "../common/clock.ts";
import type { CallContext, ServiceBinding } from "../common/rpc/context.ts";
import type { Engine } from "./engine.ts";
import { openInferenceBinding } from "./open-inference.ts";
import { predictBinding } from "./predict.ts";

/** Requests that one stream has in flight at most. */
export const STREAM_REQUESTS_MAX = 256;
/** Bytes of them, so that a stream of large messages is bounded too. */
export const STREAM_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of all streams: what clients that do not read their answers can make the server hold. */
export const STREAMS_BYTES_MAX = 512 * 1024 * 1024;
/** Rows of one request; more belong in several, or one answer blocks the model for long. */
export const REQUEST_ROWS_MAX = 65_536;

export interface InferenceBindingOptions {
  /** Of this server, as ServerMetadata says it. */
  readonly serverVersion: string;
  readonly streamRequestsMax?: number;
  readonly streamBytesMax?: number;
  readonly streamsBytesMax?: number;
  readonly requestRowsMax?: number;
  readonly clock?: Clock;
  /**
   * Called with errors inside a stream that nobody foresaw, once each; the stream answers INTERNAL
   * and goes on. For the log.
   */
  readonly onUnforeseen: (error: unknown, context: CallContext) => void;
}

/** inference.GRPCInferenceService and plinth.inference.v1.InferenceService. */
export function inferenceBindings(
  engine: Engine,
  options: InferenceBindingOptions,
): ServiceBinding[] {
  const shared = {
    clock: options.clock ?? systemClock,
    onUnforeseen: options.onUnforeseen,
    streamWindow: {
      requestsMax: options.streamRequestsMax ?? STREAM_REQUESTS_MAX,
      bytesMax: options.streamBytesMax ?? STREAM_BYTES_MAX,
      shared: { bytes: 0, max: options.streamsBytesMax ?? STREAMS_BYTES_MAX },
    },
  };
  return [
    openInferenceBinding(engine, {
      ...shared,
      serverVersion: options.serverVersion,
      requestRowsMax: options.requestRowsMax ?? REQUEST_ROWS_MAX,
    }),
    predictBinding(engine, shared),
  ];
}
