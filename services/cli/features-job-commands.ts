// `plinth features materialize|training-set|erase|check-skew|compact|jobs|job`: what they are
// called, take and explain.

import { type Command, Option } from "commander";
import { examples, limitOption, type Runtime, repeatable, runs, wholeNumber } from "./command.ts";
import { waitOptions } from "./features-value-commands.ts";

/** Adds the commands that start long work, and those that look after it. */
export function jobCommands(features: Command, runtime: Runtime): void {
  materializeCommand(features, runtime);
  trainingSetCommand(features, runtime);
  eraseCommand(features, runtime);
  checkCommands(features, runtime);
  followCommands(features, runtime);
}

function materializeCommand(features: Command, runtime: Runtime): void {
  const materialize = features
    .command("materialize")
    .summary("bring history online")
    .description(
      "Write the newest row of each key from history to the online store: what came since the last " +
        "run, or the rows of an interval of event times. Twice, or by two at once, is as good as once.",
    )
    .argument("<view...>", "ids of feature views")
    .option("--from <time>", "only rows from this event time on; with --to")
    .option("--to <time>", "only rows before this event time")
    .option("--rate <keys>", "most keys a second", wholeNumber(1, 2 ** 31 - 1));
  waitOptions(materialize);
  examples(materialize, [
    ["What is new", "plinth features materialize airport_delays route_delays"],
    [
      "An interval, gently",
      "plinth features materialize airport_delays --from 2001-06-01 --to 2001-07-01 --rate 5000",
    ],
  ]);
  runs(materialize, runtime, async () => (await import("./features-maintain.ts")).materialize);
}

function trainingSetCommand(features: Command, runtime: Runtime): void {
  const trainingSet = features
    .command("training-set")
    .summary("join features to a table, as of each row's time")
    .description(
      [
        "Upload a table of entities (keys, a time, labels, any other columns), join to each row the " +
          "values that an online read at its time would have given, and fetch the result; its SHA-256 is " +
          "checked. Rows and their order stay.",
        "A value counts only from when it was known (created), so that a backfill leaks nothing.",
      ].join("\n\n"),
    )
    .argument("<service>", "feature service: name, or name@3")
    .requiredOption("--entities <file>", "the table: .parquet, .csv, .ndjson or .jsonl")
    .requiredOption("--out <file>", "where to write the training set")
    .addOption(
      new Option(
        "--format <form>",
        "form of the training set (default: by the name of --out)",
      ).choices(["parquet", "csv"]),
    )
    .addOption(
      new Option("--input-format <form>", "form of the table, where its name does not say").choices(
        ["parquet", "csv", "ndjson"],
      ),
    )
    .option("--time-column <name>", "column with each row's time (default event_timestamp)")
    .option("--ignore-created", "values count from their event time, whenever they became known")
    .option("--job-id <id>", "id of the job, which lineage names (default: the server's)");
  waitOptions(trainingSet);
  examples(trainingSet, [
    [
      "Make one",
      "plinth features training-set delay_model --entities flights.parquet --out train.parquet",
    ],
    [
      "As CSV, with another time column",
      "plinth features training-set delay_model@2 --entities flights.csv --time-column departure " +
        "--out train.csv",
    ],
  ]);
  runs(
    trainingSet,
    runtime,
    async () => (await import("./features-training-set.ts")).makeTrainingSet,
  );
}

function eraseCommand(features: Command, runtime: Runtime): void {
  const erase = features
    .command("erase")
    .summary("remove everything stored of an entity's keys")
    .description(
      "Remove everything stored of keys of an entity: online, in history, in kept reads; a second look " +
        "verifies it. Shows first what would go, and lets you type the key. Needs the role admin. Where " +
        "nobody can be asked, only with --yes.",
    )
    .argument("<entity>", "id of the entity")
    .option("--key <key=value>", "join keys; one that comes again begins the next key", repeatable)
    .option("--file <path>", "keys from a .csv, .tsv, .ndjson, .jsonl or .json file; - is stdin")
    .option("--dry-run", "show what would go, and remove nothing")
    .option("--yes", "do not ask, and do not rehearse");
  waitOptions(erase);
  examples(erase, [
    ["See what would go", "plinth features erase airport --key airport=ATL --dry-run"],
    ["Remove it", "plinth features erase airport --key airport=ATL"],
  ]);
  runs(erase, runtime, async () => (await import("./features-erase.ts")).eraseEntity);
}

function checkCommands(features: Command, runtime: Runtime): void {
  const skew = features
    .command("check-skew")
    .summary("compare what was served with history")
    .description(
      "Compare kept online reads of a feature service with what the point-in-time join gives for the " +
        "same keys and times, and show the rows that differ; then the exit code is 1. Reads are kept " +
        "where the service has a loggingSampleRate.",
    )
    .argument("<service>", "feature service: name, or name@3")
    .option("--from <time>", "only reads from this time on")
    .option("--to <time>", "only reads before this time");
  waitOptions(skew);
  examples(skew, [["All kept reads", "plinth features check-skew delay_model"]]);
  runs(skew, runtime, async () => (await import("./features-maintain.ts")).checkSkew);

  const compact = features
    .command("compact")
    .summary("tidy the files of a view's history")
    .description(
      "Join the small files of each day and drop rows that are there twice. What is read from history " +
        "stays the same. The server does so by itself where a day has many files.",
    )
    .argument("<view...>", "ids of feature views");
  waitOptions(compact);
  examples(compact, [["One view", "plinth features compact airport_delays"]]);
  runs(compact, runtime, async () => (await import("./features-maintain.ts")).compact);
}

function followCommands(features: Command, runtime: Runtime): void {
  const jobs = features
    .command("jobs")
    .summary("list jobs, newest first")
    .description("List the jobs of the workspace, newest first.")
    .addOption(limitOption());
  examples(jobs, [["The last ten", "plinth features jobs --limit 10"]]);
  runs(jobs, runtime, async () => (await import("./features-jobs.ts")).listJobs);

  const job = features
    .command("job")
    .summary("show, follow, cancel or delete a job")
    .description("Show a job; with an option follow it, stop it, remove it or fetch its file.")
    .argument("<job>", "its id, or jobs/id")
    .option("--watch", "follow it to its end")
    .option("--cancel", "stop it; one that has ended stays as it is")
    .option("--delete", "remove one that has ended, its training set with it")
    .option("--out <file>", "fetch the file of a training set; its SHA-256 is checked")
    .option("--cancel-on-interrupt", "with --watch: Ctrl-C cancels the job");
  examples(job, [
    ["Follow it", "plinth features job jobs/7f3a --watch"],
    ["Fetch a training set again", "plinth features job jobs/7f3a --out train.parquet"],
  ]);
  runs(job, runtime, async () => (await import("./features-jobs.ts")).oneJob);
}
