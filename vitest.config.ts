import { defineConfig } from "vitest/config";
import { ClosingLine } from "./test/closing-line.ts";

export default defineConfig({
  test: {
    include: ["services/**/*.test.ts", "test/**/*.test.ts"],
    // The real server, store and browser take their time on a small machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Worker threads and native addons do not share a process well.
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default", new ClosingLine()],
  },
});
