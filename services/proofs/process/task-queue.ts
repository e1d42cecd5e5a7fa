// The tasks that wait for a process, and the process: started when there is something to do, kept
// for the next task, ended when nothing comes.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import { residentBytes } from "./process-limits.ts";
import type { TaskMap } from "./task-messages.ts";
import {
  cancelled,
  type TaskJob,
  TaskProcess,
  type TaskProgram,
  type TaskResult,
} from "./task-process.ts";

/** Far more than one process works off in an hour; beyond it something asks without end. */
const WAITING_MAX = 1_000;
const RETRY_AFTER_MS = 5_000;
const MIB = 1024 * 1024;

/** A process below this has done nothing large: another one would have no more room. */
const RESTART_BYTES = 400 * MIB;

/** How a queue runs its process. */
export interface TaskQueueOptions<Tasks> {
  readonly program: TaskProgram;
  /** Resident bytes of the process, at most. */
  readonly memoryBytesMax: number;
  /** A process with nothing to do ends after so long; 0: after each task. */
  readonly idleMs: number;
  /** Then a fresh process takes over, so that whatever memory this one lost is found again. */
  readonly tasksMax?: number;
  /** After tasks of these kinds the process is not kept: they leave secrets in its memory. */
  readonly lastKinds?: ReadonlySet<keyof Tasks>;
  /**
   * What becomes of the process when a task fails or is cancelled. "kill": it has leftovers, and a
   * cancelled task is not worth its time. "keep": what it holds is worth more; it does a cancelled
   * task to its end and nobody hears of it. A fault that nobody foresaw always kills it.
   */
  readonly onFailure: "kill" | "keep";
}

/** A task as it is asked for. */
export interface QueuedTask extends Pick<TaskJob, "timeoutMs" | "signal" | "onProgress"> {
  /**
   * Resident bytes that it may add; a promise, so that nobody overtakes while files are looked at.
   * Absent: up to the most that the process may have.
   */
  readonly memoryBytes?: Promise<number>;
  /**
   * Called once for a task that was begun, when the process has nothing more to do with it: before
   * the caller hears of its end, or after, where a cancelled one is done to its end.
   */
  readonly onSettled?: () => Promise<void>;
}

interface Waiting {
  readonly job: Omit<TaskJob, "memoryBytes">;
  readonly taskBytes: Promise<number> | undefined;
  readonly onSettled: (() => Promise<void>) | undefined;
  readonly done: PromiseWithResolvers<unknown>;
}

/** Does tasks one at a time in the order in which they come. Dispose it to end the process. */
export class TaskQueue<Tasks extends TaskMap<Tasks>> implements AsyncDisposable {
  readonly #options: TaskQueueOptions<Tasks>;
  readonly #waiting: Waiting[] = [];
  readonly #stop = new AbortController();
  #process: TaskProcess | undefined;
  #tasksDone = 0;
  #idle: NodeJS.Timeout | undefined;
  #busy: Promise<void> | undefined;
  #ending: Promise<unknown> = Promise.resolve();

  constructor(options: TaskQueueOptions<Tasks>) {
    this.#options = options;
  }

  /** Number of the process that is there now, if one is. */
  get processId(): number | undefined {
    return this.#process?.usable ? this.#process.pid : undefined;
  }

  /** Does a task when its turn comes. */
  async run<K extends keyof Tasks & string>(
    kind: K,
    input: Tasks[K]["input"],
    { memoryBytes: taskBytes, onSettled, ...options }: QueuedTask,
  ): Promise<Tasks[K]["output"]> {
    // Whoever gives up before its turn never asks.
    taskBytes?.catch(() => undefined);
    if (this.#stop.signal.aborted) throw draining();
    if (options.signal.aborted) throw cancelled();
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ResourceExhausted(
        `${WAITING_MAX} tasks wait for the ${this.#options.program.who} already; try again later.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
    const signal =
      this.#options.onFailure === "kill"
        ? AbortSignal.any([options.signal, this.#stop.signal])
        : this.#stop.signal;
    const waiting = {
      job: { ...options, kind, input, signal },
      taskBytes,
      onSettled,
      done: Promise.withResolvers<unknown>(),
    };
    const giveUp = (): void => this.#giveUp(waiting);
    options.signal.addEventListener("abort", giveUp, { once: true });
    this.#waiting.push(waiting);
    this.#pump();
    try {
      return (await waiting.done.promise) as Tasks[K]["output"];
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

  /** A task that waits is gone at once; one that runs as onFailure says. */
  #giveUp(waiting: Waiting): void {
    const index = this.#waiting.indexOf(waiting);
    if (index >= 0) this.#waiting.splice(index, 1);
    if (index >= 0 || this.#options.onFailure === "keep") waiting.done.reject(cancelled());
  }

  #pump(): void {
    const next = this.#busy === undefined ? this.#waiting.shift() : undefined;
    if (next === undefined) return;
    this.#busy = this.#work(next).finally(() => {
      this.#busy = undefined;
      this.#pump();
    });
  }

  async #work({ job, taskBytes, onSettled, done }: Waiting): Promise<void> {
    let memoryBytes: number;
    try {
      memoryBytes = await this.#prepare(taskBytes);
    } catch (error) {
      done.reject(error);
      return;
    }
    const process = this.#take();
    let result: TaskResult;
    try {
      result = await process.run({ ...job, memoryBytes });
    } catch (error) {
      await this.#drop("kill");
      await onSettled?.();
      done.reject(this.#stop.signal.aborted ? draining() : error);
      return;
    }
    if (this.#isLast(job.kind, result)) await this.#drop("kill");
    else this.#rest(process);
    await onSettled?.();
    if (result.kind === "done") done.resolve(result.output);
    else done.reject(result.error);
  }

  /** Ends a process that is not for the next task; gives the limit that the next one has. */
  async #prepare(taskBytes: Promise<number> | undefined): Promise<number> {
    const { memoryBytesMax, tasksMax = Number.POSITIVE_INFINITY } = this.#options;
    const bytes = await taskBytes;
    clearTimeout(this.#idle);
    if (this.#process && (!this.#process.usable || this.#tasksDone >= tasksMax)) {
      await this.#drop("end");
    }
    return bytes === undefined ? memoryBytesMax : await this.#memoryLimit(bytes);
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

  #isLast(kind: string, result: TaskResult): boolean {
    if (result.kind === "done") return this.#options.lastKinds?.has(kind as keyof Tasks) ?? false;
    return this.#options.onFailure === "kill" || result.error.kind === "Internal";
  }

  #take(): TaskProcess {
    if (this.#process === undefined) {
      this.#process = new TaskProcess(this.#options.program);
      this.#tasksDone = 0;
    }
    this.#tasksDone += 1;
    this.#process.hold(true);
    return this.#process;
  }

  #rest(process: TaskProcess): void {
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

/** The error for whoever asks when everything is being stopped. */
export function draining(): Unavailable {
  return new Unavailable("The server is stopping and takes no new work; try again.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: RETRY_AFTER_MS,
  });
}
