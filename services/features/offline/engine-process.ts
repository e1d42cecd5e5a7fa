// One process of the offline engine, as its parent sees it: started, given one task after the other,
// and killed when a task is no longer wanted. It gets no environment, writes no core file, and is
// what the kernel ends first when memory runs out.

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import { fromStatus } from "../../common/errors/status.ts";
import type { RowBatch } from "../value.ts";
import type { EngineLimits, FromEngine, ToEngine } from "./engine-messages.ts";
import type { EngineProgress, TaskKind } from "./engine-tasks.ts";

/**
 * The rows are DuckDB's; JavaScript has a chunk of them at a time, and the texts of refusals. The
 * collector is called between the steps of a task, because it knows nothing of the memory that
 * DuckDB needs next.
 */
const NODE_OPTIONS = ["--max-old-space-size=256", "--expose-gc", "--no-warnings"];
const STDERR_BYTES_KEPT = 8 * 1024;
const RETRY_AFTER_MS = 1_000;
const MAIN = fileURLToPath(new URL("./engine-main.ts", import.meta.url));

/** No secrets; and glibc is not to keep a heap of freed memory for every thread. */
const ENVIRONMENT = { TZ: "UTC", MALLOC_ARENA_MAX: "2" };
/** Then a fresh process takes over, so that whatever memory this one lost is found again. */
const TASKS_MAX = 500;
/** As in the registry's sandbox: what a system does not know is left out. */
const SHELL = 'ulimit -c 0; (echo 700 > /proc/$$/oom_score_adj) 2>/dev/null; exec "$@"';

/** Task folders are named so; the process id of the parent tells whether one is left over. */
export const SCRATCH_PREFIX = "engine-";

