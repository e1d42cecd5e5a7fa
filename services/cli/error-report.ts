// How a failure is told: one block with what was wrong, each violation, and what to do; or one line
// of JSON for programs. A stack trace only when PLINTH_DEBUG=1 asks for it.

import type { DomainError } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, exitCodeOf, Interrupted, UsageError } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import { printable, printableLines } from "./table.ts";

/** What the report may need to know of the command that failed. */
export interface FailureContext {
  readonly output: Output;
  readonly address: string | undefined;
  readonly hasApiKey: boolean;
  readonly debug: boolean;
}

interface Failure {
  readonly message: string;
  readonly exitCode: ExitCode;
  /** "NotFound"; absent for failures of the command itself. */
  readonly kind?: string;
  /** "RESOURCE_NOT_FOUND" */
  readonly reason?: string;
  readonly violations: readonly string[];
  readonly advice: readonly string[];
}

/** Prints the failure to stderr and gives the exit code it stands for. */
export async function reportFailure(error: unknown, context: FailureContext): Promise<ExitCode> {
  if (error instanceof Interrupted) {
    context.output.note(error.account);
    return error.signal === "SIGINT" ? ExitCode.interrupted : ExitCode.terminated;
  }
  const failure = await failureOf(error, context);
  process.stderr.write(context.output.json ? jsonLine(failure) : block(failure, context.output));
  if (context.debug && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      process.stderr.write(`caused by ${cause.stack}\n`);
    }
  }
  return failure.exitCode;
}

function block(failure: Failure, output: Output): string {
  const name =
    failure.reason === undefined ? "" : output.tone("dim", ` [${failure.reason}]`, "stderr");
  const lines = [
    `${output.tone("bad", "error:", "stderr")} ${printableLines(failure.message)}${name}`,
    ...failure.violations.map((violation) => `  - ${printable(violation)}`),
    ...failure.advice.map((advice) => `  ${printableLines(advice)}`),
  ];
  return `${lines.join("\n")}\n`;
}

function jsonLine(failure: Failure): string {
  return `${JSON.stringify({ error: failure })}\n`;
}

async function failureOf(error: unknown, context: FailureContext): Promise<Failure> {
  if (error instanceof UsageError) {
    return plain(error.message, ExitCode.usage, [
      'See "plinth --help" or add --help to the command.',
    ]);
  }
  if (error instanceof CommandError) {
    return plain(error.message, error.exitCode, error.advice);
  }
  const domain = await import("../common/errors/domain-error.ts");
  if (error instanceof domain.DomainError) {
    return ofServer(error, context);
  }
  return ofSystem(error, context);
}

async function ofServer(error: DomainError, context: FailureContext): Promise<Failure> {
  const { ErrorReason } = await import("../../gen/plinth/common/v1/error_reason_pb.js");
  const { FailedPrecondition, InvalidArgument } = await import("../common/errors/domain-error.ts");
  const violations =
    error instanceof InvalidArgument
      ? unsaid(error).map((v) => (v.field === "" ? v.description : `${v.field}: ${v.description}`))
      : error instanceof FailedPrecondition
        ? unsaid(error).map((v) => `${v.subject}: ${v.description}`)
        : [];
  const reason = ErrorReason[error.reason] ?? "UNSPECIFIED";
  const unreachable = connectionFailure(error.message);
  if (error.kind === "Unavailable" && unreachable !== undefined) {
    return {
      message: `${context.address ?? "The server"} cannot be reached (${unreachable}).`,
      exitCode: ExitCode.unavailable,
      kind: error.kind,
      reason,
      violations: [],
      advice: [
        'Start a server with "plinth up", or name another with --address or PLINTH_ADDRESS.',
      ],
    };
  }
  return {
    message: error.message,
    exitCode: exitCodeOf(error.kind),
    kind: error.kind,
    reason,
    violations,
    advice: adviceFor(error, context),
  };
}

/** The violations that the message does not tell already. */
function unsaid<V extends { readonly description: string }>(error: {
  readonly message: string;
  readonly violations: readonly V[];
}): readonly V[] {
  return error.violations.filter((violation) => !error.message.includes(violation.description));
}

/** The short form of what grpc-js says when it has no connection. */
function connectionFailure(message: string): string | undefined {
  if (!/No connection established|Name resolution failed|Connection dropped/.test(message)) {
    return undefined;
  }
  const known: readonly (readonly [RegExp, string])[] = [
    [/ECONNREFUSED/, "nothing listens there"],
    [/Name resolution failed|ENOTFOUND|EAI_AGAIN/, "the name is not known"],
    [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, "no route, or no answer"],
    [/ECONNRESET|socket hang up|dropped/, "the connection was cut"],
  ];
  return known.find(([pattern]) => pattern.test(message))?.[1] ?? "no connection";
}

function adviceFor(error: DomainError, context: FailureContext): readonly string[] {
  switch (error.kind) {
    case "Unauthenticated":
      return [
        context.hasApiKey
          ? "Check the key given by --api-key or PLINTH_API_KEY."
          : "Give a key with --api-key or PLINTH_API_KEY.",
      ];
    case "DeadlineExceeded":
      return ["Allow more time with --timeout, for example --timeout 2m."];
    case "ResourceExhausted":
      return ["Wait a moment and try again."];
    case "Aborted":
      return ["Someone else changed it meanwhile; look at it again, then repeat the command."];
    case "Unimplemented":
      return ["Does the server at this address run that service? See `plinth status`."];
    default:
      return [];
  }
}

async function ofSystem(error: unknown, context: FailureContext): Promise<Failure> {
  if (error instanceof Error && "syscall" in error && "code" in error) {
    return ofFile(error as NodeJS.ErrnoException);
  }
  const text = error instanceof Error ? error.message : String(error);
  return plain(`plinth failed unexpectedly: ${text}`, ExitCode.failed, [
    context.debug ? "" : "PLINTH_DEBUG=1 shows where it happened.",
  ]);
}

function ofFile(error: NodeJS.ErrnoException): Failure {
  const path = error.path ?? "";
  switch (error.code) {
    case "ENOENT":
      return plain(`There is no file or folder "${path}".`, ExitCode.notFound, []);
    case "EACCES":
    case "EPERM":
      return plain(
        `"${path}" may not be ${error.syscall === "open" ? "opened" : "used"}.`,
        ExitCode.permission,
        ["Check the permissions of the file and its folder."],
      );
    case "EISDIR":
      return plain(`"${path || "the file"}" is a folder, not a file.`, ExitCode.invalidInput, []);
    case "ENOSPC":
      return plain("The disk is full.", ExitCode.failed, ["Free some space, then try again."]);
    default:
      return plain(`${error.message}.`, ExitCode.failed, []);
  }
}

function plain(message: string, exitCode: ExitCode, advice: readonly string[]): Failure {
  return { message, exitCode, violations: [], advice: advice.filter((line) => line !== "") };
}
