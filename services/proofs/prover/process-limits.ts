// Time and memory of a process that proves: watched from outside, because wasm and native code know
// no limits of their own.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { DomainError } from "../../common/errors/domain-error.ts";
import { DeadlineExceeded, ResourceExhausted } from "../../common/errors/domain-error.ts";
import { residentBytes } from "./circuit-size.ts";

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

/** The error for whoever asked for the task. */
export function limitExceeded(limit: "time" | "memory", limits: ProcessLimits): DomainError {
  if (limit === "time") {
    return new DeadlineExceeded(
      `The prover took longer than ${limits.timeoutMs / 1000} s and was stopped. Make the model ` +
        "smaller, or ask the operator for more time.",
      { reason: ErrorReason.DEADLINE_EXCEEDED },
    );
  }
  return new ResourceExhausted(
    `The prover needed more than ${Math.round(limits.memoryBytes / MIB)} MiB of memory and was ` +
      "stopped. Make the model smaller, or ask the operator for more memory.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
  );
}
