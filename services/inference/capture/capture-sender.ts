// Brings sealed batches to monitoring: one stream at a time with what waits. A stream that was not
// acknowledged is sent again, the same batches with the same sequences, later and later. Nobody
// waits for it.

import { randomUUID } from "node:crypto";
import type { CaptureInferencesResponse } from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { DomainError } from "../../common/errors/domain-error.ts";
import { pause } from "../../common/pause.ts";
import type { Logger } from "../../common/telemetry/log.ts";
import type { SendCaptured } from "./capture-client.ts";
import type { CaptureMeter } from "./capture-meter.ts";
import type { CaptureQueue, SealedBatch } from "./capture-queue.ts";

/** Monitoring that has not answered by then is taken to be away. */
const STREAM_TIMEOUT_MS = 10_000;

/** Of one stream, so that a backlog is taken within that time. */
const STREAM_BYTES_MAX = 4 * 1024 * 1024;

/** Wait after a failure: doubles from the first to the last, with jitter. */
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 10_000;

/** Where no monitoring service is served, it will not be there in a moment. */
const UNIMPLEMENTED_WAIT_MS = 60_000;

/** What goes on failing is told so often. */
const LOG_PAUSE_MS = 60_000;

export interface CaptureSenderOptions {
  readonly queue: CaptureQueue;
  readonly send: SendCaptured;
  readonly meter: CaptureMeter;
  readonly log: Logger;
  /** In [0, 1): jitter. */
  readonly random: () => number;
  /** A stream was acknowledged. */
  readonly onSent: () => void;
  /** Nobody is there to take anything: nothing more is taken until it is tried again. */
  readonly onShut: () => void;
}

/** One life of one sender: its sequences are its own. */
export class CaptureSender implements AsyncDisposable {
  readonly #options: CaptureSenderOptions;
  readonly #sender = randomUUID();
  readonly #stop = new AbortController();
  readonly #draining = new AbortController();
  #busy: Promise<void> | undefined;
  #failures = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(options: CaptureSenderOptions) {
    this.#options = options;
  }

  /** Whether no stream is under way and none waits to be tried again. */
  get idle(): boolean {
    return this.#busy === undefined;
  }

  /** Something waits: it is sent unless a stream is under way, which sends it then. */
  wake(): void {
    if (this.#busy === undefined && this.#options.queue.length > 0 && !this.#stop.signal.aborted) {
      this.#busy = this.#sendAll().finally(() => {
        this.#busy = undefined;
      });
    }
  }

  /** Resolves when what waits is sent, or has failed to be, or so many milliseconds are over. */
  async flush(withinMs: number): Promise<void> {
    this.wake();
    const timeout = new AbortController();
    await Promise.race([this.#busy, pause(withinMs, timeout.signal)]);
    timeout.abort();
  }

  /** Sends what waits, once, within so many milliseconds; then nothing is sent any more. */
  async drain(withinMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(), withinMs);
    const waited = this.#busy;
    this.#draining.abort();
    await waited;
    this.wake();
    await this.#busy;
    clearTimeout(timer);
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining.abort();
    this.#stop.abort();
    await this.#busy;
  }

  async #sendAll(): Promise<void> {
    // Whoever woke it, an answer on its way out perhaps, does not wait for the call to be begun.
    await new Promise((resolve) => setImmediate(resolve));
    const { queue, send, onSent } = this.#options;
    while (queue.length > 0 && !this.#stop.signal.aborted) {
      // After a failure one batch finds out whether monitoring is back: what waits is not copied
      // into a connection that takes nothing, again and again.
      const batches = queue.head(this.#failures > 0 ? 0 : STREAM_BYTES_MAX);
      const start = { sender: this.#sender, acknowledgedSequence: queue.acknowledged };
      try {
        const options = { timeoutMs: STREAM_TIMEOUT_MS, signal: this.#stop.signal };
        const bytes = batches.map((batch) => batch.bytes);
        this.#taken(batches, await send(start, bytes, options));
        onSent();
      } catch (error) {
        const waitMs = this.#failed(batches, error);
        if (this.#draining.signal.aborted) {
          return;
        }
        await pause(waitMs, this.#draining.signal);
        queue.isShut = false;
        if (this.#draining.signal.aborted) {
          return;
        }
      }
    }
  }

  #taken(batches: readonly SealedBatch[], response: CaptureInferencesResponse): void {
    const { queue, meter, log } = this.#options;
    queue.remove(batches);
    if (this.#failures > 0) {
      this.#failures = 0;
      this.#saidMs = Number.NEGATIVE_INFINITY;
      log.info("Captured inferences are sent again");
    }
    const refused = Number(response.refusedRows);
    const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
    meter.sent(Math.max(0, rows - refused));
    if (refused > 0) {
      meter.refused(refused);
      const reason = response.refusals[0]?.reason ?? "";
      this.#say(() => log.warn("Monitoring refused captured rows", { rows: refused, reason }));
    }
  }

  /** How long to wait before the next attempt. */
  #failed(batches: readonly SealedBatch[], error: unknown): number {
    const { queue, meter, log, random, onShut } = this.#options;
    if (this.#stop.signal.aborted) {
      return 0;
    }
    const kind = error instanceof DomainError ? error.kind : "Internal";
    meter.failed(kind);
    this.#failures += 1;
    const backoffMs = Math.min(BACKOFF_MS_MIN * 2 ** (this.#failures - 1), BACKOFF_MS_MAX);
    const jitter = 0.5 + random() / 2;
    switch (kind) {
      case "Unimplemented":
        this.#say(() =>
          log.warn(
            "No monitoring service is served at PLINTH_MONITORING_ADDRESS; nothing is captured",
          ),
        );
        queue.isShut = true;
        queue.discard(() => true);
        onShut();
        return UNIMPLEMENTED_WAIT_MS * jitter;
      case "InvalidArgument":
        // The same bytes would be refused again, and what waits behind them never be sent.
        this.#say(() => log.error("Monitoring refused a stream of captured rows", { error }));
        meter.refused(batches.reduce((sum, batch) => sum + batch.rows, 0));
        queue.remove(batches);
        return backoffMs * jitter;
      default:
        this.#say(() =>
          log.warn("Captured inferences cannot be sent; they wait, then are dropped", { error }),
        );
        return backoffMs * jitter;
    }
  }

  #say(text: () => void): void {
    const nowMs = performance.now();
    if (nowMs - this.#saidMs >= LOG_PAUSE_MS) {
      this.#saidMs = nowMs;
      text();
    }
  }
}
