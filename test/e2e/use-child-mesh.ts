// A mesh in a process of its own, as `npm start` has it: for what only a process can do, die at
// once, run out of memory, or be looked at from outside.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import type { Env } from "../../services/common/config.ts";
import { Channel } from "../../services/common/rpc/client.ts";
import { ROOT } from "./use-mesh.ts";

export interface ChildMesh {
  readonly grpcAddress: string;
  readonly webUrl: string;
  /** Whether calls without a key pass. */
  readonly open: boolean;
  /** Disposed with the test. */
  readonly channel: Channel;
  /** What it wrote to standard error. */
  stderr(): string;
  /** Resident memory; NaN where /proc is not to be had. */
  residentBytes(): number;
  /** SIGKILL: the process has no say. */
  kill(): Promise<void>;
  /** SIGTERM; the exit code. */
  stop(): Promise<number | null>;
}

export interface ChildOptions {
  readonly dataDir: string;
  readonly args?: readonly string[];
  readonly env?: Env;
  /** Whether an empty data folder gets the examples; absent: no. */
  readonly examples?: boolean;
}

/** Runs `plinth` with these arguments; ends with the test. */
export function spawnPlinth(
  args: readonly string[],
  env: Env = {},
): { readonly child: ChildProcess; stderr(): string; stdout(): string } {
  const child = spawn(process.execPath, [join(ROOT, "bin", "plinth.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PLINTH_LOG: "error", ...env },
  });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.on("data", (data: Buffer) => {
      text[name] += data.toString();
    });
  }
  onTestFinished(async () => {
    await ended(child, "SIGKILL");
  });
  return { child, stdout: () => text.stdout, stderr: () => text.stderr };
}

/** Starts `plinth up` on free ports and waits until it is ready. */
export async function useChildMesh(options: ChildOptions): Promise<ChildMesh> {
  const { dataDir, args = [], env = {}, examples = false } = options;
  const plinth = spawnPlinth(
    [
      ...["up", "--data-dir", dataDir, "--grpc-port", "0", "--web-port", "0", "--json"],
      ...(examples ? [] : ["--no-examples"]),
      ...args,
    ],
    env,
  );
  const { child } = plinth;
  const line = await Promise.race([
    once(createInterface(child.stdout!), "line").then(([text]) => String(text)),
    once(child, "exit").then(() => undefined),
  ]);
  if (line === undefined) {
    throw new Error(`plinth up ended before it was ready: ${plinth.stderr()}`);
  }
  const started = JSON.parse(line) as { grpcAddress: string; webAddress: string; open: boolean };
  const channel = new Channel({ address: started.grpcAddress });
  onTestFinished(() => channel[Symbol.dispose]());
  return {
    grpcAddress: started.grpcAddress,
    webUrl: `http://${started.webAddress}`,
    open: started.open,
    channel,
    stderr: plinth.stderr,
    residentBytes: () => residentBytes(child.pid),
    async kill() {
      await ended(child, "SIGKILL");
    },
    stop: () => ended(child, "SIGTERM"),
  };
}

/** Resident memory of a process; NaN where it cannot be seen. */
export function residentBytes(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  } catch {
    return Number.NaN;
  }
}

/** Sends the signal to a process that runs, and waits for its end; the exit code. */
async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
  return child.exitCode;
}
