// What the rpc layer tells of each call. Telemetry implements it; without one nothing is recorded.

import type { Context, Span } from "@opentelemetry/api";

export interface RpcObserver {
  /**
   * A call came in. The returned span and context are its server span; both are no-ops when not
   * sampled.
   */
  begin(
    path: string,
    header: (name: string) => string | undefined,
  ): {
    readonly span: Span;
    readonly trace: Context;
  };
  /** It ended with a google.rpc code after so many milliseconds; ends the span. */
  end(call: {
    readonly path: string;
    readonly span: Span;
    readonly code: number;
    readonly durationMs: number;
  }): void;
  /** A failure that no handler foresaw; to be logged with its cause. */
  unforeseen(path: string, error: unknown, trace: Context): void;
}
