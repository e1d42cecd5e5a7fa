// The main module of a process for tests: tasks that answer, fail, hang and swallow memory.

import { readFileSync } from "node:fs";
import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../../common/errors/domain-error.ts";
import { serveTasks } from "../serve-tasks.ts";

export interface OddTasks {
  echo: { readonly input: unknown; readonly output: unknown };
  describe: {
    readonly input: null;
    readonly output: { readonly environment: readonly string[]; readonly oomScore: number };
  };
  refuse: { readonly input: string; readonly output: never };
  stumble: { readonly input: null; readonly output: never };
  wait: { readonly input: number; readonly output: string };
  "fill-heap": { readonly input: null; readonly output: never };
}

serveTasks<OddTasks>({
  echo: (input) => input,
  describe: () => ({
    environment: Object.keys(process.env).sort(),
    oomScore: Number(readFileSync("/proc/self/oom_score_adj", "utf8")),
  }),
  refuse: (message) => {
    throw new InvalidArgument(message, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "rows[3]", description: message }],
    });
  },
  stumble: () => {
    throw new TypeError("a secret of the process");
  },
  wait: async (ms, progress) => {
    progress("waiting");
    await new Promise((resolve) => setTimeout(resolve, ms));
    return "done";
  },
  "fill-heap": () => {
    const held: unknown[] = [];
    for (;;) held.push(new Array(1000).fill(held));
  },
});
