// The receipts of one inference server: owns everything that was answered and is not in its log yet.
// A receipt is promised with the answer, so that nothing is dropped here: where too much waits, no
// more is run. What a crash of the process takes along is what was answered since the last batch
// was logged.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import type { Logger } from "../../common/telemetry/log.ts";
import { ByteBudget } from "../capture/byte-budget.ts";
import { HashThread } from "./hash-thread.ts";
import type { SendReceipts } from "./receipt-client.ts";
import { createReceiptMeter, type ReceiptMeter } from "./receipt-meter.ts";
import { ReceiptQueue } from "./receipt-queue.ts";
import { ReceiptSender } from "./receipt-sender.ts";
import type { ReceiptsConfig } from "./receipt-settings.ts";
import { type ReceiptIdentity, VersionReceipts } from "./version-receipts.ts";

const RETRY_AFTER_MS = 1_000;

export interface ReceiptsDeps {
  readonly send: SendReceipts;
  readonly config: ReceiptsConfig;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

/** Sends nothing before `start`. */
export class Receipts implements AsyncDisposable {
  readonly #deps: ReceiptsDeps;
  readonly #senderId = randomUUID();
  readonly #budget: ByteBudget;
  readonly #queue: ReceiptQueue;
  readonly #thread: HashThread;
  readonly #sender: ReceiptSender;
  readonly #meter: ReceiptMeter;
  readonly #versions = new Set<VersionReceipts>();
  #timer: NodeJS.Timeout | undefined;
  #lastSequence = 0;
  #stopping = false;

  constructor(deps: ReceiptsDeps) {
    const { config, send, log, random } = deps;
    this.#deps = deps;
    this.#budget = new ByteBudget(config.queueBytesMax);
    this.#queue = new ReceiptQueue(this.#budget);
    this.#meter = createReceiptMeter(() => this.#budget.used);
    this.#thread = new HashThread({
      budget: this.#budget,
      onBatch: (batch) => {
        this.#queue.push(batch);
        this.#sender.wake();
      },
      onLost: (receipts, error) => {
        for (const version of this.#versions) {
          version.lost();
        }
        this.#lost(receipts, error);
      },
    });
    this.#sender = new ReceiptSender({ queue: this.#queue, send, meter: this.#meter, log, random });
  }

  /** Memory of everything that is not logged. */
  get waitingBytes(): number {
    return this.#budget.used;
  }

  /** Begins to send. */
  start(): void {
    this.#timer = setInterval(() => this.#seal(), this.#deps.config.intervalMs);
    this.#timer.unref();
  }

  /** For a version that was loaded. Released with it. */
  version(identity: ReceiptIdentity): VersionReceipts {
    const version = new VersionReceipts({
      identity,
      senderId: this.#senderId,
      thread: this.#thread,
      nextSequence: () => {
        this.#lastSequence += 1;
        return this.#lastSequence;
      },
      refusal: () => this.#refusal(identity.deployment),
      onUnforeseen: (error) => this.#lost(1, error),
      onReleased: () => this.#versions.delete(version),
    });
    this.#versions.add(version);
    return version;
  }

  /**
   * The server stops, and its log may stop before it: from now on nothing that needs a receipt is
   * run, and what was is logged, if that is possible within the time for draining.
   * @param settled resolves when all that was begun before is answered
   */
  async handOver(settled: () => Promise<void>): Promise<void> {
    this.#stopping = true;
    const untilMs = performance.now() + this.#deps.config.drainMs;
    await within(untilMs - performance.now(), settled());
    await this.#flush(untilMs);
  }

  /** Logs what was answered, within the time for draining. Nothing is logged after it. */
  async drain(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping = true;
    await this.#flush(performance.now() + this.#deps.config.drainMs);
    const left = this.#queue.receipts + this.#thread.held;
    if (left > 0) {
      this.#lost(left, new Error("The log did not take them in time."));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sender[Symbol.asyncDispose]();
    await this.#thread[Symbol.asyncDispose]();
    this.#meter[Symbol.dispose]();
  }

  async #flush(untilMs: number): Promise<void> {
    this.#seal();
    await within(untilMs - performance.now(), this.#thread.idle());
    await this.#sender.flush(untilMs - performance.now());
  }

  #seal(): void {
    for (const version of this.#versions) {
      version.seal();
    }
  }

  #refusal(deployment: string): Error | undefined {
    if (this.#stopping) {
      return new Unavailable(
        `The server is stopping and gives no more receipts, which ${deployment} asks for. Retry, ` +
          "which reaches another server.",
        { reason: ErrorReason.DRAINING, retryAfterMs: RETRY_AFTER_MS },
      );
    }
    if (this.#budget.used < this.#budget.max) {
      return undefined;
    }
    return new ResourceExhausted(
      `${this.#budget.used} bytes of receipts wait for their log, which is away or too slow; ` +
        `${this.#budget.max} may (PLINTH_INFERENCE_RECEIPTS_QUEUE_MAX). ${deployment} gives a receipt ` +
        "for each inference, so none is run before they are logged. Retry later.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
    );
  }

  #lost(receipts: number, error: unknown): void {
    this.#meter.lost(receipts);
    this.#deps.log.error("Receipts of answered inferences are lost", { receipts, error });
  }
}

/** Resolves when the work is done or so many milliseconds are over. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
