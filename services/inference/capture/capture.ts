// What an inference server tells monitoring: owns everything that is captured and not yet
// acknowledged, and sends it about once a second. However slow monitoring is, it costs the answers
// nothing and the memory no more than its limit: what does not fit is dropped and counted.

import type { Logger } from "../../common/telemetry/log.ts";
import type { CaptureIdentity } from "./capture-buffer.ts";
import type { SendCaptured } from "./capture-client.ts";
import { type CaptureMeter, createCaptureMeter } from "./capture-meter.ts";
import { CaptureQueue } from "./capture-queue.ts";
import { CaptureSender } from "./capture-sender.ts";
import type { CaptureConfig } from "./capture-settings.ts";
import { VersionCapture } from "./version-capture.ts";

/** How long a server that stops waits for monitoring to take the last rows. */
const DRAIN_MS = 2_000;

/** An error that nobody foresaw is told about so often. */
const LOG_PAUSE_MS = 60_000;

export interface CaptureDeps {
  readonly send: SendCaptured;
  readonly config: CaptureConfig;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

interface Captured {
  readonly version: VersionCapture;
  /** Rows dropped that the metric has not been told of. */
  dropped: number;
}

/** The capture of one server. Sends nothing before `start`. */
export class Capture implements AsyncDisposable {
  readonly #deps: CaptureDeps;
  readonly #queue: CaptureQueue;
  readonly #sender: CaptureSender;
  readonly #meter: CaptureMeter;
  readonly #captured = new Set<Captured>();
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  #failureSaidMs = Number.NEGATIVE_INFINITY;

  constructor(deps: CaptureDeps) {
    const { config, send, log, random } = deps;
    this.#deps = deps;
    this.#queue = new CaptureQueue(config, () => this.#sender.wake());
    this.#meter = createCaptureMeter(() => this.#queue.budget.used);
    this.#sender = new CaptureSender({
      queue: this.#queue,
      send,
      meter: this.#meter,
      log,
      random,
      onSent: () => this.#turnIfDue(),
      onShut: () => {
        for (const { version } of this.#captured) {
          version.discard();
        }
      },
    });
  }

  /** Bytes that everything captured and not acknowledged takes. */
  get waitingBytes(): number {
    return this.#queue.budget.used;
  }

  /** Begins to send. */
  start(): void {
    this.#queue.pace.start();
    this.#timer = setInterval(() => this.#tick(), this.#deps.config.intervalMs);
    this.#timer.unref();
  }

  /** For a version that was loaded. Released with it. */
  version(identity: CaptureIdentity): VersionCapture {
    const captured: Captured = {
      dropped: 0,
      version: new VersionCapture({
        identity,
        queue: this.#queue,
        random: this.#deps.random,
        onDropped: (rows) => {
          captured.dropped += rows;
        },
        onUnforeseen: (error) => this.#unforeseen(error),
        onReleased: () => {
          this.#tellDropped(captured);
          this.#captured.delete(captured);
        },
      }),
    };
    this.#captured.add(captured);
    return captured.version;
  }

  /** Sends what is captured now, within two seconds; capturing goes on. */
  async handOver(): Promise<void> {
    this.#turn();
    await this.#sender.flush(DRAIN_MS);
  }

  /** Sends what is captured a last time, within two seconds. Nothing is sent after it. */
  async drain(): Promise<void> {
    clearInterval(this.#timer);
    this.#turn();
    await this.#sender.drain(DRAIN_MS);
    this.#tellAllDropped();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#queue.pace[Symbol.dispose]();
    await this.#sender[Symbol.asyncDispose]();
    this.#meter[Symbol.dispose]();
  }

  #tick(): void {
    this.#tellAllDropped();
    this.#isDue = true;
    if (this.#sender.idle) {
      this.#turnIfDue();
      this.#sender.wake();
    }
  }

  /** While streams fail, buffers go on growing: a few large batches cost less than many small ones. */
  #turnIfDue(): void {
    if (this.#isDue) {
      this.#turn();
    }
  }

  #turn(): void {
    this.#isDue = false;
    for (const { version } of this.#captured) {
      version.turn();
    }
  }

  #tellAllDropped(): void {
    for (const captured of this.#captured) {
      this.#tellDropped(captured);
    }
  }

  #tellDropped(captured: Captured): void {
    if (captured.dropped > 0) {
      const { deployment, servable } = captured.version.identity;
      const attributes = {
        "plinth.deployment": deployment,
        "plinth.model_version": servable.modelVersion,
      };
      this.#meter.dropped(captured.dropped, attributes);
      captured.dropped = 0;
    }
  }

  #unforeseen(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#failureSaidMs >= LOG_PAUSE_MS) {
      this.#failureSaidMs = nowMs;
      this.#deps.log.error("An inference could not be captured; its answer is not touched", {
        error,
      });
    }
  }
}
