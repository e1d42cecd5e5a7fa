// The main loop of a process that does tasks: takes them over the IPC channel, one at a time, and
// ends when it is told to, and when its owner is gone.

import { isForeseen, statusBytes, toStatus } from "../../common/errors/status.ts";
import type { FromProcess, TaskMap, ToProcess } from "./task-messages.ts";

/** Says what is being done now. */
export type Progress = (phase: string) => void;

/** Which function does which task. */
export type TaskFunctions<Tasks extends TaskMap<Tasks>> = {
  readonly [K in keyof Tasks]: (
    input: Tasks[K]["input"],
    progress: Progress,
  ) => Promise<Tasks[K]["output"]> | Tasks[K]["output"];
};

/** Does tasks until the owner says that it is enough. */
export function serveTasks<Tasks extends TaskMap<Tasks>>(
  tasks: TaskFunctions<Tasks>,
  options: {
    /** Once it was said that a task was done, before the next one begins. */
    readonly afterTask?: () => void;
    /** Ends the threads, if there are any: without threads and channel nothing keeps the process. */
    readonly onEnd?: () => Promise<void>;
  } = {},
): void {
  let ending = false;

  const end = async (): Promise<void> => {
    ending = true;
    await options.onEnd?.();
    process.disconnect?.();
  };

  const work = async ({ kind, input }: Extract<ToProcess, { type: "task" }>): Promise<void> => {
    try {
      const task = tasks[kind as keyof Tasks] as (input: unknown, progress: Progress) => unknown;
      const output = await task(input, (phase) => send({ type: "progress", phase }));
      send({ type: "done", output });
    } catch (error) {
      const status = isForeseen(error) ? statusBytes(toStatus(error)) : undefined;
      send({ type: "failed", status, cause: String((error as Error).stack ?? error) });
    }
    options.afterTask?.();
  };

  process.on("message", (message: ToProcess) => {
    if (message.type === "end") void end();
    else void work(message);
  });

  // SIGKILL and not process.exit, which would wait for the threads.
  process.on("disconnect", () => {
    if (!ending) process.kill(process.pid, "SIGKILL");
  });
}

function send(message: FromProcess): void {
  process.send?.(message);
}
