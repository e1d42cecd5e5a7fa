// How a circuit or a job of proofs that ended badly is told: its own error, with every violation and
// the exit code of its kind.

import type { Status } from "../../gen/google/rpc/status_pb.js";
import { FailedPrecondition, InvalidArgument } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, exitCodeOf } from "./exit-codes.ts";
import { errorOfStatus } from "./predict-refused.ts";

/** The failure of something that ended with this status; without one it was cancelled. */
export function endedWith(name: string, status: Status | undefined): CommandError {
  if (status === undefined) {
    return new CommandError(`${name} was cancelled.`, { exitCode: ExitCode.failed });
  }
  const error = errorOfStatus(status);
  const violations =
    error instanceof InvalidArgument
      ? error.violations.map(({ field, description }) => [field, description] as const)
      : error instanceof FailedPrecondition
        ? error.violations.map(({ subject, description }) => [subject, description] as const)
        : [];
  return new CommandError(`${name} FAILED: ${error.message}`, {
    exitCode: exitCodeOf(error.kind),
    advice: violations
      .filter(([, description]) => !error.message.includes(description))
      .map(([place, description]) => `- ${place === "" ? "" : `${place}: `}${description}`),
  });
}
