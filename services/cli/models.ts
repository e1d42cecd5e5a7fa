// `plinth models`: what its commands are called, take and explain. What they do is in models-*.ts.

import type { Command } from "commander";
import { commaList, examples, limitOption, type Runtime, repeatable, runs } from "./command.ts";

/** Adds `plinth models ...`. */
export function modelCommands(program: Command, runtime: Runtime): void {
  const models = program.command("models").description("register, inspect and approve models");
  pushCommand(models, runtime);
  readCommands(models, runtime);
  decisionCommands(models, runtime);
  lifeCommands(models, runtime);
}

function pushCommand(models: Command, runtime: Runtime): void {
  const push = models
    .command("push")
    .summary("upload a file as the next version")
    .description(
      "Upload an ONNX file as the next version of a model, and wait until it was tried out. " +
        "Creates the model when it does not exist. A broken upload goes on where it stopped.",
    )
    .argument("<model>", "id of the model")
    .argument("<file>", "the .onnx file")
    .option("--description <text>", "what this version is")
    .option("--metric <name=number>", "evaluation result; repeatable", repeatable)
    .option("--parameter <name=value>", "training parameter; repeatable", repeatable)
    .option("--tag <name=value>", "free tag; repeatable", repeatable)
    .option("--columns <a,b,c>", "names of the input columns, in order", commaList)
    .option("--columns-file <file>", "the same from a file: one a line, or a CSV header line")
    .option("--labels <a,b,c>", "class labels, in the order of the scores", commaList)
    .option(
      "--alias <name>",
      "point this alias at the version once it is READY; repeatable",
      repeatable,
    )
    .option("--approve", "approve the version once it is READY")
    .option("--source-run <id>", "training run, mlflow:/runs/9f1c or a URL")
    .option("--source-revision <revision>", "training code, git:4f1d2c")
    .option("--dataset <name>", "training data set; repeatable", repeatable)
    .option(
      "--feature-service <name[@version]>",
      "feature service it reads at prediction; without a version that of --training-set, else the newest",
    )
    .option("--training-set <job>", "training set it was trained on; repeatable", repeatable)
    .option(
      "--baseline <file>",
      "data the model was trained on, .parquet or .csv: what its traffic is compared with",
    )
    .option("--no-create", "fail when the model does not exist, instead of creating it")
    .option("--resume <upload>", "go on with an upload that was broken off");
  examples(push, [
    [
      "Register and approve in one go",
      "plinth models push churn churn.onnx --metric auc=0.91 --approve",
    ],
    [
      "Name the input columns and classes",
      "plinth models push churn churn.onnx --columns age,plan --labels stays,leaves",
    ],
    [
      "Trained on a training set, predicts by entity key",
      "plinth models push delay delay.onnx --feature-service delay_model --training-set jobs/7f3a",
    ],
    [
      "With the data its traffic is compared with",
      "plinth models push churn churn.onnx --baseline train.parquet --approve",
    ],
    [
      "Move an alias to the new version",
      "plinth models push churn churn.onnx --approve --alias champion",
    ],
  ]);
  runs(push, runtime, async () => (await import("./models-push.ts")).pushModel);
}

