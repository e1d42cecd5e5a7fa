// Brings the requests of one servable to its instances. An idle instance is given what is queued at
// the end of the current turn of the event loop; what comes while all are busy makes the next
// batch. There is no timer a request, no closure a request and one message a batch.

import type { Clock } from "../../common/clock.ts";
import type { InferRequest, InferResult } from "../engine.ts";
import type { Signature } from "../tensor.ts";
import { type Batch, dividesByRow, formBatch } from "./batch.ts";
import type { Instance, InstanceObserver } from "./instance.ts";
import { batchKeyOf, type PendingOwner, PendingRequest } from "./pending-request.ts";
import { RequestQueue } from "./queue.ts";
import * as errors from "./request-errors.ts";
import type { RequestOutcomes } from "./request-outcomes.ts";
import type { DropReason } from "./servable-meter.ts";
import type { RunDone } from "./worker-messages.ts";

/** Between two sweeps of a full queue. */
const SWEEP_PAUSE_MS = 10;

/** How requests are put together; may change while requests wait. */
export interface BatchingSettings {
  readonly maxBatchRows: number;
  /** How long an idle instance may wait for more rows; below a millisecond counts as one. */
  readonly maxQueueDelayMs: number;
  readonly maxQueueRequests: number;
}

export interface BatcherOptions {
  /** For messages and spans: `workspaces/w/models/m/versions/3`. */
  readonly modelVersion: string;
  readonly signature: Signature;
  /** Whether requests may share a run at all. */
  readonly batched: boolean;
  readonly settings: BatchingSettings;
  /** Most bytes of inputs that may wait. */
  readonly maxQueueBytes: number;
  readonly clock: Clock;
  readonly outcomes: RequestOutcomes;
  /** A run did not divide its outputs by row though the signature promised it. */
  readonly onIndivisible: () => void;
  /** An instance is gone; what it ran has been answered. */
  readonly onLost: (instance: Instance) => void;
}

