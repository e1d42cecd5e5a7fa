// Brings batches of receipts to their log: one stream at a time with what waits. What was not
// acknowledged is sent again, the same bytes with the same sequence, until it is.

import { DomainError } from "../../common/errors/domain-error.ts";
import { pause } from "../../common/pause.ts";
import type { Logger } from "../../common/telemetry/log.ts";
import type { SendReceipts } from "./receipt-client.ts";
import type { ReceiptMeter } from "./receipt-meter.ts";
import type { ReceiptQueue } from "./receipt-queue.ts";

/** A log that has not answered by then is taken to be away. */
const STREAM_TIMEOUT_MS = 10_000;

/** Of one stream, so that a backlog is taken within that time. */
const STREAM_BYTES_MAX = 4 * 1024 * 1024;

/** Wait after a failure: doubles from the first to the last, with jitter. */
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;

/** What goes on failing is told so often. */
const LOG_PAUSE_MS = 60_000;

export interface ReceiptSenderOptions {
  readonly queue: ReceiptQueue;
  readonly send: SendReceipts;
  readonly meter: ReceiptMeter;
  readonly log: Logger;
  /** In [0, 1): jitter. */
  readonly random: () => number;
}

/** Owns the stream that is under way. */
export class ReceiptSender implements AsyncDisposable {
  readonly #options: ReceiptSenderOptions;
  readonly #stop = new AbortController();
  #busy: Promise<void> | undefined;
  #hurry = new AbortController();
  #failures = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReceiptSenderOptions) {
    this.#options = options;
  }

  /** Something waits: it is sent unless a stream is under way, which sends it then. */
  wake(): void {
    if (this.#busy === undefined && this.#options.queue.length > 0 && !this.#stop.signal.aborted) {
      this.#busy = this.#sendAll().finally(() => {
        this.#busy = undefined;
      });
    }
  }

  /** Resolves when nothing waits any more, or so many milliseconds are over. */
  async flush(withinMs: number): Promise<void> {
    const timeout = new AbortController();
    const isOver = pause(withinMs, timeout.signal);
    const { queue } = this.#options;
    this.#hurry.abort();
    this.wake();
    while (queue.length > 0 && this.#busy !== undefined && !timeout.signal.aborted) {
      const ended = await Promise.race([this.#busy, isOver.then(() => true)]);
      if (ended === true) break;
      this.wake();
    }
    timeout.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#busy;
  }

  async #sendAll(): Promise<void> {
    // Whoever woke it, an answer on its way out perhaps, does not wait for the call to be begun.
    await new Promise((resolve) => setImmediate(resolve));
    const { queue } = this.#options;
    const { signal } = this.#stop;
    while (queue.length > 0 && !signal.aborted) {
      try {
        await this.#sendHead();
      } catch (error) {
        const waitMs = this.#failed(error);
        this.#hurry = new AbortController();
        await pause(waitMs, AbortSignal.any([signal, this.#hurry.signal]));
      }
    }
  }

  async #sendHead(): Promise<void> {
    const { queue, send, meter, log } = this.#options;
    const batches = queue.head(STREAM_BYTES_MAX);
    const options = { timeoutMs: STREAM_TIMEOUT_MS, signal: this.#stop.signal };
    let logged = 0;
    const bytes = batches.map((batch) => batch.bytes);
    for await (const sequence of send(bytes, options)) {
      const batch = batches[logged];
      if (batch?.sequence !== sequence) {
        throw new Error(`The log answered batch ${sequence}; ${batch?.sequence} was to come.`);
      }
      logged += 1;
      queue.shift(1);
      meter.logged(batch.count);
      this.#failures = 0;
    }
    if (logged < batches.length) {
      throw new Error(`The log answered ${logged} of ${batches.length} batches.`);
    }
    if (this.#saidMs > Number.NEGATIVE_INFINITY) {
      this.#saidMs = Number.NEGATIVE_INFINITY;
      log.info("Receipts are logged again");
    }
  }

  /** How long to wait before the next attempt. */
  #failed(error: unknown): number {
    const { queue, meter, log, random } = this.#options;
    if (this.#stop.signal.aborted) {
      return 0;
    }
    meter.failed(error instanceof DomainError ? error.kind : "Internal");
    this.#failures += 1;
    const nowMs = performance.now();
    if (nowMs - this.#saidMs >= LOG_PAUSE_MS) {
      this.#saidMs = nowMs;
      log.warn("Receipts cannot be logged; they wait, then inferences are refused", {
        error,
        waiting: queue.receipts,
      });
    }
    const backoffMs = Math.min(BACKOFF_MS_MIN * 2 ** (this.#failures - 1), BACKOFF_MS_MAX);
    return backoffMs * (0.5 + random() / 2);
  }
}
