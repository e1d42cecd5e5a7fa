// The prover's process: takes tasks over the IPC channel, one at a time. It alone loads snarkjs and
// ffjavascript, which are under the GPL-3.0; everything else talks to it. It ends when it is told
// to, and when its owner is gone.

import { isForeseen, statusBytes, toStatus } from "../../common/errors/status.ts";
import { endThreads, limitThreads } from "./engine/curve.ts";
import { runTask } from "./engine/run-task.ts";
import type { FromProver, ToProver } from "./prover-tasks.ts";

limitThreads(Math.max(1, Number(process.argv[2]) || 1));

process.on("message", (message: ToProver) => {
  if (message.type === "end") void end();
  else void work(message);
});

// SIGKILL and not process.exit, which would wait for the threads.
process.on("disconnect", () => {
  if (!ending) process.kill(process.pid, "SIGKILL");
});

let ending = false;

async function work(message: Extract<ToProver, { type: "task" }>): Promise<void> {
  try {
    const output = await runTask(message.kind, message.input, (phase) =>
      send({ type: "progress", phase }),
    );
    globalThis.gc?.();
    send({ type: "done", output });
  } catch (error) {
    const status = isForeseen(error) ? statusBytes(toStatus(error)) : undefined;
    send({ type: "failed", status, cause: String((error as Error).stack ?? error) });
  }
}

/** Without threads and channel nothing keeps the process. */
async function end(): Promise<void> {
  ending = true;
  await endThreads();
  process.disconnect?.();
}

function send(message: FromProver): void {
  process.send?.(message);
}
