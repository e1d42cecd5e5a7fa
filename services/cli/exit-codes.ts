// What the shell is told. Scripts branch on these numbers, so they are documented in `plinth
// --help`, tested, and never change their meaning.

import type { ErrorKind } from "../common/errors/domain-error.ts";

/** The exit codes; their meanings are in `exitCodeHelp`. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  invalidInput: 4,
  unavailable: 5,
  permission: 6,
  conflict: 7,
  partly: 8,
  drifted: 9,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The table at the end of `plinth --help`. */
export const exitCodeHelp: readonly (readonly [ExitCode, string])[] = [
  [ExitCode.ok, "done"],
  [ExitCode.failed, "a proof or receipt is not valid; failed in a way that no other code names"],
  [ExitCode.usage, "the command line is wrong; nothing was done"],
  [
    ExitCode.notFound,
    "a model, version, circuit, proof, deployment, feature, job, key or file is not there",
  ],
  [ExitCode.invalidInput, "the input was refused: a bad row, a bad name, a model that cannot run"],
  [ExitCode.unavailable, "server unreachable, overloaded or too slow; try again"],
  [ExitCode.permission, "no API key, or one that may not do this"],
  [ExitCode.conflict, "the name is taken, or the state of things forbids it"],
  [
    ExitCode.partly,
    "finished, but some rows were skipped or refused (--on-error skip, --bad-rows skip)",
  ],
  [ExitCode.drifted, "drift was found, and --fail-on-drift asked"],
  [ExitCode.interrupted, "stopped by Ctrl-C"],
];

/** The command line cannot be carried out as it stands. */
export class UsageError extends Error {}

/** A failure of the command itself, with the exit code it deserves and what to do about it. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;
  readonly advice: readonly string[];

  constructor(message: string, options: { exitCode: ExitCode; advice?: readonly string[] }) {
    super(message);
    this.exitCode = options.exitCode;
    this.advice = options.advice ?? [];
  }
}

/** Thrown through everything when the user or the system stops the command. */
export class Interrupted extends Error {
  readonly signal: "SIGINT" | "SIGTERM";
  /** What is told: where things stand now. */
  readonly account: string;

  constructor(signal: "SIGINT" | "SIGTERM", account = "Stopped.") {
    super(`Stopped by ${signal}.`);
    this.signal = signal;
    this.account = account;
  }
}

/** The exit code of each kind of error that a server answers with. */
export function exitCodeOf(kind: ErrorKind): ExitCode {
  switch (kind) {
    case "NotFound":
      return ExitCode.notFound;
    case "InvalidArgument":
      return ExitCode.invalidInput;
    case "Unavailable":
    case "DeadlineExceeded":
    case "ResourceExhausted":
      return ExitCode.unavailable;
    case "Unauthenticated":
    case "PermissionDenied":
      return ExitCode.permission;
    case "AlreadyExists":
    case "FailedPrecondition":
    case "Aborted":
      return ExitCode.conflict;
    case "Cancelled":
    case "DataLoss":
    case "Unimplemented":
    case "Internal":
      return ExitCode.failed;
  }
}
