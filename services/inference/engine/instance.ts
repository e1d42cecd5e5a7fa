// One loaded session on a thread of its own, seen from the serving thread: batches go in by one
// message each and come back in order. Watches the thread: a crash or a run without end is reported
// once, with the batches it takes along.
//
// The thread is never terminated from outside while it may be inside onnxruntime: the call cannot
// be interrupted, and when it returns into a thread that is being terminated, onnxruntime-node
// throws a C++ exception that nobody catches, which aborts the process. A thread that is given up
// is told to end itself, which it does when its call returns; until then it is left behind.

import { Worker } from "node:worker_threads";
import type { Clock } from "../../common/clock.ts";
import { type Batch, planStaging, stageInputs } from "./batch.ts";
import { describeRunError } from "./run-error.ts";
import {
  type RunDone,
  STAGING_KEPT_BYTES_MAX,
  type WorkerCommand,
  type WorkerReply,
  type WorkerSettings,
} from "./worker-messages.ts";

/** Batches a thread may hold: one runs and one is at hand, so that it never waits for it. */
const PIPELINE_DEPTH = 2;

/**
 * Beside a longer run the wait for the next batch is nothing, and a batch at hand is past being
 * dropped when its callers leave or its deadlines pass: then none is put at hand.
 */
const PIPELINE_RUN_MAX_MS = 50;

/**
 * Where runs are so short that waking a thread takes longer than a run, more batches are put at
 * hand: as many as run within this time, up to the depth below.
 */
const PIPELINE_MS = 1;
const PIPELINE_DEPTH_MAX = 8;

/** Weight of the newest run in the mean that decides this. */
const RUN_MEAN_WEIGHT = 0.1;

/** Staging memory starts here and doubles. */
const STAGING_BYTES_MIN = 64 * 1024;

/** Reading and warming up; after this the load is taken for hung. */
const LOAD_TIMEOUT_MS = 10 * 60_000;

/** How long disposal waits for the thread to end before it is left to itself. */
const EXIT_TIMEOUT_MS = 5_000;

/** A model could not be loaded; the text is fit for people and for the registry. */
export class LoadError extends Error {}

/** Who is told what becomes of batches. Called after the instance has counted itself free. */
export interface InstanceObserver {
  done(instance: Instance, batch: Batch, reply: RunDone): void;
  failed(instance: Instance, batch: Batch, message: string): void;
  /** `running` was being run, `waiting` had not begun. Nothing is called after this. */
  lost(instance: Instance, running: Batch | undefined, waiting: readonly Batch[]): void;
}

/** What to load. */
export type InstanceOptions = Omit<WorkerSettings, "closing" | "stagingKeptBytesMax">;

let liveThreads = 0;

/**
 * Threads of instances that have not ended. Above zero after everything is disposed, it counts runs
 * that were given up and go on: `process.exit` would wait for them and then abort, a signal does
 * not.
 */
export function countLiveThreads(): number {
  return liveThreads;
}

interface Staging {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  /** Whether the thread has been sent it. */
  known: boolean;
}

interface InFlight {
  readonly batch: Batch;
  readonly slot: number;
}

type InstanceState = "loading" | "ready" | "gone";

