// The offline engine's process: takes tasks over the IPC channel and does them with DuckDB, each on
// a database of its own. It ends when its parent does.

import { rmSync } from "node:fs";
import { isForeseen, statusBytes, toStatus } from "../../common/errors/status.ts";
import type { RowBatch } from "../value.ts";
import { openDatabase } from "./engine/database.ts";
import { engineFault } from "./engine/faults.ts";
import { engineTask } from "./engine/tasks.ts";
import type { FromEngine, ToEngine } from "./engine-messages.ts";
import type { EngineProgress, EngineTasks, TaskKind } from "./engine-tasks.ts";

const PROGRESS_INTERVAL_MS = 250;

type TaskMessage = Extract<ToEngine, { type: "task" }>;

let scratchDir: string | undefined;
let received: ((message: ToEngine) => void) | undefined;

process.on("message", (message: ToEngine) => {
  if (message.type === "task") {
    void work(message);
  } else {
    received?.(message);
  }
});

// SIGKILL and not process.exit, which would wait for DuckDB's threads.
process.on("disconnect", () => {
  if (scratchDir !== undefined) {
    rmSync(scratchDir, { recursive: true, force: true });
  }
  process.kill(process.pid, "SIGKILL");
});

async function work(message: TaskMessage): Promise<void> {
  scratchDir = message.scratchDir;
  try {
    const output = await runTask(message.kind, message);
    send({ type: "done", output });
  } catch (error) {
    const fault = engineFault(error);
    const status = isForeseen(fault) ? statusBytes(toStatus(fault)) : undefined;
    send({ type: "failed", status, cause: String((error as Error).stack ?? error) });
  }
  scratchDir = undefined;
  globalThis.gc?.();
}

async function runTask<K extends TaskKind>(kind: K, message: TaskMessage): Promise<unknown> {
  const input = message.input as EngineTasks[K]["input"];
  const { run, options } = await engineTask(kind);
  const { limits } = message;
  const database = await openDatabase({
    kind,
    input,
    limits,
    options,
    scratchDir: message.scratchDir,
  });
  try {
    return await run(database.connection, input, {
      scratchDir: message.scratchDir,
      progress: throttled(),
      batches: () => receiveParts(message.parts),
      chunk: async (chunk) => {
        send({ type: "chunk", chunk });
        await reply();
      },
    });
  } finally {
    database.close();
  }
}

async function* receiveParts(count: number): AsyncGenerator<RowBatch> {
  for (let index = 0; index < count; index++) {
    send({ type: "next" });
    const message = await reply();
    if (message.type === "part") {
      yield message.batch;
    }
  }
}

function reply(): Promise<ToEngine> {
  return new Promise((resolve) => {
    received = resolve;
  });
}

/** The first word of a phase goes at once, others a few times a second. */
function throttled(): (progress: EngineProgress) => void {
  let phase = "";
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (progress.phase !== phase || now - last >= PROGRESS_INTERVAL_MS) {
      phase = progress.phase;
      last = now;
      send({ type: "progress", progress });
    }
  };
}

function send(message: FromEngine): void {
  process.send?.(message);
}
