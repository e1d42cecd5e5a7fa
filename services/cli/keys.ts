// `plinth keys`: what its commands are called, take and explain.

import { type Command, Option } from "commander";
import { durationMs, examples, limitOption, type Runtime, repeatable, runs } from "./command.ts";
import { ROLES } from "./roles.ts";

/** Adds `plinth keys ...`. */
export function keyCommands(program: Command, runtime: Runtime): void {
  const keys = program.command("keys").description("create and revoke API keys");
  const create = keys
    .command("create")
    .summary("create a key; its secret is shown once")
    .description(
      "Create an API key. Its secret is printed once, on stdout, and kept nowhere. " +
        "With --store or --data-dir the key is written straight into the store: that is how the first " +
        "key of a server is made that refuses to start without one.",
    )
    .addOption(
      new Option("--role <role>", `${ROLES.join(", ")}; repeatable`)
        .argParser(repeatable as (text: string) => string[])
        .makeOptionMandatory(),
    )
    .option("--display-name <text>", "what the key is for", "")
    .option("--expires <duration>", "when it stops working: 30d, 12h (default: never)", durationMs)
    .option("--all-workspaces", "it reaches every workspace, not only --workspace")
    .option("--store <uri>", "write into this store: sqlite:<file> or mongodb://...")
    .option("--data-dir <folder>", "write into the embedded store of this data folder");
  examples(create, [
    [
      "A key for an application",
      "plinth keys create --role predictor --display-name shop --expires 90d",
    ],
    ["A key for a pipeline", "plinth keys create --role editor --role approver"],
    [
      "The first key of a server",
      "plinth keys create --role admin --all-workspaces --data-dir .plinth",
    ],
    ["Into a variable", "export PLINTH_API_KEY=$(plinth keys create --role admin --quiet)"],
  ]);
  runs(create, runtime, async () => (await import("./keys-change.ts")).createKey);

  const list = keys
    .command("list")
    .description("List the keys of the workspace, revoked ones too; without secrets.")
    .option("--all-workspaces", "those that reach every workspace")
    .addOption(limitOption());
  examples(list, [["All", "plinth keys list"]]);
  runs(list, runtime, async () => (await import("./keys-change.ts")).listKeys);

  const revoke = keys
    .command("revoke")
    .description("End a key: at once on the server asked, within 5 seconds on every other.")
    .argument("<id>", "as in `plinth keys list`, or the full name")
    .option("--all-workspaces", "it is one that reaches every workspace");
  examples(revoke, [["Revoke", "plinth keys revoke 0mi1v2k3p4q5r6s7"]]);
  runs(revoke, runtime, async () => (await import("./keys-change.ts")).revokeKey);
}
