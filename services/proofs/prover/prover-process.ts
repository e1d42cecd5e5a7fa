// One prover process, as its owner sees it: started, given one task after the other, watched, and
// killed when a task takes too long or too much memory or is no longer wanted. It gets no
// environment, writes no core file, and is what the kernel ends first when memory runs out.

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, Internal, Unavailable } from "../../common/errors/domain-error.ts";
import { fromStatus } from "../../common/errors/status.ts";
import { limitExceeded, watchLimits } from "./process-limits.ts";
import type { FromProver, TaskKind, ToProver } from "./prover-tasks.ts";

/** One task, ready to go. */
export interface ProverJob {
  readonly kind: TaskKind;
  readonly input: unknown;
  readonly timeoutMs: number;
  /** Resident bytes above which the process is killed. */
  readonly memoryBytes: number;
  readonly signal: AbortSignal;
  readonly onProgress: (phase: string) => void;
}

/** How a process ended. */
export interface ProcessEnding {
  readonly code: number | null;
  readonly signal: string | null;
}

const MAIN = fileURLToPath(new URL("./prover-main.ts", import.meta.url));
const STDERR_BYTES_KEPT = 8 * 1024;
const RETRY_AFTER_MS = 1_000;
/** The threads are given 200 ms to end. */
const END_WAIT_MS = 3_000;

/** As in the registry's sandbox: what a system does not know is left out. */
const SHELL = 'ulimit -c 0; (echo 800 > /proc/$$/oom_score_adj) 2>/dev/null; exec "$@"';
const ENVIRONMENT = { TZ: "UTC", MALLOC_ARENA_MAX: "2" };

/** A running prover. */
export class ProverProcess {
  readonly #child: ChildProcess;
  readonly #stderr: () => string;
  readonly #ended: Promise<ProcessEnding>;
  #alive = true;
  #onEnd: (ending: ProcessEnding) => void = () => undefined;

  constructor(options: { readonly threads: number; readonly heapMiB: number }) {
    const flags = [`--max-old-space-size=${options.heapMiB}`, "--expose-gc", "--no-warnings"];
    const node = [process.execPath, ...flags, MAIN, String(options.threads)];
    this.#child = spawn("/bin/sh", ["-c", SHELL, "plinth-prover", ...node], {
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
   * Does one task. After a throw the process may be gone or hold leftovers of snarkjs: it is not
   * for another task.
   */
  async run(job: ProverJob): Promise<unknown> {
    const talk = Promise.withResolvers<unknown>();
    const onMessage = (message: FromProver): void => {
      if (message.type === "progress") job.onProgress(message.phase);
      else if (message.type === "done") talk.resolve(message.output);
      else talk.reject(failureOf(message));
    };
    const onAbort = (): void =>
      talk.reject(new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED }));
    const limits = watchLimits(this.#child.pid, job, (limit) =>
      talk.reject(limitExceeded(limit, job)),
    );
    this.#child.on("message", onMessage);
    job.signal.addEventListener("abort", onAbort, { once: true });
    this.#onEnd = (ending) => talk.reject(this.#lost(ending));
    try {
      if (job.signal.aborted) onAbort();
      else if (!this.usable) talk.reject(this.#lost({ code: null, signal: null }));
      else this.#send({ type: "task", kind: job.kind, input: job.input });
      return await talk.promise;
    } finally {
      limits.stop();
      this.#onEnd = () => undefined;
      this.#child.off("message", onMessage);
      job.signal.removeEventListener("abort", onAbort);
    }
  }

  #send(message: ToProver): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #lost(ending: ProcessEnding): Unavailable {
    return new Unavailable("The prover's process ended in the middle; try again.", {
      reason: ErrorReason.INSTANCE_LOST,
      retryAfterMs: RETRY_AFTER_MS,
      cause: new Error(`the prover ended as ${JSON.stringify(ending)}: ${this.#stderr()}`),
    });
  }
}

function failureOf(message: Extract<FromProver, { type: "failed" }>): unknown {
  const cause = new Error(message.cause);
  if (message.status === undefined) {
    return new Internal(
      "The prover failed in a way that nobody foresaw; the log has the details.",
      {
        reason: ErrorReason.UNSPECIFIED,
        cause,
      },
    );
  }
  const status = fromBinary(StatusSchema, message.status);
  const error = fromStatus(status.code, status.message, message.status);
  error.cause = cause;
  return error;
}

/** The last words of a process. */
export function keepTail(stream: Readable | null): () => string {
  let tail = "";
  stream?.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-STDERR_BYTES_KEPT);
  });
  return () => tail;
}
