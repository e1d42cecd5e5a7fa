// A process of the prover, and the queue of its tasks. Nothing of it is loaded here.

import { fileURLToPath } from "node:url";
import type { TaskProgram } from "../process/task-process.ts";
import { TaskQueue } from "../process/task-queue.ts";
import type { ProverTasks, TaskKind } from "./prover-tasks.ts";

/** What a process of the prover takes of the settings. */
export interface ProverProcessOptions {
  readonly threads: number;
  /** Resident bytes of the process, at most. */
  readonly memoryBytesMax: number;
  /** A process with nothing to do ends after so long; 0: after each task. */
  readonly idleMs: number;
}

const MAIN = fileURLToPath(new URL("./prover-main.ts", import.meta.url));
const MIB = 1024 * 1024;

/** Then a fresh process takes over. */
const TASKS_MAX = 1_000;

/** These leave secrets in the memory of the process, which is not kept for another task. */
const SECRET_TASKS: ReadonlySet<TaskKind> = new Set(["dev-setup", "contribute"]);

/** The program of the process. */
export function proverProgram(options: {
  readonly threads: number;
  readonly heapMiB: number;
}): TaskProgram {
  const { threads, heapMiB } = options;
  return { who: "prover", main: MAIN, args: [String(threads)], heapMiB };
}

/** Opens the queue; the process starts with the first task. */
export function openProverQueue(options: ProverProcessOptions): TaskQueue<ProverTasks> {
  const { threads, memoryBytesMax, idleMs } = options;
  return new TaskQueue<ProverTasks>({
    program: proverProgram({ threads, heapMiB: Math.ceil(memoryBytesMax / MIB) }),
    memoryBytesMax,
    idleMs,
    tasksMax: TASKS_MAX,
    lastKinds: SECRET_TASKS,
    // snarkjs may have left files open and threads at work.
    onFailure: "kill",
  });
}