/** Owns the queue of one servable and feeds the instances attached to it. */
export class Batcher implements InstanceObserver, PendingOwner {
  readonly #options: BatcherOptions;
  readonly #queue = new RequestQueue<PendingRequest>();
  readonly #instances = new Set<Instance>();
  readonly #openShapes: boolean;
  readonly #idleWaiters: (() => void)[] = [];
  #settings: BatchingSettings;
  #batched: boolean;
  #running = 0;
  #dispatchScheduled = false;
  #sweepAgainMs = 0;
  #delayTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#batched = options.batched;
    this.#openShapes = options.signature.inputs.some(
      (input) => input.anyRank === true || input.shape.indexOf(-1, 1) > 0,
    );
  }

  /** Requests waiting. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Requests given to an instance. */
  get running(): number {
    return this.#running;
  }

  configure(settings: BatchingSettings): void {
    this.#settings = settings;
    this.#scheduleDispatch();
  }

  attach(instance: Instance): void {
    this.#instances.add(instance);
    this.#scheduleDispatch();
  }

  /**
   * Queues a request.
   * @throws what Engine.infer throws.
   */
  submit(request: InferRequest): Promise<InferResult> {
    return new Promise((resolve, reject) => {
      const { clock, modelVersion, outcomes } = this.#options;
      const placement = {
        batchKey: this.#openShapes ? batchKeyOf(request) : "",
        alone: !this.#batched,
        enqueuedMs: clock.monotonicMs(),
      };
      const refusal = this.#refusal(request);
      if (refusal !== undefined) {
        outcomes.refuse(refusal.reason);
        reject(refusal.error());
        return;
      }
      const pending = new PendingRequest(request, placement, this, resolve, reject);
      const { maxQueueBytes } = this.#options;
      if (this.#queue.length > 0 && this.#queue.bytes + pending.bytes > maxQueueBytes) {
        outcomes.refuse("overloaded");
        pending.reject(errors.queueFull(modelVersion, `${maxQueueBytes} bytes of inputs wait`));
        return;
      }
      this.#queue.push(pending);
      this.#scheduleDispatch();
    });
  }

  /** Drops what has expired; to be called now and then, and before the queue is called full. */
  sweep(): void {
    const expired: PendingRequest[] = [];
    this.#queue.sweep(this.#options.clock.now(), expired);
    this.#dropExpired(expired);
    this.#checkIdle();
  }

  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#checkIdle();
    });
  }

  /** Answers what still waits with Unavailable and takes nothing more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#delayTimer);
    for (const pending of this.#queue.clear()) {
      this.#options.outcomes.drop(pending, "stopped", errors.stopped(this.#options.modelVersion));
    }
    this.#checkIdle();
  }

  /** Answers what waits with this error and goes on. */
  refuseQueued(error: Error): void {
    for (const pending of this.#queue.clear()) {
      this.#options.outcomes.drop(pending, "stopped", error);
    }
    this.#checkIdle();
  }

  abandoned(pending: PendingRequest): void {
    const error = errors.abandoned(pending.request);
    if (this.#queue.remove(pending)) {
      this.#options.outcomes.drop(pending, "cancelled", error);
      this.#checkIdle();
    } else {
      // It runs: that cannot be undone, but nobody waits for it any more.
      this.#options.outcomes.fail([pending], "cancelled", error);
    }
  }

  done(_instance: Instance, batch: Batch, reply: RunDone): void {
    this.#running -= batch.requests.length;
    const finishedMs = this.#options.clock.monotonicMs();
    if (batch.requests.length > 1 && !dividesByRow(batch, reply.outputs)) {
      this.#batched = false;
      this.#options.onIndivisible();
      this.#runEachAlone(batch);
      return;
    }
    // The instance is fed before the answers go out, so that it runs meanwhile.
    this.#dispatch();
    this.#options.outcomes.answer(batch, reply, finishedMs);
    this.#checkIdle();
  }

  failed(_instance: Instance, batch: Batch, message: string): void {
    this.#running -= batch.requests.length;
    const { outcomes, clock } = this.#options;
    outcomes.trace(batch, clock.monotonicMs(), undefined);
    if (batch.requests.length > 1) {
      // One bad request must not fail its neighbours; which one it was shows when each runs alone.
      this.#runEachAlone(batch);
      return;
    }
    this.#options.outcomes.fail(
      batch.requests,
      "model_run_failed",
      errors.runFailed(this.#options.modelVersion, message),
    );
    this.#dispatch();
    this.#checkIdle();
  }

  lost(instance: Instance, running: Batch | undefined, waiting: readonly Batch[]): void {
    this.#instances.delete(instance);
    for (const batch of waiting.toReversed()) {
      this.#running -= batch.requests.length;
      this.#putBack(batch.requests);
    }
    if (running !== undefined) {
      this.#running -= running.requests.length;
      this.#options.outcomes.fail(
        running.requests,
        "instance_lost",
        errors.instanceLost(this.#options.modelVersion),
      );
    }
    this.#options.onLost(instance);
    this.#dispatch();
    this.#checkIdle();
  }

  #refusal(request: InferRequest): { reason: DropReason; error: () => Error } | undefined {
    const { clock, modelVersion } = this.#options;
    if (this.#closed) {
      return { reason: "stopped", error: () => errors.stopped(modelVersion) };
    }
    if (request.signal?.aborted) {
      return { reason: "cancelled", error: () => errors.abandoned(request) };
    }
    const { maxQueueRequests } = this.#settings;
    if (this.#queue.length >= maxQueueRequests) {
      this.#sweepNowAndThen();
    }
    if (this.#queue.length >= maxQueueRequests) {
      const limit = `${maxQueueRequests} requests wait`;
      return { reason: "overloaded", error: () => errors.queueFull(modelVersion, limit) };
    }
    return request.deadlineMs <= clock.now()
      ? { reason: "expired", error: () => errors.expired(modelVersion) }
      : undefined;
  }

  #scheduleDispatch(): void {
    if (this.#hasFullBatch()) {
      this.#dispatch();
    } else if (!this.#dispatchScheduled && this.#queue.length > 0) {
      // Requests that arrive in the same turn (one packet can hold many) then share a batch.
      this.#dispatchScheduled = true;
      setImmediate(() => {
        this.#dispatchScheduled = false;
        this.#dispatch();
      });
    }
  }

  #hasFullBatch(): boolean {
    return !this.#batched || this.#queue.rows >= this.#settings.maxBatchRows;
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const instance = this.#freest();
      // Behind a running batch only full ones are put at hand: one that is not can still grow.
      if (instance === undefined || (instance.inFlight > 0 && !this.#hasFullBatch())) {
        return;
      }
      if (this.#holdsBack()) {
        return;
      }
      this.#runNext(instance);
    }
  }

  #runNext(instance: Instance): void {
    const { clock, signature, modelVersion, outcomes } = this.#options;
    const requests: PendingRequest[] = [];
    const expired: PendingRequest[] = [];
    const maxRows = this.#batched ? this.#settings.maxBatchRows : 1;
    this.#queue.nextBatch(clock.now(), maxRows, requests, expired);
    this.#dropExpired(expired);
    if (requests.length === 0) {
      return;
    }
    try {
      instance.run(formBatch(requests, signature.outputs.length, clock.monotonicMs()));
      this.#running += requests.length;
    } catch (error) {
      // No memory for the inputs, for one. The instance is as it was.
      const failure = errors.notRun(modelVersion, error);
      outcomes.fail(requests, "batch_not_formed", failure);
    }
  }

  #freest(): Instance | undefined {
    let freest: Instance | undefined;
    for (const instance of this.#instances) {
      if (instance.hasRoom && !(freest !== undefined && freest.inFlight <= instance.inFlight)) {
        freest = instance;
      }
    }
    return freest;
  }

  /** Whether an idle instance shall wait for more rows; starts the one timer when it shall. */
  #holdsBack(): boolean {
    const { maxQueueDelayMs } = this.#settings;
    const head = this.#queue.head;
    if (maxQueueDelayMs <= 0 || head === undefined || this.#hasFullBatch()) {
      return false;
    }
    const leftMs = maxQueueDelayMs - (this.#options.clock.monotonicMs() - head.enqueuedMs);
    if (leftMs <= 0) {
      return false;
    }
    this.#delayTimer ??= setTimeout(
      () => {
        this.#delayTimer = undefined;
        this.#dispatch();
      },
      Math.max(1, leftMs),
    );
    return true;
  }

  #runEachAlone(batch: Batch): void {
    for (const pending of batch.requests) {
      pending.alone = true;
    }
    this.#putBack(batch.requests);
    this.#dispatch();
    this.#checkIdle();
  }

  #putBack(requests: readonly PendingRequest[]): void {
    for (const pending of requests.toReversed()) {
      if (pending.settled) {
        continue;
      }
      if (this.#closed) {
        this.#options.outcomes.drop(pending, "stopped", errors.stopped(this.#options.modelVersion));
      } else {
        this.#queue.pushFront(pending);
      }
    }
  }

  /**
   * A full queue may be full of what has expired; to look at all of it for each refusal costs too
   * much.
   */
  #sweepNowAndThen(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#sweepAgainMs) {
      this.#sweepAgainMs = nowMs + SWEEP_PAUSE_MS;
      this.sweep();
    }
  }

  #dropExpired(expired: readonly PendingRequest[]): void {
    for (const pending of expired) {
      this.#options.outcomes.drop(pending, "expired", errors.expired(this.#options.modelVersion));
    }
  }

  #checkIdle(): void {
    if (this.#queue.length === 0 && this.#running === 0 && this.#idleWaiters.length > 0) {
      for (const resolve of this.#idleWaiters.splice(0)) {
        resolve();
      }
    }
  }
}
