// `plinth features push|ingest|get`: what they are called, take and explain.

import { type Command, Option } from "commander";
import { examples, type Runtime, repeatable, runs, wholeNumber } from "./command.ts";

/** The protocol's limit of one batch. */
const BATCH_ROWS_MAX = 10_000;

/** Adds the commands that move values. */
export function valueCommands(features: Command, runtime: Runtime): void {
  pushCommand(features, runtime);
  ingestCommand(features, runtime);
  getCommand(features, runtime);
}

function targetOptions(command: Command, whole: string): Command {
  return command
    .addOption(
      new Option("--target <store>", "where rows go, of what the view keeps")
        .choices(["online", "offline", "both"])
        .default("both"),
    )
    .addOption(
      new Option(
        "--bad-rows <what>",
        `reject: store nothing of ${whole} that has one; skip: leave them out`,
      )
        .choices(["reject", "skip"])
        .default("reject"),
    );
}

function pushCommand(features: Command, runtime: Runtime): void {
  const push = features
    .command("push")
    .summary("store rows of a feature view")
    .description(
      [
        "Store rows of a feature view, online and as history. Acknowledged rows are durable. Batches are " +
          "named after their content: the same command again changes nothing.",
        "A row has the join keys, event_timestamp (or the column that the view's source names), " +
          "created_timestamp where it is to say when it became known, and features; an empty CSV cell is " +
          "no value. Columns that the view does not have are left out, and named; in --row they are refused.",
      ].join("\n\n"),
    )
    .argument("<view>", "id of the feature view")
    .argument("[file]", "rows: .csv, .tsv, .ndjson, .jsonl or .json; - is stdin")
    .option(
      "--row <key=value,...>",
      "a row, or one in JSON; without event_timestamp it is of now; repeatable",
      repeatable,
    )
    .addOption(
      new Option("--input-format <form>", "form of the file, where its name does not say").choices([
        "csv",
        "tsv",
        "ndjson",
        "json",
      ]),
    );
  targetOptions(push, "a batch").option(
    "--batch-size <rows>",
    "rows of one batch",
    wholeNumber(1, BATCH_ROWS_MAX),
    1000,
  );
  examples(push, [
    ["A file", "plinth features push airport_delays delays.csv"],
    ["A row of now", "plinth features push airport_delays --row airport=ATL,mean_delay=12.5"],
    [
      "In a pipe, good rows although some are bad",
      "zcat delays.ndjson.gz | plinth features push airport_delays - --bad-rows skip",
    ],
  ]);
  runs(push, runtime, async () => (await import("./features-push.ts")).pushRows);
}

function ingestCommand(features: Command, runtime: Runtime): void {
  const ingest = features
    .command("ingest")
    .summary("bring a whole file into a feature view")
    .description(
      "Upload a Parquet, CSV or NDJSON file and bring its rows into a feature view, by a job on the " +
        "server. Columns are read as the view's source says. The online store gets the newest row of " +
        "each key. Rows that say when they became known are the same rows however often they come; others " +
        "became known when the job was started. With a bad row the job fails and nothing is stored, " +
        "unless bad rows are skipped.",
    )
    .argument("<view>", "id of the feature view")
    .argument("<file>", ".parquet, .csv, .ndjson or .jsonl");
  targetOptions(ingest, "a file").addOption(
    new Option("--input-format <form>", "form of the file, where its name does not say").choices([
      "parquet",
      "csv",
      "ndjson",
    ]),
  );
  waitOptions(ingest);
  examples(ingest, [
    ["History and online", "plinth features ingest airport_delays delays.parquet"],
    [
      "A backfill of history only",
      "plinth features ingest airport_delays old.csv --target offline",
    ],
  ]);
  runs(ingest, runtime, async () => (await import("./features-ingest.ts")).ingestFile);
}

/** What every command that starts a job takes. */
export function waitOptions(command: Command): Command {
  return command
    .option("--no-wait", "start the job and leave; `plinth features job` follows it")
    .option("--cancel-on-interrupt", "Ctrl-C cancels the job; without this it goes on");
}

function getCommand(features: Command, runtime: Runtime): void {
  const get = features
    .command("get")
    .summary("read the newest values of features")
    .description(
      [
        "Read the newest values of a feature service, or of single features, for some entities, with " +
          "what became of each: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE (older than the ttl), " +
          "or FAILED (the expression of an on-demand feature had no result).",
        "Keys and request data are key=value; a key that comes again begins the next row. A file has a " +
          "column each. Up to 1000 rows.",
      ].join("\n\n"),
    )
    .argument("<reference...>", "a feature service (name or name@3), or view:feature, view:*")
    .option("--entity <key=value>", "keys and request data of a row; repeatable", repeatable)
    .option("--file <path>", "rows from a .csv, .tsv, .ndjson, .jsonl or .json file; - is stdin")
    .option("--full-names", "name results view__feature");
  examples(get, [
    [
      "What a model would get",
      "plinth features get delay_model --entity origin=ATL --entity destination=SFO",
    ],
    [
      "Two features of two airports",
      "plinth features get airport_delays:mean_delay airport_delays:flights " +
        "--entity airport=ATL --entity airport=SFO",
    ],
    ["Many keys", "plinth features get delay_model --file keys.csv --json"],
  ]);
  runs(get, runtime, async () => (await import("./features-get.ts")).getFeatures);
}