/** One task, ready to go. */
export interface EngineJob {
  readonly kind: TaskKind;
  readonly input: unknown;
  /** Rows that are sent piece by piece, so that neither end stops for long. */
  readonly parts: Iterable<RowBatch>;
  readonly partCount: number;
  readonly limits: EngineLimits;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: EngineProgress) => void;
  readonly onChunk: (chunk: unknown) => Promise<void>;
}

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running engine process. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #stderr: () => string;
  readonly #closed: Promise<void>;
  #alive = true;
  #tasks = 0;
  /** Told when the process ends in the middle of a task. */
  #onClose: (ending: Ending) => void = () => undefined;

  constructor() {
    const node = [process.execPath, ...NODE_OPTIONS, MAIN];
    this.#child = spawn("/bin/sh", ["-c", SHELL, "plinth-engine", ...node], {
      env: ENVIRONMENT,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.#stderr = keepTail(this.#child.stderr);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    const close = (code: number | null, signal: string | null): void => {
      this.#alive = false;
      resolve();
      this.#onClose({ code, signal });
    };
    this.#child.once("close", close);
    this.#child.on("error", () => {
      if (this.#child.pid === undefined) {
        close(null, null);
      }
    });
  }

  /** Whether it can take another task. */
  get usable(): boolean {
    return this.#alive && this.#child.connected && this.#tasks < TASKS_MAX;
  }

  /** Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#alive = false;
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  /** Whether the process keeps its parent from ending. */
  hold(held: boolean): void {
    const stderr = this.#child.stderr as (Readable & { ref?(): void; unref?(): void }) | null;
    if (held) {
      this.#child.ref();
      this.#child.channel?.ref();
      stderr?.ref?.();
    } else {
      this.#child.unref();
      this.#child.channel?.unref();
      stderr?.unref?.();
    }
  }

  /**
   * Does one task; after a throw that is not the task's own failure the process is gone. The scratch
   * folder of the task is gone in any case.
   */
  async run(job: EngineJob, scratchRoot: string): Promise<unknown> {
    const scratchDir = join(scratchRoot, `${SCRATCH_PREFIX}${process.pid}-${randomUUID()}`);
    await mkdir(scratchDir, { recursive: true });
    const oomKills = countOomKills();
    this.#tasks++;
    try {
      return await this.#converse(job, scratchDir, oomKills);
    } finally {
      await rm(scratchDir, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async #converse(job: EngineJob, scratchDir: string, oomKills: number): Promise<unknown> {
    const talk = Promise.withResolvers<unknown>();
    const parts = job.parts[Symbol.iterator]();
    const onMessage = (message: FromEngine): void => {
      try {
        this.#answer(message, { job, parts, talk });
      } catch (error) {
        talk.reject(error);
      }
    };
    const onAbort = (): void => {
      talk.reject(new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED }));
    };
    this.#child.on("message", onMessage);
    job.signal.addEventListener("abort", onAbort, { once: true });
    this.#onClose = (ending) => talk.reject(this.#lost(ending, oomKills));
    try {
      if (job.signal.aborted) {
        onAbort();
      } else if (!this.#alive) {
        talk.reject(this.#lost({ code: null, signal: null }, oomKills));
      } else {
        const { kind, input, partCount, limits } = job;
        this.#send({ type: "task", kind, input, parts: partCount, scratchDir, limits });
      }
      return await talk.promise;
    } catch (error) {
      if (!(error instanceof TaskFailure)) {
        await this.kill();
        throw error;
      }
      throw error.cause;
    } finally {
      this.#onClose = () => undefined;
      this.#child.off("message", onMessage);
      job.signal.removeEventListener("abort", onAbort);
    }
  }

  #answer(
    message: FromEngine,
    context: {
      readonly job: EngineJob;
      readonly parts: Iterator<RowBatch>;
      readonly talk: PromiseWithResolvers<unknown>;
    },
  ): void {
    const { job, parts, talk } = context;
    switch (message.type) {
      case "next": {
        const part = parts.next();
        if (part.done !== true) {
          this.#send({ type: "part", batch: part.value });
        }
        return;
      }
      case "chunk":
        job.onChunk(message.chunk).then(() => this.#send({ type: "next" }), talk.reject);
        return;
      case "progress":
        job.onProgress(message.progress);
        return;
      case "done":
        talk.resolve(message.output);
        return;
      case "failed":
        talk.reject(new TaskFailure(failureOf(message)));
        return;
    }
  }

  #send(message: ToEngine): void {
    if (this.#child.connected) {
      this.#child.send(message, () => undefined);
    }
  }

  #lost(ending: Ending, oomKills: number): ResourceExhausted | Unavailable {
    const cause = new Error(`the engine ended as ${JSON.stringify(ending)}: ${this.#stderr()}`);
    const heap = /heap out of memory|bad_alloc|allocation failed/i.test(this.#stderr());
    if (heap || (ending.signal === "SIGKILL" && countOomKills() > oomKills)) {
      return new ResourceExhausted(
        "The offline engine ran out of memory. Take fewer rows at once, or ask the operator to " +
          "lower PLINTH_FEATURES_ENGINE_MEMORY_MAX below what the machine has to give.",
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS, cause },
      );
    }
    return new Unavailable("The offline engine's process ended in the middle; try again.", {
      reason: ErrorReason.INSTANCE_LOST,
      retryAfterMs: RETRY_AFTER_MS,
      cause,
    });
  }
}

/** The task failed; the process is well. */
class TaskFailure extends Error {
  constructor(cause: unknown) {
    super("the task failed", { cause });
  }
}

function failureOf(message: Extract<FromEngine, { type: "failed" }>): unknown {
  const cause = new Error(message.cause);
  if (message.status === undefined) {
    return cause;
  }
  const status = fromBinary(StatusSchema, message.status);
  const error = fromStatus(status.code, status.message, message.status);
  error.cause = cause;
  return error;
}

/** How many processes the kernel has ended for memory since it started; 0 where it does not tell. */
function countOomKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function keepTail(stream: Readable | null): () => string {
  let tail = "";
  stream?.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-STDERR_BYTES_KEPT);
  });
  return () => tail;
}
