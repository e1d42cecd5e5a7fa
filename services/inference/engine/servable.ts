// One loaded version of one deployment: its instances, its queue and its statistics, from loading
// through serving to being freed.

import type { Clock } from "../../common/clock.ts";
import type { Capture } from "../capture/capture.ts";
import type { CaptureSettings, VersionCapture } from "../capture/version-capture.ts";
import type {
  InferRequest,
  InferResult,
  ProofSettings,
  Servable,
  VersionStatistics,
} from "../engine.ts";
import type { Receipts } from "../receipts/receipts.ts";
import type { VersionReceipts } from "../receipts/version-receipts.ts";
import type { Signature } from "../tensor.ts";
import { Batcher, type BatchingSettings } from "./batcher.ts";
import { Instance, type InstanceOptions } from "./instance.ts";
import type { ModelFacts } from "./model-facts.ts";
import * as errors from "./request-errors.ts";
import { RequestOutcomes } from "./request-outcomes.ts";
import type { InferenceMeter, ServableLoad, ServableMeter } from "./servable-meter.ts";
import { Statistics } from "./statistics.ts";

/** The first replacement starts after this, each further one after twice as long. */
const RESTART_BACKOFF_MS = 100;
const RESTART_BACKOFF_MS_MAX = 30_000;

/** An instance that held this long makes the back-off start over. */
const STABLE_AFTER_MS = 60_000;

/** A run that hangs cannot be stopped: past so many of them no more instances are started. */
const ENDING_MAX = 4;

/** What cannot change without loading anew. */
export interface InstanceSettings {
  readonly count: number;
  readonly intraOpThreads: number;
  readonly runTimeoutMs: number;
}

export interface LoadedServableOptions {
  readonly deployment: string;
  readonly deploymentUid: string;
  readonly facts: ModelFacts;
  readonly modelPath: string;
  readonly batching: BatchingSettings;
  readonly instances: InstanceSettings;
  readonly maxQueueBytes: number;
  readonly meter: InferenceMeter;
  readonly clock: Clock;
  /** Absent: nothing is captured. */
  readonly capture: Capture | undefined;
  /** Absent: where receipts are wanted, nothing is run. */
  readonly receipts: Receipts | undefined;
  /** In [0, 1): spreads restarts. */
  readonly random: () => number;
  /** Called when an instance was lost, and why a replacement failed to load. */
  readonly onTrouble: (text: string) => void;
}

/** A version that gets a share of another one's requests. */
export interface ShadowCopies {
  readonly servable: LoadedServable;
  /** 0 to 1. */
  readonly sampleRate: number;
}

