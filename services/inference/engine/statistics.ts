// Triton's statistics of one loaded version: cheap sums, written once a batch, read now and then.

import type { Duration, VersionStatistics } from "../engine.ts";

const NS_PER_MS = 1e6;

class Sum {
  count = 0;
  ms = 0;

  add(count: number, ms: number): void {
    this.count += count;
    this.ms += ms;
  }

  get duration(): Duration {
    return { count: this.count, ns: Math.round(this.ms * NS_PER_MS) };
  }
}

class ComputeSums {
  readonly input = new Sum();
  readonly infer = new Sum();
  readonly output = new Sum();

  add(count: number, part: BatchTimes): void {
    this.input.add(count, part.inputMs * count);
    this.infer.add(count, part.inferMs * count);
    this.output.add(count, part.outputMs * count);
  }
}

/** Milliseconds of one batch. */
export interface BatchTimes {
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

/** Distinct batch sizes kept apart; sizes past that are counted in the sums only. */
const BATCH_SIZES_MAX = 256;

/** Counts what one servable did since it was loaded. */
export class Statistics {
  #lastInferenceMs = 0;
  #inferenceCount = 0;
  #executionCount = 0;
  readonly #success = new Sum();
  readonly #fail = new Sum();
  readonly #queue = new Sum();
  readonly #compute = new ComputeSums();
  readonly #batches = new Map<number, ComputeSums>();

  /** One batch ran: its requests each spent the whole batch's time, as Triton counts it. */
  ran(batch: { readonly rows: number; readonly requests: number }, times: BatchTimes): void {
    this.#inferenceCount += batch.rows;
    this.#executionCount += 1;
    this.#compute.add(batch.requests, times);
    let sums = this.#batches.get(batch.rows);
    if (sums === undefined && this.#batches.size < BATCH_SIZES_MAX) {
      sums = new ComputeSums();
      this.#batches.set(batch.rows, sums);
    }
    sums?.add(1, times);
  }

  /** One request was answered. */
  succeeded(nowMs: number, totalMs: number, queueMs: number): void {
    this.#lastInferenceMs = nowMs;
    this.#success.add(1, totalMs);
    this.#queue.add(1, queueMs);
  }

  /** One request was queued and not answered. */
  failed(nowMs: number, totalMs: number): void {
    this.#lastInferenceMs = nowMs;
    this.#fail.add(1, totalMs);
  }

  read(): VersionStatistics {
    const batches = [...this.#batches].sort(([a], [b]) => a - b);
    return {
      lastInferenceMs: this.#lastInferenceMs,
      inferenceCount: this.#inferenceCount,
      executionCount: this.#executionCount,
      success: this.#success.duration,
      fail: this.#fail.duration,
      queue: this.#queue.duration,
      computeInput: this.#compute.input.duration,
      computeInfer: this.#compute.infer.duration,
      computeOutput: this.#compute.output.duration,
      batches: batches.map(([rows, sums]) => ({
        rows,
        computeInput: sums.input.duration,
        computeInfer: sums.infer.duration,
        computeOutput: sums.output.duration,
      })),
    };
  }
}
