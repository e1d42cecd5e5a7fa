// `plinth deployments`: what its commands are called, take and explain.

import type { Command } from "commander";
import {
  durationMs,
  examples,
  limitOption,
  type Runtime,
  repeatable,
  runs,
  share,
  wholeNumber,
} from "./command.ts";

/** Adds `plinth deployments ...`. */
export function deploymentCommands(program: Command, runtime: Runtime): void {
  const deployments = program
    .command("deployments")
    .description("choose which versions serve, and how");
  changeCommands(deployments, runtime);
  readCommands(deployments, runtime);
}

function configOptions(command: Command): Command {
  return command
    .option(
      "--model <version[=weight]>",
      "version that serves: churn/3, churn@champion, churn (latest); with =90 its share; repeatable",
      repeatable,
    )
    .option(
      "--shadow <version[=rate]>",
      "version that gets copies of requests, =0.1 for a tenth; repeatable",
      repeatable,
    )
    .option("--description <text>", "what it is for")
    .option(
      "--max-batch-rows <n>",
      "most rows of one run (default 64; 1: no batching)",
      wholeNumber(0, 1_000_000),
    )
    .option("--max-queue-delay <duration>", "wait this long for more rows (default 0)", durationMs)
    .option(
      "--max-queue-requests <n>",
      "most requests waiting (default 1024)",
      wholeNumber(0, 10_000_000),
    )
    .option(
      "--queue-timeout <duration>",
      "longest wait of a request without deadline (default 30s)",
      durationMs,
    )
    .option(
      "--instances <n>",
      "sessions of each version on each server (default 1)",
      wholeNumber(0, 64),
    )
    .option("--threads <n>", "threads inside one run (default: the server's)", wholeNumber(0, 64))
    .option(
      "--run-timeout <duration>",
      "a run longer than this is taken for hung (default 60s)",
      durationMs,
    )
    .option("--capture-rate <share>", "share of inferences monitored, 0 to 1 (default 1)", share)
    .option(
      "--mask-field <name>",
      "column, input, output or join key that monitoring is never sent; repeatable",
      repeatable,
    )
    .option("--verifiable", "requests may ask for proofs: plinth predict --verifiable")
    .option("--no-verifiable", "they may not (default)")
    .option("--receipts", "keep a signed receipt of every inference")
    .option("--no-receipts", "keep none (default)")
    .option("--wait", "wait until it serves; with --timeout at most that long (default 60s)");
}

function changeCommands(deployments: Command, runtime: Runtime): void {
  const create = configOptions(
    deployments
      .command("create")
      .description(
        "Create a deployment; every version must be READY, APPROVED and of one signature.",
      )
      .argument("<name>", "id of the deployment: what clients call"),
  );
  examples(create, [
    ["Serve the champion", "plinth deployments create churn --model churn@champion --wait"],
    ["Nine to one", "plinth deployments create churn --model churn/3=90 --model churn/4=10"],
    [
      "With a shadow and larger batches",
      "plinth deployments create churn --model churn/3 --shadow churn/4=0.1 --max-batch-rows 256",
    ],
  ]);
  runs(create, runtime, async () => (await import("./deployments-change.ts")).createDeployment);

  const update = configOptions(
    deployments
      .command("update")
      .description("Change a deployment; what is not named stays. --model replaces all targets.")
      .argument("<name>", "id of the deployment"),
  )
    .option("--no-shadow", "stop shadowing")
    .option("--no-mask-field", "send monitoring every field again");
  examples(update, [
    [
      "Shift traffic",
      "plinth deployments update churn --model churn/3=50 --model churn/4=50 --wait",
    ],
    ["Batch more", "plinth deployments update churn --max-batch-rows 256 --max-queue-delay 2ms"],
    [
      "Monitor a tenth, without two fields",
      "plinth deployments update churn --capture-rate 0.1 --mask-field name --mask-field iban",
    ],
    ["Let answers be proved", "plinth deployments update churn --verifiable --receipts"],
  ]);
  runs(update, runtime, async () => (await import("./deployments-change.ts")).updateDeployment);

  const rollback = deployments
    .command("rollback")
    .description("Make an earlier configuration current again, as a new revision.")
    .argument("<name>", "id of the deployment")
    .option("--revision <n>", "which one (default: the one before)", wholeNumber(1, 1e15))
    .option("--wait", "wait until it serves");
  examples(rollback, [
    ["Undo the last change", "plinth deployments rollback churn --wait"],
    ["Go back to a revision of `show`", "plinth deployments rollback churn --revision 4"],
  ]);
  runs(rollback, runtime, async () => (await import("./deployments-change.ts")).rollbackDeployment);

  const remove = deployments
    .command("delete")
    .description("Stop serving a deployment and remove it.")
    .argument("<name>", "id of the deployment");
  examples(remove, [["Remove", "plinth deployments delete churn"]]);
  runs(remove, runtime, async () => (await import("./deployments-change.ts")).deleteDeployment);
}

function readCommands(deployments: Command, runtime: Runtime): void {
  const list = deployments
    .command("list")
    .description("List the deployments of the workspace.")
    .addOption(limitOption());
  examples(list, [["All", "plinth deployments list"]]);
  runs(list, runtime, async () => (await import("./deployments-read.ts")).listDeployments);

  const show = deployments
    .command("show")
    .description("Show a deployment: targets, settings, what each server reports, history.")
    .argument("<name>", "id of the deployment");
  examples(show, [["One", "plinth deployments show churn"]]);
  runs(show, runtime, async () => (await import("./deployments-read.ts")).showDeployment);
}
