// One process that does tasks, as its owner sees it: started, given one task after the other,
// watched, and killed when a task takes too long or too much memory or is no longer wanted. It gets
// no environment, writes no core file, and is what the kernel ends first when memory runs out.

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Cancelled,
  type DomainError,
  Internal,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { fromStatus } from "../../common/errors/status.ts";
import { limitExceeded, type ProcessLimits, watchLimits } from "./process-limits.ts";
import type { FromProcess, ToProcess } from "./task-messages.ts";

/** Which program a process runs. */
export interface TaskProgram {
  /** For errors and lists of processes: "prover". */
  readonly who: string;
  /** Path of the module whose last act is to call serveTasks. */
  readonly main: string;
  readonly args?: readonly string[];
  /** Of its heap; what lies outside of it is watched as resident memory. */
  readonly heapMiB: number;
}

/** One task, ready to go. */
export interface TaskJob extends ProcessLimits {
  readonly kind: string;
  readonly input: unknown;
  readonly signal: AbortSignal;
  readonly onProgress: (phase: string) => void;
}

/** What a process that lives on said of a task. */
export type TaskResult =
  | { readonly kind: "done"; readonly output: unknown }
  | { readonly kind: "failed"; readonly error: DomainError };

/** How a process ended. */
export interface ProcessEnding {
  readonly code: number | null;
  readonly signal: string | null;
}

const STDERR_BYTES_KEPT = 8 * 1024;
const RETRY_AFTER_MS = 1_000;
/** The threads are given 200 ms to end. */
const END_WAIT_MS = 3_000;

/** As in the registry's sandbox: what a system does not know is left out. */
const SHELL = 'ulimit -c 0; (echo 800 > /proc/$$/oom_score_adj) 2>/dev/null; exec "$@"';
const ENVIRONMENT = { TZ: "UTC", MALLOC_ARENA_MAX: "2" };

/** What V8 writes before it gives up. */
const HEAP_FULL = /heap out of memory|Array buffer allocation failed/i;

/** A running process. */
export class TaskProcess {
  readonly #who: string;
  readonly #child: ChildProcess;
  readonly #stderr: () => string;
  readonly #ended: Promise<ProcessEnding>;
  #alive = true;
  #onEnd: (ending: ProcessEnding) => void = () => undefined;

  constructor({ who, main, args = [], heapMiB }: TaskProgram) {
    this.#who = who;
    const flags = [`--max-old-space-size=${heapMiB}`, "--expose-gc", "--no-warnings"];
    const node = [process.execPath, ...flags, main, ...args];
    this.#child = spawn("/bin/sh", ["-c", SHELL, `plinth-${who}`, ...node], {
      env: ENVIRONMENT,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.#stderr = keepTail(this.#child.stderr);
    const { promise, resolve } = Promise.withResolvers<ProcessEnding>();
    this.#ended = promise;
    const onEnd = (ending: ProcessEnding): void => {
      this.#alive = false;
      resolve(ending);
      this.#onEnd(ending);
    };
    this.#child.once("close", (code, signal) => onEnd({ code, signal }));
    this.#child.on("error", () => {
      if (this.#child.pid === undefined) onEnd({ code: null, signal: null });
    });
  }

  /** Whether it can take another task. */
  get usable(): boolean {
    return this.#alive && this.#child.connected;
  }

  /** Its number; undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether the process keeps its owner from ending. */
  hold(held: boolean): void {
    const stderr = this.#child.stderr as (Readable & { ref?(): void; unref?(): void }) | null;
    for (const part of [this.#child, this.#child.channel, stderr]) {
      if (held) part?.ref?.();
      else part?.unref?.();
    }
  }

  /** Kills it; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#alive = false;
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Lets it end by itself; one that does not is killed. */
  async end(): Promise<ProcessEnding> {
    this.#alive = false;
    this.#send({ type: "end" });
    const waiting = new AbortController();
    const patience = sleep(END_WAIT_MS, undefined, { signal: waiting.signal }).catch(() => {});
    await Promise.race([this.#ended, patience]);
    waiting.abort();
    this.#child.kill("SIGKILL");
    return await this.#ended;
  }

  /**
   * Does one task, or has it fail.
   *
   * @throws DomainError: the process is gone, or at work on what nobody waits for; it is not for
   *   another task.
   */
  async run(job: TaskJob): Promise<TaskResult> {
    const talk = Promise.withResolvers<TaskResult>();
    const onMessage = (message: FromProcess): void => {
      if (message.type === "progress") job.onProgress(message.phase);
      else if (message.type === "done") talk.resolve({ kind: "done", output: message.output });
      else talk.resolve({ kind: "failed", error: this.#failureOf(message) });
    };
    const onAbort = (): void => talk.reject(cancelled());
    const limits = watchLimits(this.#child.pid, job, (limit) =>
      talk.reject(limitExceeded(limit, job, this.#who)),
    );
    this.#child.on("message", onMessage);
    job.signal.addEventListener("abort", onAbort, { once: true });
    this.#onEnd = (ending) => talk.reject(this.#lost(ending, job));
    try {
      if (job.signal.aborted) onAbort();
      else if (!this.usable) talk.reject(this.#lost({ code: null, signal: null }, job));
      else this.#send({ type: "task", kind: job.kind, input: job.input });
      return await talk.promise;
    } finally {
      limits.stop();
      this.#onEnd = () => undefined;
      this.#child.off("message", onMessage);
      job.signal.removeEventListener("abort", onAbort);
    }
  }

  #send(message: ToProcess): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #lost(ending: ProcessEnding, limits: ProcessLimits): DomainError {
    const told = this.#stderr();
    const cause = new Error(`the ${this.#who} ended as ${JSON.stringify(ending)}: ${told}`);
    if (HEAP_FULL.test(told)) {
      const error = limitExceeded("memory", limits, this.#who);
      error.cause = cause;
      return error;
    }
    return new Unavailable(`The ${this.#who}'s process ended in the middle; try again.`, {
      reason: ErrorReason.INSTANCE_LOST,
      retryAfterMs: RETRY_AFTER_MS,
      cause,
    });
  }

  #failureOf(message: Extract<FromProcess, { type: "failed" }>): DomainError {
    const cause = new Error(message.cause);
    const error =
      message.status === undefined
        ? new Internal(
            `The ${this.#who} failed in a way that nobody foresaw; the log has the details.`,
            { reason: ErrorReason.UNSPECIFIED },
          )
        : statusError(message.status);
    error.cause = cause;
    return error;
  }
}

/** The error for whoever no longer wants a task. */
export function cancelled(): Cancelled {
  return new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED });
}

function statusError(bytes: Uint8Array): DomainError {
  const status = fromBinary(StatusSchema, bytes);
  return fromStatus(status.code, status.message, bytes);
}

/** The last words of a process. */
export function keepTail(stream: Readable | null): () => string {
  let tail = "";
  stream?.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-STDERR_BYTES_KEPT);
  });
  return () => tail;
}