/** A version that is loaded here. Made by `load`. */
export class LoadedServable implements Servable, AsyncDisposable {
  readonly modelVersion: string;
  readonly version: string;
  readonly modelDigest: string;
  readonly signature: Signature;
  readonly columns: readonly string[];
  readonly classLabels: readonly string[];
  readonly featureService: string | undefined;
  readonly meter: ServableMeter;
  /** Set by the deployment, at once when it changes. */
  proofs: ProofSettings = { verifiable: false, receipts: false };
  /** Who gets copies of its requests; set by the deployment, empty in most. */
  shadows: readonly ShadowCopies[] = [];
  readonly #options: LoadedServableOptions;
  readonly #statistics = new Statistics();
  readonly #batcher: Batcher;
  readonly #capture: VersionCapture | undefined;
  readonly #receipts: VersionReceipts | undefined;
  readonly #instances = new Set<Instance>();
  /** Given up, but their threads have not ended. */
  readonly #ending = new Set<Instance>();
  readonly #disposals = new Set<Promise<void>>();
  #batching: BatchingSettings;
  #batched: boolean;
  #restarts = 0;
  #lastStartMs = 0;
  #restartAtMs = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: LoadedServableOptions) {
    const { facts, deployment } = options;
    this.#options = options;
    this.modelVersion = facts.modelVersion;
    this.version = facts.version;
    this.modelDigest = facts.digest;
    this.signature = facts.signature;
    this.columns = facts.columns;
    this.classLabels = facts.classLabels;
    this.featureService = facts.featureService;
    this.#batched = facts.batched;
    this.#batching = options.batching;
    this.meter = options.meter.servable(
      { "plinth.deployment": deployment, "plinth.model_version": facts.modelVersion },
      () => this.load,
    );
    this.#capture = options.capture?.version({
      deployment,
      deploymentUid: options.deploymentUid,
      modelVersionUid: facts.uid,
      servable: facts,
    });
    this.#receipts = options.receipts?.version({
      deployment,
      modelVersion: facts.modelVersion,
      modelDigest: facts.digest,
      signature: facts.signature,
    });
    this.#batcher = new Batcher({
      modelVersion: facts.modelVersion,
      signature: facts.signature,
      batched: facts.batched,
      settings: options.batching,
      maxQueueBytes: options.maxQueueBytes,
      clock: options.clock,
      outcomes: new RequestOutcomes({
        signature: facts.signature,
        clock: options.clock,
        meter: this.meter,
        statistics: this.#statistics,
        capture: this.#capture,
        receipts: () => (this.proofs.receipts ? this.#receipts : undefined),
        isBatched: () => this.#batched,
      }),
      onIndivisible: () => {
        this.#batched = false;
        options.onTrouble(
          "its outputs have not a row for each row of the input; each request runs alone now",
        );
      },
      onLost: (instance) => this.#replace(instance),
    });
  }

  /**
   * Loads and warms up every instance.
   * @throws Error with a text for people when one of them cannot be; nothing is left behind then.
   */
  static async load(options: LoadedServableOptions): Promise<LoadedServable> {
    const servable = new LoadedServable(options);
    try {
      // One after another: each reads the whole file, and the peak of memory is what counts.
      for (let count = 0; count < options.instances.count; count += 1) {
        await servable.#addInstance();
      }
      return servable;
    } catch (error) {
      await servable[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Whether requests may share a run: as promised by the signature, until a run shows otherwise.
   */
  get batched(): boolean {
    return this.#batched;
  }

  get maxBatchRows(): number {
    return this.#batching.maxBatchRows;
  }

  get load(): ServableLoad {
    return { queued: this.#batcher.queued, running: this.#batcher.running };
  }

  /** True once disposal began: nothing is taken any more. */
  get closed(): boolean {
    return this.#closed;
  }

  infer(request: InferRequest): Promise<InferResult> {
    if (this.#instances.size === 0 && !this.#closed && this.#restarts > 1) {
      const waitMs = Math.max(1, this.#restartAtMs - this.#options.clock.monotonicMs());
      return Promise.reject(errors.noInstance(this.modelVersion, Math.ceil(waitMs)));
    }
    if (this.proofs.receipts && request.shadow !== true) {
      const refusal = this.#receipts
        ? this.#receipts.refusal(request)
        : errors.noReceipts(this.#options.deployment);
      if (refusal !== undefined) {
        this.meter.requestDropped("unreceipted");
        return Promise.reject(refusal);
      }
    }
    return this.#batcher.submit(request);
  }

  configure(batching: BatchingSettings): void {
    this.#batching = batching;
    this.#batcher.configure(batching);
  }

  /** What monitoring is told of it from now on; nothing before this is called. */
  captureAs(settings: CaptureSettings): void {
    this.#capture?.configure(settings);
  }

  statistics(): VersionStatistics {
    return this.#statistics.read();
  }

  /** To be called several times a second: drops expired requests, replaces hung instances. */
  tick(): void {
    this.#batcher.sweep();
    for (const instance of [...this.#instances]) {
      instance.giveUpAfter(this.#options.instances.runTimeoutMs);
    }
  }

  /** Resolves when nothing waits and nothing runs; new requests are still taken. */
  idle(): Promise<void> {
    return this.#batcher.idle();
  }

  /** Crashes one instance. For tests. */
  crashInstance(): void {
    this.#instances.values().next().value?.crash();
  }

  /** Answers what still waits with Unavailable, then frees the sessions and their threads. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restartTimer);
    this.#batcher.close();
    await Promise.all([...this.#instances].map((instance) => instance[Symbol.asyncDispose]()));
    await Promise.all(this.#disposals);
    this.#capture?.release();
    this.#receipts?.release();
    this.meter[Symbol.dispose]();
  }

  async #addInstance(): Promise<void> {
    const { modelPath, instances, clock } = this.#options;
    const settings: InstanceOptions = {
      modelPath,
      inputs: this.signature.inputs,
      outputs: this.signature.outputs,
      intraOpThreads: instances.intraOpThreads,
    };
    this.#lastStartMs = clock.monotonicMs();
    const instance = new Instance(settings, this.#batcher, clock);
    this.#instances.add(instance);
    try {
      await instance.loaded;
    } catch (error) {
      this.#discard(instance);
      throw error;
    }
    this.#batcher.attach(instance);
  }

  #discard(instance: Instance): void {
    this.#instances.delete(instance);
    this.#ending.add(instance);
    void instance.exited.then(() => this.#ending.delete(instance));
    const disposal = instance[Symbol.asyncDispose]().finally(() => {
      this.#disposals.delete(disposal);
    });
    this.#disposals.add(disposal);
  }

  #replace(instance: Instance): void {
    this.#discard(instance);
    if (this.#closed) {
      return;
    }
    this.meter.instanceLost();
    this.#options.onTrouble(`one ${instance.lossReason} and is being replaced`);
    this.#scheduleRestart();
  }

  #scheduleRestart(): void {
    const { clock, random } = this.#options;
    if (clock.monotonicMs() - this.#lastStartMs > STABLE_AFTER_MS) {
      this.#restarts = 0;
    }
    const backoffMs = Math.min(RESTART_BACKOFF_MS * 2 ** this.#restarts, RESTART_BACKOFF_MS_MAX);
    this.#restarts += 1;
    const waitMs = backoffMs * (0.5 + random() / 2);
    this.#restartAtMs = clock.monotonicMs() + waitMs;
    clearTimeout(this.#restartTimer);
    this.#restartTimer = setTimeout(() => void this.#restart(), waitMs);
    this.#restartTimer.unref();
    if (this.#instances.size === 0 && this.#restarts > 2) {
      // What waits would only time out; its callers can do better elsewhere.
      this.#batcher.refuseQueued(errors.noInstance(this.modelVersion, Math.ceil(waitMs)));
    }
  }

  async #restart(): Promise<void> {
    if (this.#ending.size >= ENDING_MAX) {
      this.#options.onTrouble("a replacement has to wait: too many given up runs go on");
      this.#scheduleRestart();
      return;
    }
    while (!this.#closed && this.#instances.size < this.#options.instances.count) {
      try {
        await this.#addInstance();
      } catch (error) {
        if (!this.#closed) {
          this.#options.onTrouble(`a replacement could not be loaded: ${(error as Error).message}`);
          this.#scheduleRestart();
        }
        return;
      }
    }
  }
}
