// The process around the command tree: signals, closed pipes, the exit code. Importing it runs it.

import { ExitCode, Interrupted } from "./exit-codes.ts";
import { runProgram } from "./program.ts";

/**
 * After the command is done, handles still open (a piped stdin) hold the process this long at most.
 */
const LINGER_MS = 200;

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) {
      process.exit(signal === "SIGINT" ? ExitCode.interrupted : ExitCode.terminated);
    }
    stopping.abort(new Interrupted(signal));
  });
}
process.stdout.on("error", endOfPipe);
process.stderr.on("error", endOfPipe);
process.exitCode = await runProgram(process.argv.slice(2), stopping.signal);
setTimeout(() => process.exit(), LINGER_MS).unref();

/** `plinth ... | head` has read what it wanted: that is no failure. */
function endOfPipe(error: NodeJS.ErrnoException): void {
  process.exit(error.code === "EPIPE" ? ExitCode.ok : ExitCode.failed);
}
