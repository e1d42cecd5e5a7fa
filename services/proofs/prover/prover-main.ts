// The main module of the prover's processes. They alone load snarkjs and ffjavascript, which are
// under the GPL-3.0, and only for keys and PLONK; everything else talks to them.

import { memoryUsage } from "node:process";
import { serveTasks } from "../process/serve-tasks.ts";
import { ProveThreads } from "./groth16/prove-threads.ts";
import { endEngine, limitEngineThreads } from "./lazy-engine.ts";
import { proverTasks } from "./prover-task-functions.ts";
import type { ProverTasks } from "./prover-tasks.ts";

/** Collecting takes 10 ms, as long as a small proof; files that snarkjs left open go with it. */
const COLLECT_BYTES = 64 * 1024 * 1024;
const COLLECT_TASKS = 32;

let keptBytes = 0;
let tasks = 0;

/** Collects what a large task left, at once, and what small ones leave, now and then. */
function collect(): void {
  tasks += 1;
  if (tasks >= COLLECT_TASKS || usedBytes() > keptBytes + COLLECT_BYTES) {
    globalThis.gc?.();
    keptBytes = usedBytes();
    tasks = 0;
  }
}

function usedBytes(): number {
  const { heapUsed, external } = memoryUsage();
  return heapUsed + external;
}

const threads = Math.max(1, Number(process.argv[2]) || 1);
limitEngineThreads(threads);
const proveThreads = new ProveThreads(threads);
serveTasks<ProverTasks>(proverTasks(proveThreads), {
  afterTask: collect,
  onEnd: async () => {
    await Promise.all([proveThreads[Symbol.asyncDispose](), endEngine()]);
  },
});