function readCommands(models: Command, runtime: Runtime): void {
  const list = models
    .command("list")
    .description("List the models of the workspace.")
    .option("--filter <terms>", 'such as tags.team = "growth" or archived = true')
    .option("--order-by <field>", 'name or create_time, each also with " desc"')
    .addOption(limitOption());
  examples(list, [
    ["All models", "plinth models list"],
    [
      "Those of one team, newest first",
      "plinth models list --filter 'tags.team = \"growth\"' --order-by 'create_time desc'",
    ],
  ]);
  runs(list, runtime, async () => (await import("./models-read.ts")).listModels);

  const versions = models
    .command("versions")
    .description("List the versions of a model, newest first.")
    .argument("<model>", 'id of the model, or "-" for all models')
    .option("--filter <terms>", "such as approval = APPROVED AND metrics.auc > 0.9")
    .option("--order-by <field>", 'version, create_time or metrics.KEY, each also with " desc"')
    .addOption(limitOption());
  examples(versions, [
    ["All versions", "plinth models versions churn"],
    [
      "The best approved ones",
      "plinth models versions churn --filter 'approval = APPROVED' --order-by 'metrics.auc desc'",
    ],
  ]);
  runs(versions, runtime, async () => (await import("./models-read.ts")).listVersions);

  const show = models
    .command("show")
    .description("Show a model, or one version of it with signature, metrics and lineage.")
    .argument("<reference>", "model, model/3, model@alias or model/latest");
  examples(show, [
    ["A model and its aliases", "plinth models show churn"],
    ["A version", "plinth models show churn/3"],
    ["What an alias points at", "plinth models show churn@champion"],
  ]);
  runs(show, runtime, async () => (await import("./models-read.ts")).showModel);

  const download = models
    .command("download")
    .description("Fetch the file of a version; its SHA-256 is checked.")
    .argument("<version>", "model/3, model@alias or model/latest")
    .requiredOption("-o, --output <file>", "where to write it");
  examples(download, [["Fetch a version", "plinth models download churn/3 -o churn-3.onnx"]]);
  runs(download, runtime, async () => (await import("./models-download.ts")).downloadModel);
}

function decisionCommands(models: Command, runtime: Runtime): void {
  const approve = models
    .command("approve")
    .description("Allow a READY version to be deployed.")
    .argument("<version>", "model/3, model@alias or model/latest")
    .option("--comment <text>", "why");
  examples(approve, [
    ["Approve", "plinth models approve churn/3 --comment 'beats version 2 on the holdout set'"],
  ]);
  runs(approve, runtime, async () => (await import("./models-change.ts")).approveVersion);

  const reject = models
    .command("reject")
    .description("Forbid a version to be deployed.")
    .argument("<version>", "model/3, model@alias or model/latest")
    .option("--comment <text>", "why");
  examples(reject, [["Reject", "plinth models reject churn/4 --comment 'leaks the label'"]]);
  runs(reject, runtime, async () => (await import("./models-change.ts")).rejectVersion);

  const alias = models
    .command("alias")
    .description("Point an alias at a version, or remove it with --delete.")
    .argument("<model>", "id of the model")
    .argument("<alias>", "letters, digits, dash and underscore")
    .argument("[version]", "number of the version")
    .option("--delete", "remove the alias");
  examples(alias, [
    ["Set or move", "plinth models alias churn champion 3"],
    ["Remove", "plinth models alias churn champion --delete"],
  ]);
  runs(alias, runtime, async () => (await import("./models-change.ts")).changeAlias);
}

function lifeCommands(models: Command, runtime: Runtime): void {
  const archive = models
    .command("archive")
    .description(
      "Put a model or a version away: it cannot be newly deployed, and lists leave it out.",
    )
    .argument("<reference>", "model or model/3");
  examples(archive, [["A version", "plinth models archive churn/1"]]);
  runs(archive, runtime, async () => (await import("./models-change.ts")).archiveModel);

  const restore = models
    .command("restore")
    .description("Bring an archived model or version back.")
    .argument("<reference>", "model or model/3");
  examples(restore, [["A version", "plinth models restore churn/1"]]);
  runs(restore, runtime, async () => (await import("./models-change.ts")).restoreModel);

  const remove = models
    .command("delete")
    .description("Remove a version, or a model without versions (with --force: its versions too).")
    .argument("<reference>", "model or model/3")
    .option("--force", "remove the model's versions too");
  examples(remove, [
    ["A version", "plinth models delete churn/1"],
    ["A model with all its versions", "plinth models delete churn --force"],
  ]);
  runs(remove, runtime, async () => (await import("./models-change.ts")).deleteModel);
}
