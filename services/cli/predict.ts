// `plinth predict`: what it is called, takes and explains. What it does is in predict-run.ts.

import { type Command, Option } from "commander";
import {
  commaList,
  durationMs,
  examples,
  hexBytes,
  type Runtime,
  repeatable,
  runs,
  wholeNumber,
} from "./command.ts";

/** The forms of the result. */
const FORMATS = ["table", "json", "ndjson", "csv"] as const;

/** The forms of the input. */
const INPUT_FORMATS = ["csv", "tsv", "ndjson", "json"] as const;

/** The protocol's limits: rows of one request, requests of a stream in flight. */
const BATCH_ROWS_MAX = 1024;
const IN_FLIGHT_MAX = 256;

const DESCRIPTION = [
  "Ask a deployment for predictions, for rows given here, in a file, or on stdin.",
  "CSV: the first line names the columns; cells that look like numbers are numbers, true and false " +
    "are booleans, an empty cell is null. NDJSON: one object a line. JSON: an array of objects, or " +
    '{"rows": [...]}.',
  "A version with a feature service takes entities in place of rows: its keys and request data, for " +
    "which the server reads the features. A key that comes again begins the next row. A row whose " +
    "feature has neither a value nor a default is refused and named.",
  "With --verifiable, rows go through the version's active circuit too, which computes in whole numbers: its " +
    "outputs are the answer, and the server makes a proof of each row. At most 64 rows a call.",
  "Up to 256 rows are one call. More are streamed: memory stays bounded, answers come in input order. " +
    "When the stream breaks, nothing is sent again by itself: you are told how many rows were " +
    "answered and written, and the command line that goes on from there.",
].join("\n\n");

/** Adds `plinth predict`. */
export function predictCommand(program: Command, runtime: Runtime): void {
  const predict = program
    .command("predict")
    .summary("ask a deployment for predictions")
    .description(DESCRIPTION)
    .argument("<deployment>", "id of the deployment")
    .option("--row <json>", 'a row, {"column": value}; repeatable', repeatable)
    .option("--file <path>", "rows from a .csv, .tsv, .ndjson, .jsonl or .json file; - is stdin")
    .option(
      "--entity <key=value>",
      "in place of a row, keys of the version's feature service; repeatable",
      repeatable,
    )
    .option("--entities <path>", "entities from a file, as --file has rows; - is stdin")
    .addOption(
      new Option("--input-format <form>", "form of the file, where its name does not say").choices([
        ...INPUT_FORMATS,
      ]),
    )
    .option("--text-columns <a,b>", "CSV columns whose cells stay text, also 007", commaList)
    .addOption(
      new Option(
        "--format <form>",
        "form of the result (default: by --output, else table)",
      ).choices([...FORMATS]),
    )
    .option("-o, --output <file>", "write the result there instead of to stdout")
    .option("--append", "add to the end of the result: no CSV header, --output is kept")
    .option("--with-inputs", "repeat the input columns in json, ndjson and csv results")
    .option("--outputs <a,b>", "outputs wanted (default: all)", commaList)
    .option("--version <n>", "version to use (default: by traffic weights)", wholeNumber(1, 1e15))
    .option("--routing-key <key>", "requests of one key go to one version")
    .option("--event-time <time>", "when it happens, for monitoring (RFC 3339; default: now)")
    .option(
      "--verifiable",
      "have the answer proved: it is the circuit's, the float model's beside it",
    )
    .option(
      "--context <hex>",
      "bytes of your own for receipt and proof: an order, a nonce",
      hexBytes,
    )
    .option("--wait <duration>", "with --verifiable, wait for the proofs: 30s", durationMs)
    .option(
      "--batch-rows <n>",
      "rows a message when streaming",
      wholeNumber(1, BATCH_ROWS_MAX),
      256,
    )
    .option("--in-flight <n>", "messages sent and not answered", wholeNumber(1, IN_FLIGHT_MAX), 8)
    .option("--skip-rows <n>", "leave out the first rows of the input", wholeNumber(0, 1e15), 0)
    .addOption(
      new Option("--on-error <what>", "at a row that cannot be read or is refused")
        .choices(["stop", "skip"])
        .default("stop"),
    );
  examples(predict, [
    ["One row", `plinth predict churn --row '{"age": 41, "plan": 2}'`],
    ["By entity key", "plinth predict delay --entity origin=ATL --entity destination=SFO"],
    [
      "A file, to a file",
      "plinth predict churn --file customers.csv --output scores.csv --with-inputs",
    ],
    [
      "With a proof of the answer",
      "plinth predict churn --row '{\"age\": 41}' --verifiable --context 0a1b2c --wait 30s",
    ],
    ["In a pipe", "zcat events.ndjson.gz | plinth predict churn --file - --format ndjson | head"],
    [
      "Go on after a break",
      "plinth predict churn --file customers.csv -o scores.csv --append --skip-rows 51200",
    ],
  ]);
  runs(predict, runtime, async () => (await import("./predict-run.ts")).predict);
}
