#!/usr/bin/env node
// The `plinth` command. Plain JavaScript that an old Node can read: Plinth itself needs Node 24,
// which its npm package `node` brings along, so this file starts itself again under that one when
// needed.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { availableParallelism, constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 24;

const EXIT_FAILED = 1;

/**
 * Tensors live outside the JavaScript heap, and V8 collects all of a small heap again and again because
 * of them: 13 times a second at 150 messages of 512 kB. With room for 128 MB it hardly does, which is
 * a tenth of the throughput of large batches.
 *
 * V8 has 4 threads that collect. Where there are fewer cores beside that of the main thread, it waits
 * for threads that have none: a tenth of the throughput, and nearly half of the p99.
 */
const SERVER_FLAGS = ["up", "serve"].includes(process.argv[2])
  ? ["--initial-old-space-size=128", `--v8-pool-size=${collectorThreads()}`]
  : [];

const running = Number(process.versions.node.split(".")[0]);
if (running >= NODE_MAJOR_MIN) {
  takeFlags();
  // Type stripping and compilation are most of a short command's time; both are kept between runs.
  module.enableCompileCache?.();
  await import("../services/cli/main.ts");
} else {
  const binary = ownNode();
  if (binary === undefined) {
    process.stderr.write(
      `error: plinth needs Node ${NODE_MAJOR_MIN}; this is ${process.versions.node}, and the one that ` +
        'comes with plinth is not installed.\n  Run "npm ci" in the plinth folder, then try again.\n',
    );
    process.exitCode = EXIT_FAILED;
  } else {
    hand(binary);
  }
}

/** V8's own number where there are cores for it. */
function collectorThreads() {
  return Math.min(4, Math.max(1, availableParallelism() - 1));
}

/** Becomes the same process with the flags that a server wants; some systems cannot. */
function takeFlags() {
  const missing = SERVER_FLAGS.filter((flag) => !process.execArgv.includes(flag));
  if (missing.length > 0 && process.execve !== undefined && process.platform !== "win32") {
    // It is marked experimental; nobody at a terminal needs to hear that.
    process.emitWarning = () => undefined;
    const node = process.execPath;
    const args = [...process.execArgv, ...missing, ...process.argv.slice(1)];
    process.execve(node, [node, ...args], process.env);
  }
}

/** The Node of the npm package `node`, wherever npm put it. */
function ownNode() {
  let folder;
  try {
    folder = dirname(module.createRequire(import.meta.url).resolve("node/package.json"));
  } catch {
    return undefined;
  }
  const binary = join(folder, "bin", process.platform === "win32" ? "node.exe" : "node");
  return existsSync(binary) ? binary : undefined;
}

/** Runs this file again under another Node: same terminal, same signals, same exit. */
function hand(binary) {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(binary, [...SERVER_FLAGS, self, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal sends Ctrl-C to both processes; sent on, it would arrive as a second one.
  const onTerminal = [process.stdin, process.stdout, process.stderr].some((s) => s.isTTY);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !onTerminal) {
        child.kill(signal);
      }
    });
  }
  child.on("error", (error) => {
    process.stderr.write(`error: Node ${NODE_MAJOR_MIN} could not be started: ${error.message}\n`);
    process.exitCode = EXIT_FAILED;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}