/** A thread with a session. Loads at once; `loaded` says how that went. */
export class Instance implements AsyncDisposable {
  /** Resolves once warm. @throws LoadError when the model cannot be loaded. */
  readonly loaded: Promise<void>;
  /** Resolves when the thread has ended. */
  readonly exited: Promise<void>;
  readonly #worker: Worker;
  readonly #observer: InstanceObserver;
  readonly #clock: Clock;
  readonly #inFlight: InFlight[] = [];
  readonly #staging: (Staging | undefined)[] = [];
  readonly #freeSlots: number[] = Array.from({ length: PIPELINE_DEPTH_MAX }, (_, slot) => slot);
  readonly #closing = new Int32Array(new SharedArrayBuffer(4));
  readonly #loadTimer: NodeJS.Timeout;
  readonly #modelPath: string;
  #state: InstanceState = "loading";
  #headSinceMs = 0;
  #lossReason = "crashed";
  #runMeanMs = PIPELINE_MS;
  #settleLoad: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(settings: InstanceOptions, observer: InstanceObserver, clock: Clock) {
    this.#observer = observer;
    this.#clock = clock;
    this.#modelPath = settings.modelPath;
    this.#worker = new Worker(new URL("./instance-worker.mjs", import.meta.url), {
      workerData: {
        ...settings,
        stagingKeptBytesMax: STAGING_KEPT_BYTES_MAX,
        closing: this.#closing.buffer,
      } satisfies WorkerSettings,
      name: "inference",
    });
    liveThreads += 1;
    this.loaded = new Promise((resolve, reject) => {
      this.#settleLoad = { resolve, reject };
    });
    this.loaded.catch(() => undefined);
    this.#loadTimer = setTimeout(() => this.#giveUp("hung"), LOAD_TIMEOUT_MS);
    this.#loadTimer.unref();
    this.exited = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        liveThreads -= 1;
        this.#lose();
        resolve();
      });
    });
    this.#worker.on("message", (reply: WorkerReply) => this.#receive(reply));
    // The exit that follows an error reports the loss.
    this.#worker.on("error", (error) => {
      this.#lossReason = `crashed (${error.message})`;
    });
  }

  /** Whether a batch may be given to it now. */
  get hasRoom(): boolean {
    const held = this.#inFlight.length;
    const isShort = held < PIPELINE_DEPTH_MAX && held * this.#runMeanMs < PIPELINE_MS;
    const depth = this.#runMeanMs > PIPELINE_RUN_MAX_MS ? 1 : PIPELINE_DEPTH;
    return this.#state === "ready" && (held < depth || isShort);
  }

  /** What happened to it, for the log: "hung", "crashed (...)". */
  get lossReason(): string {
    return this.#lossReason;
  }

  /** Batches given to it and not answered. */
  get inFlight(): number {
    return this.#inFlight.length;
  }

  /**
   * Requires room. Copies the inputs; they are not needed afterwards. Throws what memory throws.
   */
  run(batch: Batch): void {
    const slot = this.#freeSlots.at(-1);
    if (slot === undefined || this.#state !== "ready") {
      throw new Error("The instance has no room for a batch.");
    }
    const plan = planStaging(batch);
    const staging = this.#stagingFor(slot, plan.byteLength);
    stageInputs(batch, plan, staging.bytes);
    const command: WorkerCommand = {
      kind: "run",
      slot,
      inputs: plan.inputs,
      outputs: batch.outputs,
      ...(staging.known ? {} : { memory: staging.memory }),
    };
    this.#worker.postMessage(command);
    // Nothing is noted before all that can fail has not.
    staging.known = true;
    this.#freeSlots.pop();
    if (this.#inFlight.length === 0) {
      this.#headSinceMs = this.#clock.monotonicMs();
    }
    this.#inFlight.push({ batch, slot });
  }

  /**
   * Gives the thread up when its run takes longer than that; true if so. To be asked now and then.
   */
  giveUpAfter(runTimeoutMs: number): boolean {
    const elapsedMs = this.#clock.monotonicMs() - this.#headSinceMs;
    if (this.#inFlight.length === 0 || elapsedMs <= runTimeoutMs) {
      return false;
    }
    this.#giveUp("hung");
    return true;
  }

  /** Ends the thread as a crash would. For tests; only while nothing runs, see above. */
  crash(): void {
    void this.#worker.terminate();
  }

  /**
   * Frees the session and the thread. Batches in flight are reported lost; a thread that is inside
   * a run is waited for a few seconds and then left to end by itself.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUp("was stopped");
    await atMost(EXIT_TIMEOUT_MS, this.exited);
  }

  #receive(reply: WorkerReply): void {
    if (this.#state === "gone") {
      return;
    }
    switch (reply.kind) {
      case "loaded":
        this.#state = "ready";
        clearTimeout(this.#loadTimer);
        this.#settleLoad?.resolve();
        return;
      case "loadFailed":
        this.#state = "gone";
        clearTimeout(this.#loadTimer);
        this.#settleLoad?.reject(new LoadError(describeRunError(reply.error, this.#modelPath)));
        return;
      case "done":
        this.#runMeanMs += (reply.inferMs - this.#runMeanMs) * RUN_MEAN_WEIGHT;
        this.#observer.done(this, this.#takeHead(), reply);
        return;
      case "failed": {
        const message = describeRunError(reply.error, this.#modelPath);
        this.#observer.failed(this, this.#takeHead(), message);
        return;
      }
    }
  }

  #takeHead(): Batch {
    const { batch, slot } = this.#inFlight.shift()!;
    this.#freeSlots.push(slot);
    this.#headSinceMs = this.#clock.monotonicMs();
    if ((this.#staging[slot]?.bytes.byteLength ?? 0) > STAGING_KEPT_BYTES_MAX) {
      this.#staging[slot] = undefined;
    }
    return batch;
  }

  #stagingFor(slot: number, byteLength: number): Staging {
    const kept = this.#staging[slot];
    if (kept !== undefined && kept.bytes.byteLength >= byteLength) {
      return kept;
    }
    const fitting =
      byteLength > STAGING_KEPT_BYTES_MAX
        ? byteLength
        : Math.max(STAGING_BYTES_MIN, 2 ** Math.ceil(Math.log2(byteLength)));
    const memory = new SharedArrayBuffer(fitting);
    const staging = { memory, bytes: new Uint8Array(memory), known: false };
    this.#staging[slot] = staging;
    return staging;
  }

  #giveUp(lossReason: string): void {
    if (this.#state !== "gone") {
      this.#lossReason = lossReason;
    }
    Atomics.store(this.#closing, 0, 1);
    this.#worker.postMessage({ kind: "release" } satisfies WorkerCommand);
    this.#lose();
  }

  #lose(): void {
    clearTimeout(this.#loadTimer);
    if (this.#state === "gone") {
      return;
    }
    const wasLoading = this.#state === "loading";
    this.#state = "gone";
    if (wasLoading) {
      this.#settleLoad?.reject(
        new LoadError(`The thread that was loading the model ${this.#lossReason}.`),
      );
      return;
    }
    const [running, ...waiting] = this.#inFlight.splice(0).map((entry) => entry.batch);
    this.#observer.lost(this, running, waiting);
  }
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
