// Starts and ends the processes of the bench. A server says where it listens on its standard
// output; what it writes to standard error is kept for the message when it fails.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

/** What to run. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A server that answers, until it is disposed. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What the process said when it was ready. */
  readonly said: Readonly<Record<string, unknown>>;
}

/** How long a process gets to end by itself. */
const GRACE_MS = 10_000;
const STDERR_KEPT_CHARS = 4000;
const PEAK_INTERVAL_MS = 50;

const children = new Set<ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => process.exit(1));
}
process.once("exit", () => {
  for (const child of children) {
    child.kill("SIGKILL");
  }
});

/**
 * Runs a program to its end and returns its standard output.
 * @throws Error with the end of its standard error when its exit code is not 0.
 */
export async function runToEnd(command: Command): Promise<string> {
  const child = start(command);
  const stderr = collect(child);
  let stdout = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  const [code] = await once(child, "close");
  if (code !== 0) {
    throw new Error(`${describe(command)} ended with code ${code}: ${stderr()}`);
  }
  return stdout;
}

/**
 * Starts a server and waits for the line of output in which `ready` finds what the server says.
 * @throws Error when it ends or stays silent for `timeoutMs`.
 */
export async function startServer(options: {
  readonly command: Command;
  readonly ready: (line: string) => Readonly<Record<string, unknown>> | undefined;
  readonly timeoutMs?: number;
}): Promise<Running> {
  const { command, ready, timeoutMs = 60_000 } = options;
  const child = start(command);
  const stderr = collect(child);
  const lines = createInterface({ input: child.stdout! });
  const said = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    const fail = (what: string) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`${describe(command)} ${what}: ${stderr()}`));
    };
    const timer = setTimeout(() => fail(`was not ready in ${timeoutMs} ms`), timeoutMs);
    child.once("exit", (code) => fail(`ended with code ${code}`));
    lines.on("line", (line) => {
      const found = ready(line);
      if (found !== undefined) {
        clearTimeout(timer);
        child.removeAllListeners("exit");
        resolve(found);
      }
    });
  });
  return { pid: child.pid!, said, [Symbol.asyncDispose]: () => end(child) };
}

/** The line as JSON, when it is an object with an address. */
export function addressLine(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith("{")) {
    return undefined;
  }
  const said = JSON.parse(line) as Readonly<Record<string, unknown>>;
  return "address" in said ? said : undefined;
}

/** Resident memory of a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/**
 * Watches the resident memory of a process's children, all together; the function ends the watch
 * and gives the most that was seen, in bytes.
 */
export function peakOfChildren(pid: number): () => number {
  return peakOf(() => childrenOf(pid));
}

/** The same of the processes that are there at each moment. */
export function peakOf(pids: () => readonly number[]): () => number {
  let peak = 0;
  const timer = setInterval(() => {
    const resident = pids().map((pid) => statusOf(pid, "VmRSS") * 1024);
    peak = Math.max(
      peak,
      resident.reduce((sum, one) => sum + one, 0),
    );
  }, PEAK_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    return peak;
  };
}

function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => statusOf(child, "PPid") === pid);
}

/** A number of /proc/<pid>/status; 0 when the process is gone. */
function statusOf(pid: number, field: string): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function start(command: Command): ChildProcess {
  const child = spawn(command.command, command.args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...command.env },
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  children.add(child);
  child.once("close", () => children.delete(child));
  return child;
}

function collect(child: ChildProcess): () => string {
  let kept = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    kept = (kept + text).slice(-STDERR_KEPT_CHARS);
  });
  child.once("error", (error) => {
    kept += error.message;
    child.emit("exit", -1);
    child.emit("close", -1);
  });
  return () => kept.trim();
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  await exited;
  clearTimeout(timer);
}

function describe(command: Command): string {
  return [command.command, ...command.args].join(" ").slice(0, 300);
}
