// `plinth workspaces`: what its commands are called, take and explain.

import type { Command } from "commander";
import { examples, limitOption, type Runtime, repeatable, runs } from "./command.ts";

/** Adds `plinth workspaces ...`. */
export function workspaceCommands(program: Command, runtime: Runtime): void {
  const workspaces = program
    .command("workspaces")
    .description("make and change workspaces, the boundary of models, deployments and keys");
  const list = workspaces
    .command("list")
    .description("List the workspaces that the caller's key reaches.")
    .addOption(limitOption());
  examples(list, [["All", "plinth workspaces list"]]);
  runs(list, runtime, async () => (await import("./workspaces-change.ts")).listWorkspaces);

  const create = workspaceOptions(
    workspaces
      .command("create")
      .description("Create a workspace; it takes a key that reaches all workspaces.")
      .argument("<id>", "a-z, 0-9 and -, beginning with a letter"),
  );
  examples(create, [
    ["One to try things", "plinth workspaces create team-a --label team=a"],
    ["One that others rely on", "plinth workspaces create live --production"],
  ]);
  runs(create, runtime, async () => (await import("./workspaces-change.ts")).createWorkspace);

  const update = workspaceOptions(
    workspaces
      .command("update")
      .description("Change a workspace; what is not named stays. --label replaces all labels.")
      .argument("<id>", "as in `plinth workspaces list`"),
  )
    .option("--no-label", "remove all labels")
    .option("--no-production", "anything goes in it again, keys for proofs of one party too");
  examples(update, [
    ["Others rely on it from now on", "plinth workspaces update team-a --production"],
  ]);
  runs(update, runtime, async () => (await import("./workspaces-change.ts")).updateWorkspace);

  const remove = workspaces
    .command("delete")
    .description("Remove a workspace; it must be empty.")
    .argument("<id>", "as in `plinth workspaces list`");
  examples(remove, [["Remove", "plinth workspaces delete team-a"]]);
  runs(remove, runtime, async () => (await import("./workspaces-change.ts")).deleteWorkspace);
}

function workspaceOptions(command: Command): Command {
  return command
    .option("--display-name <text>", "what it is called for people")
    .option("--label <key=value>", "a label; repeatable", repeatable)
    .option(
      "--production",
      "others rely on it: keys for proofs that one party made alone are neither made nor used",
    );
}
