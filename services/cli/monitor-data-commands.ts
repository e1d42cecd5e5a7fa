// `plinth monitor baseline|labels|settings|erase`: what they are called, take and explain.

import { type Command, InvalidArgumentError, Option } from "commander";
import { durationMs, examples, type Runtime, repeatable, runs, wholeNumber } from "./command.ts";

/** The protocol's limit of one message of labels. */
const BATCH_LABELS_MAX = 10_000;

/** Adds the commands that give monitoring what it compares with, and say how it compares. */
export function monitorDataCommands(monitor: Command, runtime: Runtime): void {
  baselineCommand(monitor, runtime);
  labelsCommand(monitor, runtime);
  settingsCommand(monitor, runtime);
  eraseCommand(monitor, runtime);
}

function baselineCommand(monitor: Command, runtime: Runtime): void {
  const baseline = monitor
    .command("baseline")
    .summary("show what traffic is compared with, or make it")
    .description(
      [
        "Show the profile that a version's traffic is compared with; with --file make it from data, as a " +
          "rule those the model was trained on. The file is read and not kept.",
        "Its columns are named as the version's inputs are; outputs are prediction.<output>, the " +
          "predicted class prediction.label. Columns of other names are left out. A baseline that is " +
          "there is replaced, and windows that were counted against it are no longer compared.",
      ].join("\n\n"),
    )
    .argument("<model>", "id of the model, or the version at once: model/3, model@alias")
    .argument("[version]", "number of the version (or @alias, latest)")
    .option("--file <file>", "data with a header: .parquet or .csv")
    .addOption(
      new Option("--format <form>", "form of the file, where its name does not say").choices([
        "csv",
        "parquet",
      ]),
    )
    .option("--exclude <column>", "column of the file to leave out; repeatable", repeatable);
  examples(baseline, [
    ["Make it", "plinth monitor baseline churn 3 --file train.parquet"],
    ["Show it", "plinth monitor baseline churn 3"],
  ]);
  runs(baseline, runtime, async () => (await import("./monitor-baseline.ts")).baseline);
}

function labelsCommand(monitor: Command, runtime: Runtime): void {
  const labels = monitor
    .command("labels")
    .summary("record what was right")
    .description(
      [
        "Record what was right, one label a row. A row names its prediction by inference_id (and row, " +
          "where the inference had several), or by join keys and event_time: then it is for the newest " +
          "prediction at or before that time. What was right is a class in label, or a value in number.",
        "Acknowledged labels are durable; the same label twice changes nothing, another one replaces " +
          "it, and one that comes before its prediction waits for it.",
      ].join("\n\n"),
    )
    .argument("<deployment>", "id of the deployment")
    .argument("<file>", ".csv, .tsv, .ndjson, .jsonl or .json; - is stdin")
    .addOption(
      new Option("--input-format <form>", "form of the file, where its name does not say").choices([
        "csv",
        "tsv",
        "ndjson",
        "json",
      ]),
    )
    .option("--id-column <name>", "where the inference's id stands (default inference_id)")
    .option("--row-column <name>", "where its row stands, from 0 (default row)")
    .option("--label-column <name>", "where the true class stands (default label)")
    .option("--number-column <name>", "where the true number stands (default number)")
    .option("--time-column <name>", "where the event time stands (default event_time)")
    .option(
      "--key <column[=key]>",
      "column that holds a join key; repeatable (default: all others, where there are no ids)",
      repeatable,
    )
    .addOption(
      new Option("--bad-rows <what>", "skip: leave rows out that are wrong; reject: stop at one")
        .choices(["skip", "reject"])
        .default("skip"),
    )
    .option(
      "--batch-size <n>",
      "labels that are sent at once",
      wholeNumber(1, BATCH_LABELS_MAX),
      1000,
    );
  examples(labels, [
    ["By inference id", "plinth monitor labels churn labels.csv"],
    [
      "By entity, from other names",
      "plinth monitor labels delays actual.csv --key origin=airport --time-column departure " +
        "--number-column delay_minutes",
    ],
  ]);
  runs(labels, runtime, async () => (await import("./monitor-labels.ts")).recordLabels);
}

function settingsCommand(monitor: Command, runtime: Runtime): void {
  const settings = monitor
    .command("settings")
    .summary("show or change how a deployment is monitored")
    .description(
      "Show how a deployment is monitored, or change it; what is not named stays. What of its " +
        "inferences is captured is part of the deployment itself (plinth deployments).",
    )
    .argument("<deployment>", "id of the deployment")
    .option("--window <duration>", "length of a window, 1s to 31d (default 1h)", durationMs)
    .option("--lateness <duration>", "how late a row may come and still count (5m)", durationMs)
    .option("--method <method>", "for all columns, or auto: chosen for each, as Evidently does")
    .option(
      "--dataset-share <share>",
      "share of drifted columns that is drift (0.5)",
      positiveShare,
    )
    .option("--ignore <column>", "leave it out of drift; repeatable", repeatable)
    .option("--include <column>", "no longer leave it out; repeatable", repeatable)
    .option("--segment <column>", "measure performance by it; repeatable, replaces all", repeatable)
    .option("--no-segment", "measure no segments")
    .option("--positive-class <class>", "the class that counts as positive, of two")
    .option(
      "--learn-rows <n>",
      "served rows that make a baseline where there is none (5000)",
      wholeNumber(30, 10_000_000),
    )
    .option("--no-learning", "make baselines from files only")
    .option("--set-from <file>", "YAML with settings; flags win over it. Keys below");
  settings.addHelpText("after", SETTINGS);
  examples(settings, [
    ["Show", "plinth monitor settings churn"],
    ["Shorter windows", "plinth monitor settings churn --window 10m --lateness 1m"],
    ["Not this column", "plinth monitor settings churn --ignore customer_id"],
    ["From a file", "plinth monitor settings churn --set-from monitor.yaml"],
  ]);
  runs(settings, runtime, async () => (await import("./monitor-settings.ts")).monitorSettings);
}

const SETTINGS = `
Settings:
  window: 1h
  allowed_lateness: 5m
  baseline_learning: {rows: 5000}   # or {disabled: true}
  drift:                            # replaced as a whole; so are task and retention
    method: auto
    dataset_share: 0.5
    columns:
      distance: {method: psi, threshold: 0.2, size_min: 500}
      customer_id: {ignored: true}
  task:
    type: classification            # regression, auto
    positive_class: leaves
    output: probabilities
    score_threshold: 0.5
    segment_columns: [plan]
  retention: {windows: 35d, days: 400d, predictions: 35d}`;

function positiveShare(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= 1)) {
    throw new InvalidArgumentError("Expected a number above 0 and up to 1.");
  }
  return value;
}

function eraseCommand(monitor: Command, runtime: Runtime): void {
  const erase = monitor
    .command("erase")
    .summary("remove the kept predictions and labels of an entity")
    .description(
      "Remove the kept predictions and labels of an entity from all deployments of the workspace. " +
        "Windows hold counts of many rows and no keys; they stay. What the features service keeps is " +
        "removed by `plinth features erase`. Asks first; where nobody can be asked, only with --yes.",
    )
    .requiredOption(
      "--key <key=value>",
      "join key; one that comes again begins the next entity; repeatable",
      repeatable,
    )
    .option("--dry-run", "count what would go, and remove nothing")
    .option("--yes", "do not ask");
  examples(erase, [
    ["What would go", "plinth monitor erase --key customer=4711 --dry-run"],
    ["Remove it", "plinth monitor erase --key customer=4711 --yes"],
  ]);
  runs(erase, runtime, async () => (await import("./monitor-erase.ts")).erasePredictions);
}
