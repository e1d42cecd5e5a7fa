// The parent's end of the offline engine: a few processes that run DuckDB, and the tasks that wait
// for them. It loads nothing of DuckDB, so that a join that eats memory or crashes takes neither the
// server nor its event loop with it.

import { readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import type { FeaturesConfig } from "../config.ts";
import type { RowBatch } from "../value.ts";
import { sliceRows } from "./batch-codec.ts";
import type { EngineLimits } from "./engine-messages.ts";
import { type EngineJob, EngineProcess, SCRATCH_PREFIX } from "./engine-process.ts";
import type { EngineTasks, OfflineEngine, RunOptions, TaskKind } from "./engine-tasks.ts";

/** Far more than a server has jobs and flushes; beyond it something asks without end. */
const WAITING_MAX = 1_000;
const RETRY_AFTER_MS = 5_000;
/** Rows of one message: a vector of DuckDB; and so many values, a millisecond of work to send. */
const PART_ROWS = 2_048;
const PART_CELLS = 65_536;

/** What the engine takes of the settings. */
export type EngineConfig = Pick<
  FeaturesConfig,
  "engineMemoryBytes" | "engineSpillBytes" | "engineThreads" | "engineProcessesMax" | "engineIdleMs"
>;

/** Where and with what the engine runs. */
export interface EngineOptions {
  readonly config: EngineConfig;
  /** Where tasks put what does not fit in memory; folders that a dead server left there go. */
  readonly scratchDir: string;
}

/**
 * Opens the engine; its processes start when there is something to do. Dispose it to end them: tasks
 * under way and waiting then fail with Unavailable (DRAINING).
 */
export function openOfflineEngine(options: EngineOptions): OfflineEngine {
  removeLeftOvers(options.scratchDir);
  return new ProcessEngine(options);
}

interface Waiting {
  readonly job: EngineJob;
  readonly done: PromiseWithResolvers<unknown>;
}

class ProcessEngine implements OfflineEngine {
  readonly #config: EngineConfig;
  readonly #scratchDir: string;
  readonly #limits: EngineLimits;
  readonly #waiting: Waiting[] = [];
  readonly #idle = new Map<EngineProcess, NodeJS.Timeout>();
  readonly #busy = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(options: EngineOptions) {
    this.#config = options.config;
    this.#scratchDir = options.scratchDir;
    this.#limits = {
      memoryBytes: options.config.engineMemoryBytes,
      spillBytes: options.config.engineSpillBytes,
      threads: options.config.engineThreads || availableParallelism(),
    };
  }

  async run<K extends TaskKind>(
    kind: K,
    input: EngineTasks[K]["input"],
    options: RunOptions<K>,
  ): Promise<EngineTasks[K]["output"]> {
    if (this.#stop.signal.aborted) {
      throw draining();
    }
    if (options.signal.aborted) {
      throw cancelled();
    }
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ResourceExhausted(
        `${WAITING_MAX} tasks wait for the offline engine already; try again later.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
    const done = Promise.withResolvers<unknown>();
    const waiting = { job: this.#job(kind, input, options), done };
    const giveUp = (): void => this.#giveUp(waiting, options.signal);
    options.signal.addEventListener("abort", giveUp, { once: true });
    this.#waiting.push(waiting);
    this.#pump();
    try {
      return (await done.promise) as EngineTasks[K]["output"];
    } finally {
      options.signal.removeEventListener("abort", giveUp);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const waiting of this.#waiting.splice(0)) {
      waiting.done.reject(draining());
    }
    const idle = [...this.#idle.keys()];
    for (const process of idle) {
      this.#take(process);
    }
    await Promise.all([...idle.map((process) => process.kill()), ...this.#busy]);
  }

  #job<K extends TaskKind>(
    kind: K,
    input: EngineTasks[K]["input"],
    options: RunOptions<K>,
  ): EngineJob {
    const { batches, shape } =
      kind === "write-rows" ? (input as WriteRows) : { batches: [], shape: undefined };
    const columns = (shape?.joinKeys.length ?? 0) + (shape?.features.length ?? 0) + 2;
    const partRows = Math.min(PART_ROWS, Math.ceil(PART_CELLS / columns));
    return {
      kind,
      input: kind === "write-rows" ? { ...input, batches: [] } : input,
      parts: partsOf(batches, partRows),
      partCount: batches.reduce((sum, { rows }) => sum + Math.ceil(rows / partRows), 0),
      limits: this.#limits,
      signal: AbortSignal.any([options.signal, this.#stop.signal]),
      onProgress: (progress) => options.onProgress?.(progress),
      onChunk: async (chunk) => await options.onChunk?.(chunk as EngineTasks[K]["chunk"]),
    };
  }

  /** A task that waits is gone at once; one that runs is ended by its process. */
  #giveUp(waiting: Waiting, signal: AbortSignal): void {
    const index = this.#waiting.indexOf(waiting);
    if (index >= 0 && signal.aborted) {
      this.#waiting.splice(index, 1);
      waiting.done.reject(cancelled());
    }
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#busy.size < this.#config.engineProcessesMax) {
      const next = this.#waiting.shift() as Waiting;
      const work = this.#work(next).finally(() => {
        this.#busy.delete(work);
        this.#pump();
      });
      this.#busy.add(work);
    }
  }

  async #work({ job, done }: Waiting): Promise<void> {
    const idle = [...this.#idle.keys()].find(({ usable }) => usable);
    const process = idle === undefined ? new EngineProcess() : this.#take(idle);
    try {
      done.resolve(await process.run(job, this.#scratchDir));
    } catch (error) {
      done.reject(this.#stop.signal.aborted ? draining() : error);
    }
    await this.#rest(process);
  }

  /** Keeps a process for the next task, for a while. */
  async #rest(process: EngineProcess): Promise<void> {
    if (this.#stop.signal.aborted || this.#config.engineIdleMs === 0 || !process.usable) {
      await process.kill();
      return;
    }
    process.hold(false);
    const timer = setTimeout(() => this.#take(process).kill(), this.#config.engineIdleMs);
    this.#idle.set(process, timer.unref());
  }

  #take(process: EngineProcess): EngineProcess {
    clearTimeout(this.#idle.get(process));
    this.#idle.delete(process);
    process.hold(true);
    return process;
  }
}

type WriteRows = EngineTasks["write-rows"]["input"];

function* partsOf(batches: readonly RowBatch[], rows: number): Generator<RowBatch> {
  for (const batch of batches) {
    for (let start = 0; start < batch.rows; start += rows) {
      yield sliceRows(batch, start, Math.min(start + rows, batch.rows));
    }
  }
}

function draining(): Unavailable {
  return new Unavailable("The server is stopping and takes no new work; try again.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function cancelled(): Cancelled {
  return new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED });
}

/** Removes task folders of processes that are no more. */
function removeLeftOvers(scratchDir: string): void {
  for (const name of listFolder(scratchDir)) {
    const pid = Number(/^engine-(\d+)-/.exec(name)?.[1] ?? 0);
    if (name.startsWith(SCRATCH_PREFIX) && pid > 0 && pid !== process.pid && !isRunning(pid)) {
      rmSync(join(scratchDir, name), { recursive: true, force: true });
    }
  }
}

function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
