// Tries a model file in a process of its own, with a limit on time and memory, so that a file which
// crashes, hangs or swallows memory takes nothing with it but the attempt.

import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, Unavailable } from "../common/errors/domain-error.ts";
import { HELLO, parseSandboxReport, type SandboxReport } from "./sandbox-report.ts";
import { memoryFailure } from "./validation-failure.ts";

export interface SandboxLimits {
  readonly timeoutMs: number;
  readonly memoryBytes: number;
}

/** The graph of a model with a thousand operators and full metadata is below this. */
const REPORT_BYTES_MAX = 4 * 1024 * 1024;
const STDERR_BYTES_KEPT = 8 * 1024;
const MEMORY_POLL_MS = 50;
const RETRY_AFTER_MS = 15_000;
/** Reading a graph is all the JavaScript there is to do. */
const HEAP_MIB = 512;
const MAIN = fileURLToPath(new URL("./sandbox-main.ts", import.meta.url));

/**
 * The limits are set by the shell, before Node runs: private memory, no core file, no file writes,
 * and processor time as a second bound should the parent die. `oom_score_adj` makes the kernel
 * choose this process first. What a system does not know is left out; the parent's own watch
 * remains.
 */
const SHELL =
  'ulimit -d "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; ulimit -c 0; ulimit -f 0 2>/dev/null; ' +
  '(echo 1000 > /proc/$$/oom_score_adj) 2>/dev/null; shift 2; exec "$@"';

type Ending =
  | { readonly kind: "exit"; readonly code: number | null; readonly signal: string | null }
  | { readonly kind: "timeout" }
  | { readonly kind: "memory" }
  | { readonly kind: "talkative" };

/**
 * Loads and runs the file at `path` in a sandbox and says what it is or why it cannot be served.
 * @throws Unavailable when the sandbox itself could not start (the file is not to blame); Cancelled
 *   when the signal aborts.
 */
export async function runSandbox(
  path: string,
  limits: SandboxLimits,
  signal: AbortSignal,
): Promise<SandboxReport> {
  const child = start(path, limits);
  const stderr = keepTail(child.stderr);
  const report = keepHead(child.stdio[3] as Readable);
  const ending = await watch(child, { limits, report, signal });
  const [hello, line] = report.text().split("\n");
  if (hello !== HELLO && ending.kind !== "timeout") {
    throw new Unavailable("The model sandbox could not be started; validation will be retried.", {
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      retryAfterMs: RETRY_AFTER_MS,
      cause: new Error(`sandbox ended as ${JSON.stringify(ending)}: ${stderr()}`),
    });
  }
  return verdict(ending, { line: line ?? "", stderr: stderr(), limits });
}

function start(path: string, limits: SandboxLimits): ChildProcess {
  const node = [process.execPath, `--max-old-space-size=${HEAP_MIB}`, "--no-warnings", MAIN, path];
  const kibibytes = Math.ceil(limits.memoryBytes / 1024);
  const cpuSeconds = Math.ceil(limits.timeoutMs / 1000) * 2 + 1;
  const args = ["-c", SHELL, "plinth-sandbox", String(kibibytes), String(cpuSeconds), ...node];
  // An empty environment: whatever secrets the registry was started with are not handed on.
  return spawn("/bin/sh", args, { env: {}, stdio: ["ignore", "ignore", "pipe", "pipe"] });
}

async function watch(
  child: ChildProcess,
  options: {
    readonly limits: SandboxLimits;
    readonly report: Collected;
    readonly signal: AbortSignal;
  },
): Promise<Ending> {
  const { limits, report, signal } = options;
  let forced: Ending | undefined;
  const kill = (ending?: Ending): void => {
    forced ??= ending;
    child.kill("SIGKILL");
  };
  const abort = (): void => kill();
  const timer = setTimeout(() => kill({ kind: "timeout" }), limits.timeoutMs);
  const poll = setInterval(async () => {
    if ((await residentBytes(child.pid)) > limits.memoryBytes) {
      kill({ kind: "memory" });
    }
    if (report.isOverfull()) {
      kill({ kind: "talkative" });
    }
  }, MEMORY_POLL_MS);
  signal.addEventListener("abort", abort, { once: true });
  try {
    const exited = new Promise<Ending>((resolve) => {
      child.once("error", () => resolve({ kind: "exit", code: null, signal: null }));
      child.once("close", (code, by) => resolve({ kind: "exit", code, signal: by }));
    });
    if (signal.aborted) {
      abort();
    }
    const ending = await exited;
    if (signal.aborted) {
      throw new Cancelled("The validation was stopped.", { reason: ErrorReason.CANCELLED });
    }
    return forced ?? ending;
  } finally {
    clearTimeout(timer);
    clearInterval(poll);
    signal.removeEventListener("abort", abort);
  }
}

function verdict(
  ending: Ending,
  facts: { readonly line: string; readonly stderr: string; readonly limits: SandboxLimits },
): SandboxReport {
  switch (ending.kind) {
    case "timeout":
      return timeoutReport(facts.limits);
    case "memory":
      return { failure: memoryFailure() };
    case "talkative":
      return crashedReport("it wrote more than a report may hold");
    case "exit":
      break;
  }
  const report = ending.code === 0 ? parseSandboxReport(facts.line) : undefined;
  if (report !== undefined) {
    return report;
  }
  if (ending.signal === "SIGXCPU") {
    return timeoutReport(facts.limits);
  }
  // Nobody here sent this SIGKILL: the kernel ran out of memory.
  if (ending.signal === "SIGKILL" || /out of memory|bad_alloc|allocation/i.test(facts.stderr)) {
    return { failure: memoryFailure() };
  }
  return crashedReport(ending.signal ?? `exit code ${ending.code}`);
}

function timeoutReport(limits: SandboxLimits): SandboxReport {
  const message =
    `Loading the model and running it once took longer than ${limits.timeoutMs / 1000} s. Make ` +
    "it smaller, or ask the operator to raise PLINTH_REGISTRY_SANDBOX_TIMEOUT.";
  return { failure: { reason: "TIMEOUT", message } };
}

function crashedReport(how: string): SandboxReport {
  const message =
    `onnxruntime crashed on this file (${how}). A model that does this would take its server ` +
    "down. Check it with onnx.checker.check_model and export it again with a current exporter.";
  return { failure: { reason: "CRASHED", message } };
}

/** Resident set of a process; 0 where the system does not tell. */
async function residentBytes(pid: number | undefined): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

interface Collected {
  text(): string;
  isOverfull(): boolean;
}

function keepHead(stream: Readable): Collected {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= REPORT_BYTES_MAX) {
      chunks.push(chunk);
    }
  });
  return {
    text: () => Buffer.concat(chunks).toString("utf8"),
    isOverfull: () => size > REPORT_BYTES_MAX,
  };
}

function keepTail(stream: Readable | null): () => string {
  let tail = "";
  stream?.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-STDERR_BYTES_KEPT);
  });
  return () => tail;
}
