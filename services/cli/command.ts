// What every command of the tree shares: its global options, its examples, the parsing of option
// values, and the bridge from a parsed command line to the code that carries it out. That code is
// imported only when its command runs, so that `plinth --help` does not wait for gRPC.

import { type Command, InvalidArgumentError, Option } from "commander";
import { ExitCode, UsageError } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import type { Session } from "./session.ts";

/** What the program keeps while it runs. */
export interface Runtime {
  /** Aborts with Interrupted at Ctrl-C. */
  readonly signal: AbortSignal;
  readonly args: readonly string[];
  exitCode: ExitCode;
}

/** The options of the root, as commander gives them. */
export interface GlobalOptions {
  readonly address?: string;
  readonly apiKey?: string;
  readonly tlsCa?: string;
  readonly workspace?: string;
  readonly timeout?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
}

/** Carries out a command: the session, its arguments in order, its own options. */
export type Run<A, O> = (
  session: Session,
  args: A,
  options: O,
) => Promise<ExitCode | undefined> | Promise<void>;

/** Ties a command to the function that carries it out, which is loaded then. */
export function runs<A extends readonly unknown[], O>(
  command: Command,
  runtime: Runtime,
  load: () => Promise<Run<A, O>>,
): void {
  command.action(async (...received: unknown[]) => {
    const invoked = received.at(-1) as Command;
    const [run, { openSession }] = await Promise.all([load(), import("./open-session.ts")]);
    using session = openSession(invoked.optsWithGlobals<GlobalOptions>(), runtime);
    const args = invoked.processedArgs as unknown as A;
    runtime.exitCode = (await run(session, args, invoked.opts() as O)) ?? ExitCode.ok;
  });
}

/** What a command has that asks no server. */
export interface Desk {
  readonly output: Output;
  /** Aborts with Interrupted at Ctrl-C. */
  readonly signal: AbortSignal;
}

/** As `runs`, for a command that asks no server: no address, no key and no workspace play a part. */
export function runsOffline<A extends readonly unknown[], O>(
  command: Command,
  runtime: Runtime,
  load: () => Promise<(desk: Desk, args: A, options: O) => Promise<ExitCode | undefined>>,
): void {
  command.action(async (...received: unknown[]) => {
    const invoked = received.at(-1) as Command;
    const [run, { outputOf }] = await Promise.all([load(), import("./open-session.ts")]);
    const output = outputOf(invoked.optsWithGlobals<GlobalOptions>());
    const args = invoked.processedArgs as unknown as A;
    const desk = { output, signal: runtime.signal };
    runtime.exitCode = (await run(desk, args, invoked.opts() as O)) ?? ExitCode.ok;
  });
}

/** Adds examples below a command's help: a command line and what it does. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const text = lines.map(([what, line]) => `  # ${what}\n  $ ${line}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${text}`);
}

/** `--limit`, as every list has it. */
export function limitOption(): Option {
  return new Option("--limit <n>", "most rows to list")
    .argParser(wholeNumber(1, 100_000))
    .default(1000);
}

/** A parser of whole numbers in a range. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** A share, "0.25". */
export function share(text: string): number {
  const value = Number(text);
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text) || value > 1) {
    throw new InvalidArgumentError("Expected a number from 0 to 1.");
  }
  return value;
}

/** Collects a repeatable option; commander hands in what came before. */
export function repeatable(text: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), text];
}

const MS_PER: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** "250ms", "30s", "5m", "2h", "30d" in milliseconds. */
export function durationMs(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (parts === null && text !== "0") {
    throw new InvalidArgumentError('Expected a duration such as "250ms", "30s", "5m" or "30d".');
  }
  return Number(parts?.[1] ?? 0) * (MS_PER[parts?.[2] ?? "ms"] ?? 1);
}

/** Bytes as hexadecimal digits, "0x" before them or not. */
export function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, "");
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(digits)) {
    throw new InvalidArgumentError("Expected bytes as hexadecimal digits, two each: 0a1b2c.");
  }
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** "a,b,c" without blanks around; empty parts are refused. */
export function commaList(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.some((part) => part === "")) {
    throw new InvalidArgumentError("Expected names separated by commas, none of them empty.");
  }
  return parts;
}

/** "key=value" pairs as an object; the value may hold further "=". */
export function keyValues(texts: readonly string[], option: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) {
      throw new UsageError(`${option} must look like key=value; got "${text}".`);
    }
    const key = text.slice(0, at);
    if (Object.hasOwn(pairs, key)) {
      throw new UsageError(`${option} names "${key}" twice.`);
    }
    pairs[key] = text.slice(at + 1);
  }
  return pairs;
}

/** As keyValues, with numbers for values. */
export function keyNumbers(texts: readonly string[], option: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(keyValues(texts, option)).map(([key, text]) => {
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value)) {
        throw new UsageError(`${option} ${key} must be a number; got "${text}".`);
      }
      return [key, value];
    }),
  );
}
