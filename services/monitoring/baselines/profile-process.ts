// Makes profiles of files in processes of their own: reading a file takes seconds of processor time,
// which captured rows would wait for, and a hostile one takes all the memory it can get. One at a
// time, because each is as fast as a core.

import { type ChildProcess, spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import { fromStatus } from "../../common/errors/status.ts";
import { type BaselineProfile, decodeProfile } from "../sketch/column-profile.ts";
import type { ProfileTask } from "./make-profile.ts";
import { unreadable } from "./table-file.ts";

/** What the sketches of 2,000 columns and one column of a large row group take. */
const NODE_OPTIONS = ["--max-old-space-size=2048", "--no-warnings"];
const MAIN = fileURLToPath(new URL("./profile-main.ts", import.meta.url));
/** No secrets; and glibc is not to keep a heap of freed memory for every thread. */
const ENVIRONMENT = { TZ: "UTC", MALLOC_ARENA_MAX: "2" };
/** No core file; the kernel ends it first. What a system does not know is left out. */
const SHELL = 'ulimit -c 0; (echo 700 > /proc/$$/oom_score_adj) 2>/dev/null; exec "$@"';
const STDERR_CHARS_KEPT = 8 * 1024;
/** That come, wait or are read. */
const FILES_MAX = 8;
const RETRY_MS = 5000;
/** About ten times what a file takes; a damaged one may take for ever. */
const TIME_MS = 300_000;
const TIME_MS_OF_BYTE = 0.002;

/** What the process answers. */
export type ProfileAnswer =
  | { readonly profile: Uint8Array }
  | { readonly status: Uint8Array | undefined; readonly cause: string };

/** The queue of files; what runs ends with the signal of the call that asked for it. */
export class ProfileMaker {
  readonly #timeMs: number;
  #last: Promise<unknown> = Promise.resolve();
  #admitted = 0;

  /** @param timeMs what a small file may take; large ones have more. */
  constructor(timeMs = TIME_MS) {
    this.#timeMs = timeMs;
  }

  /**
   * Does the work of one file, from its first byte on; files that are under way are on the disk.
   * @throws ResourceExhausted where too many are.
   */
  async admit<T>(work: () => Promise<T>): Promise<T> {
    if (this.#admitted >= FILES_MAX) {
      throw new ResourceExhausted(
        `${FILES_MAX} baselines are being made already. Send the file again in a while.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_MS },
      );
    }
    this.#admitted += 1;
    try {
      return await work();
    } finally {
      this.#admitted -= 1;
    }
  }

  /**
   * Makes a profile, after those that were asked for before.
   * @throws InvalidArgument that says what is wrong with the file; Cancelled.
   */
  async make(task: ProfileTask, signal: AbortSignal): Promise<BaselineProfile> {
    const mine = this.#last.then(() => runTask(task, signal, this.#timeMs));
    this.#last = mine.catch(() => undefined);
    return decodeProfile(await mine);
  }
}

async function runTask(
  task: ProfileTask,
  caller: AbortSignal,
  timeMs: number,
): Promise<Uint8Array> {
  const { size } = await stat(task.path);
  requireWanted(caller);
  const limit = AbortSignal.timeout(Math.ceil(timeMs + size * TIME_MS_OF_BYTE));
  const signal = AbortSignal.any([caller, limit]);
  const node = [process.execPath, ...NODE_OPTIONS, MAIN];
  const child = spawn("/bin/sh", ["-c", SHELL, "plinth-profile", ...node], {
    env: ENVIRONMENT,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
  });
  const kill = (): boolean => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    const answer = await conversation(child, task).catch((error: unknown) => {
      requireWanted(caller);
      throw limit.aborted
        ? unreadable("takes too long to be read; it is damaged, or a sample of it would do")
        : error;
    });
    if ("profile" in answer) {
      return answer.profile;
    }
    throw failureOf(answer);
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
  }
}

/** The child's answer; resolves when the child is gone. */
async function conversation(child: ChildProcess, task: ProfileTask): Promise<ProfileAnswer> {
  let answer: ProfileAnswer | undefined;
  let stderr = "";
  const ended = Promise.withResolvers<string>();
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString("utf8")).slice(-STDERR_CHARS_KEPT);
  });
  child.on("message", (message: ProfileAnswer) => {
    answer = message;
  });
  child.once("close", (code, signal) => ended.resolve(`${code ?? signal}`));
  child.once("error", (error) => ended.resolve(error.message));
  child.send(task, () => undefined);
  const ending = await ended.promise;
  if (answer !== undefined) {
    return answer;
  }
  const cause = new Error(`the process ended with ${ending}: ${stderr}`);
  if (/heap out of memory|allocation failed/i.test(stderr)) {
    throw unreadable(
      "needs more memory to be read than there is; write it with smaller row groups",
      cause,
    );
  }
  throw new Unavailable("The process that reads the file ended in the middle; send it again.", {
    reason: ErrorReason.INSTANCE_LOST,
    retryAfterMs: RETRY_MS,
    cause,
  });
}

function failureOf(answer: Extract<ProfileAnswer, { readonly cause: string }>): unknown {
  const cause = new Error(answer.cause);
  if (answer.status === undefined) {
    return cause;
  }
  const status = fromBinary(StatusSchema, answer.status);
  const error = fromStatus(status.code, status.message, answer.status);
  error.cause = cause;
  return error;
}

/** @throws Cancelled */
function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) {
    throw new Cancelled("The upload was given up.", { reason: ErrorReason.CANCELLED });
  }
}
