// Time and memory of a process: watched from outside, because wasm and native code know no limits
// of their own, and a loop in JavaScript does not stop to look.

import { readFile } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { DomainError } from "../../common/errors/domain-error.ts";
import { DeadlineExceeded, ResourceExhausted } from "../../common/errors/domain-error.ts";

/** What one task may use. */
export interface ProcessLimits {
  readonly timeoutMs: number;
  readonly memoryBytes: number;
}

const MEMORY_POLL_MS = 50;
const RETRY_AFTER_MS = 60_000;
const MIB = 1024 * 1024;

/** Calls back once where the process with this number passes a limit, until stopped. */
export function watchLimits(
  pid: number | undefined,
  limits: ProcessLimits,
  onExceeded: (limit: "time" | "memory") => void,
): { stop(): void } {
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
    clearInterval(poll);
  };
  const exceeded = (limit: "time" | "memory"): void => {
    if (stopped) return;
    stop();
    onExceeded(limit);
  };
  const timer = setTimeout(() => exceeded("time"), limits.timeoutMs);
  const poll = setInterval(async () => {
    if ((await residentBytes(pid)) > limits.memoryBytes) exceeded("memory");
  }, MEMORY_POLL_MS);
  return { stop };
}

/** The error for whoever asked for the task. `who` did it: "prover". */
export function limitExceeded(
  limit: "time" | "memory",
  limits: ProcessLimits,
  who: string,
): DomainError {
  if (limit === "time") {
    return new DeadlineExceeded(
      `The ${who} took longer than ${limits.timeoutMs / 1000} s and was stopped. Make the model ` +
        "smaller, or ask the operator for more time.",
      { reason: ErrorReason.DEADLINE_EXCEEDED },
    );
  }
  return new ResourceExhausted(
    `The ${who} needed more than ${Math.round(limits.memoryBytes / MIB)} MiB of memory and was ` +
      "stopped. Make the model smaller, or ask the operator for more memory.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
  );
}

/** Resident bytes of a process by its number; 0 where the system does not tell. */
export async function residentBytes(pid: number | undefined): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
