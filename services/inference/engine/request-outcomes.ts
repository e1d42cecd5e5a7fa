// Ends requests: gives callers their answers and errors and counts each in meter, statistics and
// trace. Apart from the batcher, so that its file is about queues and instances only.

import type { Clock } from "../../common/clock.ts";
import type { VersionCapture } from "../capture/version-capture.ts";
import type { VersionReceipts } from "../receipts/version-receipts.ts";
import type { Signature } from "../tensor.ts";
import { type Batch, takeOutputs } from "./batch.ts";
import { traceBatch } from "./batch-spans.ts";
import type { PendingRequest } from "./pending-request.ts";
import type { DropReason, ServableMeter } from "./servable-meter.ts";
import type { Statistics } from "./statistics.ts";
import type { RunDone } from "./worker-messages.ts";

export interface RequestOutcomesOptions {
  readonly signature: Signature;
  readonly clock: Clock;
  readonly meter: ServableMeter;
  readonly statistics: Statistics;
  /** Absent: nothing is captured. */
  readonly capture: VersionCapture | undefined;
  /** Where answers get their receipts; undefined where they need none. */
  readonly receipts: () => VersionReceipts | undefined;
  /** Whether dimension 0 of the tensors counts rows. */
  readonly isBatched: () => boolean;
}

/** The outcomes of one servable's requests. */
export class RequestOutcomes {
  readonly #options: RequestOutcomesOptions;

  constructor(options: RequestOutcomesOptions) {
    this.#options = options;
  }

  /** The batch ran: each of its requests that still waits gets its part of the outputs. */
  answer(batch: Batch, reply: RunDone, finishedMs: number): void {
    const { clock, meter, statistics, signature, capture } = this.#options;
    meter.batchRan(batch.rows, reply.inferMs);
    statistics.ran({ rows: batch.rows, requests: batch.requests.length }, reply);
    const computeMs = reply.inputMs + reply.inferMs + reply.outputMs;
    const nowMs = clock.now();
    const epochOffsetMs = nowMs - finishedMs;
    const batched = this.#options.isBatched();
    const receipts = this.#options.receipts();
    let row = 0;
    for (const pending of batch.requests) {
      if (!pending.settled) {
        const totalMs = finishedMs - pending.enqueuedMs;
        const queueMs = Math.max(0, totalMs - computeMs);
        const outputs = takeOutputs(batch, pending, row, reply.outputs, signature);
        meter.requestSucceeded(totalMs, queueMs);
        statistics.succeeded(nowMs, totalMs, queueMs);
        const result = { outputs, queueMs, computeMs, batchRows: batch.rows };
        pending.resolve(result);
        if (receipts !== undefined && pending.request.shadow !== true) {
          receipts.record(pending.request, result, nowMs * 1000);
        }
        if (capture !== undefined) {
          const arrivedMs = epochOffsetMs + pending.enqueuedMs;
          capture.record(pending.request, result, { arrivedMs, batched });
        }
      }
      row += pending.rows;
    }
    this.trace(batch, finishedMs, reply);
  }

  /** A request that came too much: it was never queued. */
  refuse(reason: DropReason): void {
    this.#options.meter.requestDropped(reason);
  }

  /** A queued request that shall not reach the model. */
  drop(pending: PendingRequest, reason: DropReason, error: Error): void {
    const { clock, meter, statistics } = this.#options;
    meter.requestDropped(reason);
    statistics.failed(clock.now(), clock.monotonicMs() - pending.enqueuedMs);
    pending.reject(error);
  }

  /** Requests that reached an instance and got no answer from it. */
  fail(requests: readonly PendingRequest[], errorType: string, error: Error): void {
    const { clock, meter, statistics } = this.#options;
    for (const pending of requests) {
      if (!pending.settled) {
        const totalMs = clock.monotonicMs() - pending.enqueuedMs;
        meter.requestFailed(errorType, totalMs);
        statistics.failed(clock.now(), totalMs);
        pending.reject(error);
      }
    }
  }

  /** @param times undefined: the run failed. */
  trace(batch: Batch, finishedMs: number, times: RunDone | undefined): void {
    const { clock, meter } = this.#options;
    traceBatch({
      batch,
      attributes: meter.attributes,
      finishedMs,
      epochOffsetMs: clock.now() - clock.monotonicMs(),
      ...(times === undefined ? {} : { times }),
    });
  }
}
