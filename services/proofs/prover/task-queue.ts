// The tasks that wait for the one prover process, and the process: started when there is something
// to do, kept for the next task, ended when nothing comes. Nothing here loads snarkjs.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import { residentBytes } from "./circuit-size.ts";
import { type ProverJob, ProverProcess } from "./prover-process.ts";
import type { ProverTasks, TaskKind } from "./prover-tasks.ts";

/** Far more than one prover works off in an hour; beyond it something asks without end. */
const WAITING_MAX = 1_000;
const RETRY_AFTER_MS = 5_000;

/** Then a fresh process takes over, so that whatever memory this one lost is found again. */
const TASKS_MAX = 1_000;

/** These leave secrets in the memory of the process, which is not kept for another task. */
const SECRET_TASKS: ReadonlySet<TaskKind> = new Set(["dev-setup", "contribute"]);

/** What the queue takes of the settings. */
export interface TaskQueueOptions {
  readonly threads: number;
  /** Resident bytes of the process, at most. */
  readonly memoryBytesMax: number;
  /** A process with nothing to do ends after so long; 0: after each task. */
  readonly idleMs: number;
}

const MIB = 1024 * 1024;

/** A process below this has done nothing large: another one would have no more room. */
const RESTART_BYTES = 400 * MIB;

/** A task as it is asked for. */
export interface QueuedTask extends Omit<ProverJob, "kind" | "input" | "memoryBytes"> {
  /** Resident bytes that it may add; a promise, so that nobody overtakes while files are looked at. */
  readonly memoryBytes: Promise<number>;
}

interface Waiting {
  readonly job: Omit<ProverJob, "memoryBytes">;
  readonly taskBytes: Promise<number>;
  readonly done: PromiseWithResolvers<unknown>;
}

/** Does tasks one at a time in the order in which they come. Dispose it to end the process. */
export class TaskQueue implements AsyncDisposable {
  readonly #options: TaskQueueOptions;
  readonly #waiting: Waiting[] = [];
  readonly #stop = new AbortController();
  #process: ProverProcess | undefined;
  #tasksDone = 0;
  #idle: NodeJS.Timeout | undefined;
  #busy: Promise<void> | undefined;
  #ending: Promise<unknown> = Promise.resolve();

  constructor(options: TaskQueueOptions) {
    this.#options = options;
  }

  /** Number of the process that is there now, if one is. */
  get processId(): number | undefined {
    return this.#process?.usable ? this.#process.pid : undefined;
  }

  /** Does a task when its turn comes. */
  async run<K extends TaskKind>(
    kind: K,
    input: ProverTasks[K]["input"],
    { memoryBytes: taskBytes, ...options }: QueuedTask,
  ): Promise<ProverTasks[K]["output"]> {
    // Whoever gives up before its turn never asks.
    taskBytes.catch(() => undefined);
    if (this.#stop.signal.aborted) throw draining();
    if (options.signal.aborted) throw cancelled();
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ResourceExhausted(
        `${WAITING_MAX} tasks wait for the prover already; try again later.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
    const signal = AbortSignal.any([options.signal, this.#stop.signal]);
    const waiting = {
      job: { ...options, kind, input, signal },
      taskBytes,
      done: Promise.withResolvers<unknown>(),
    };
    const giveUp = (): void => this.#giveUp(waiting);
    options.signal.addEventListener("abort", giveUp, { once: true });
    this.#waiting.push(waiting);
    this.#pump();
    try {
      return (await waiting.done.promise) as ProverTasks[K]["output"];
    } finally {
      options.signal.removeEventListener("abort", giveUp);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const { done } of this.#waiting.splice(0)) done.reject(draining());
    await this.#busy;
    clearTimeout(this.#idle);
    await this.#drop("kill");
    await this.#ending;
  }

  /** A task that waits is gone at once; one that runs is ended with its process. */
  #giveUp(waiting: Waiting): void {
    const index = this.#waiting.indexOf(waiting);
    if (index < 0) return;
    this.#waiting.splice(index, 1);
    waiting.done.reject(cancelled());
  }

  #pump(): void {
    const next = this.#busy === undefined ? this.#waiting.shift() : undefined;
    if (next === undefined) return;
    this.#busy = this.#work(next).finally(() => {
      this.#busy = undefined;
      this.#pump();
    });
  }

  async #work({ job, taskBytes, done }: Waiting): Promise<void> {
    let memoryBytes: number;
    try {
      memoryBytes = await taskBytes;
    } catch (error) {
      done.reject(error);
      return;
    }
    clearTimeout(this.#idle);
    if (this.#process && (!this.#process.usable || this.#tasksDone >= TASKS_MAX)) {
      await this.#drop("end");
    }
    const limit = await this.#memoryLimit(memoryBytes);
    const process = this.#take();
    let output: unknown;
    try {
      output = await process.run({ ...job, memoryBytes: limit });
    } catch (error) {
      // snarkjs may have left files open and threads at work.
      await this.#drop("kill");
      done.reject(this.#stop.signal.aborted ? draining() : error);
      return;
    }
    if (SECRET_TASKS.has(job.kind)) await this.#drop("kill");
    else this.#rest(process);
    done.resolve(output);
  }

  /**
   * Resident bytes above which the process is killed. Wasm does not give memory back, so a process
   * that did something large counts from there; one without room for this task is replaced.
   */
  async #memoryLimit(taskBytes: number): Promise<number> {
    const { memoryBytesMax } = this.#options;
    const held = await residentBytes(this.#process?.pid);
    if (held + taskBytes <= memoryBytesMax) return held + taskBytes;
    if (held > RESTART_BYTES) await this.#drop("end");
    return memoryBytesMax;
  }

  #take(): ProverProcess {
    if (this.#process === undefined) {
      const { threads, memoryBytesMax } = this.#options;
      this.#process = new ProverProcess({ threads, heapMiB: Math.ceil(memoryBytesMax / MIB) });
      this.#tasksDone = 0;
    }
    this.#tasksDone += 1;
    this.#process.hold(true);
    return this.#process;
  }

  #rest(process: ProverProcess): void {
    process.hold(false);
    const end = (): void => {
      this.#ending = this.#drop("end");
    };
    if (this.#options.idleMs === 0) end();
    else this.#idle = setTimeout(end, this.#options.idleMs).unref();
  }

  async #drop(how: "end" | "kill"): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    process?.hold(true);
    await process?.[how]();
  }
}

/** The error for whoever asks a prover that is being stopped. */
export function draining(): Unavailable {
  return new Unavailable("The server is stopping and takes no new work; try again.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function cancelled(): Cancelled {
  return new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED });
}
