// The command tree and its global options. Declarations only: what a command does is imported when
// it runs. A run ends in an exit code, never in a thrown error or a stack trace.

import { Command, CommanderError, Option } from "commander";
import { PLINTH_VERSION } from "../common/version.ts";
import { circuitCommands } from "./circuits.ts";
import { durationMs, type GlobalOptions, type Runtime } from "./command.ts";
import { deploymentCommands } from "./deployments.ts";
import { ExitCode, exitCodeHelp } from "./exit-codes.ts";
import { featureCommands } from "./features.ts";
import { keyCommands } from "./keys.ts";
import { modelCommands } from "./models.ts";
import { monitorCommands } from "./monitor.ts";
import { predictCommand } from "./predict.ts";
import { proofCommands } from "./proof.ts";
import { proveCommand } from "./prove.ts";
import { receiptCommands } from "./receipts.ts";
import { statusCommand } from "./status.ts";
import { serverCommands } from "./up.ts";
import { workspaceCommands } from "./workspaces.ts";

const SUMMARY = `Register, deploy, call and watch machine-learning models, serve their features, prove their answers.

A first tour:
  $ plinth up
  $ plinth models push churn churn.onnx --metric accuracy=0.93 --approve
  $ plinth deployments create churn --model churn --wait
  $ plinth predict churn --row '{"age": 41, "plan": 2}'`;

/** Runs one command line; resolves with its exit code. */
export async function runProgram(args: readonly string[], signal: AbortSignal): Promise<ExitCode> {
  const runtime: Runtime = { signal, args, exitCode: ExitCode.ok };
  const program = buildProgram(runtime);
  // `predict --version 3` is a model version; only as the first word does it mean the program's
  // own.
  const words = args[0] === "--version" ? ["-V"] : args;
  try {
    await program.parseAsync(words, { from: "user" });
    return runtime.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    }
    return report(error, program.opts<GlobalOptions>());
  }
}

/** The whole tree, not yet parsed. */
export function buildProgram(runtime: Runtime): Command {
  const program = new Command("plinth")
    .description(SUMMARY)
    .exitOverride()
    .showHelpAfterError("Add --help for the options and examples.")
    .configureHelp({
      showGlobalOptions: true,
      optionTerm: (option) => (option.flags === "-V" ? "-V, --version" : option.flags),
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(term)].join(" "),
    })
    .configureOutput({ writeErr: (text) => process.stderr.write(text) });
  program.version(PLINTH_VERSION, "-V", "print the version");
  program
    .addOption(
      new Option(
        "--address <host:port>",
        "server to ask (env PLINTH_ADDRESS; default 127.0.0.1:50051)",
      ),
    )
    .option("--api-key <key>", "credential, plk_... (env PLINTH_API_KEY)")
    .option("--tls-ca <file>", 'PEM to trust over TLS, or "system" (env PLINTH_TLS_CA)')
    .option("--workspace <id>", "workspace to work in (env PLINTH_WORKSPACE; default default)")
    .addOption(
      new Option("--timeout <duration>", "longest a call may take, 30s or 5m").argParser(
        durationMs,
      ),
    )
    .option("--json", "print results as JSON on stdout, errors as JSON on stderr")
    .option("--quiet", "no progress and no notes")
    .option("--no-color", "no colours (env NO_COLOR)");
  serverCommands(program, runtime);
  modelCommands(program, runtime);
  deploymentCommands(program, runtime);
  featureCommands(program, runtime);
  predictCommand(program, runtime);
  monitorCommands(program, runtime);
  circuitCommands(program, runtime);
  proveCommand(program, runtime);
  proofCommands(program, runtime);
  receiptCommands(program, runtime);
  workspaceCommands(program, runtime);
  keyCommands(program, runtime);
  statusCommand(program, runtime);
  return program.addHelpText("after", `\n${exitCodesText()}`);
}

function term(argument: {
  readonly required: boolean;
  readonly variadic: boolean;
  name(): string;
}): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function exitCodesText(): string {
  const lines = exitCodeHelp.map(([code, what]) => `  ${String(code).padEnd(5)}${what}`);
  return [
    "Exit codes:",
    ...lines,
    "",
    "PLINTH_DEBUG=1 adds a stack trace to an unexpected error.",
  ].join("\n");
}

async function report(error: unknown, options: GlobalOptions): Promise<ExitCode> {
  const [{ reportFailure }, { outputOf }, { readEnv }] = await Promise.all([
    import("./error-report.ts"),
    import("./open-session.ts"),
    import("../common/config.ts"),
  ]);
  const env = readEnv();
  return reportFailure(error, {
    output: outputOf(options),
    address: options.address ?? (env.PLINTH_ADDRESS || "127.0.0.1:50051"),
    hasApiKey: Boolean(options.apiKey ?? env.PLINTH_API_KEY),
    debug: env.PLINTH_DEBUG === "1",
  });
}
