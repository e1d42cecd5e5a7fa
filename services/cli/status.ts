// `plinth status`: its declaration. What it does is in status-report.ts.

import type { Command } from "commander";
import { examples, type Runtime, runs } from "./command.ts";

/** Adds `plinth status`. */
export function statusCommand(program: Command, runtime: Runtime): void {
  const status = program
    .command("status")
    .summary("health, version and deployments of a server")
    .description(
      "Show whether the server answers, the health of its services, its version and its deployments. " +
        "Exit code 5 when it cannot be reached or a service is not serving.",
    );
  examples(status, [
    ["The server on this machine", "plinth status"],
    ["In a script", "until plinth status --quiet >/dev/null; do sleep 1; done"],
  ]);
  runs(status, runtime, async () => (await import("./status-report.ts")).reportStatus);
}
