// `plinth prove`: what it is called, takes and explains. What it does is in prove-run.ts.

import { type Command, Option } from "commander";
import {
  commaList,
  examples,
  hexBytes,
  type Runtime,
  repeatable,
  runs,
  wholeNumber,
} from "./command.ts";

const DESCRIPTION = [
  "Evaluate a circuit for rows and prove what it gives. The outputs are shown at once; the proofs are made " +
    "after, one a row, on the server, and go on when the command is stopped. Whoever has a proof verifies " +
    "it without the server: plinth proof verify.",
  "Rows are those of `plinth predict --row` and `--file`, up to 1,000. A circuit that commits to its inputs " +
    "salts their hash; keep the salt that is shown: with it and the row the owner can show what the inputs " +
    "were.",
];

/** Adds `plinth prove`. */
export function proveCommand(program: Command, runtime: Runtime): void {
  const prove = program
    .command("prove")
    .summary("prove what a model version says of rows")
    .description(DESCRIPTION.join("\n\n"))
    .argument("<circuit>", "as model/3/circuit; model/3 or model@alias means its active one")
    .option("--row <json>", 'a row, {"column": value}; repeatable', repeatable)
    .option("--file <path>", "rows from a .csv, .tsv, .ndjson, .jsonl or .json file; - is stdin")
    .addOption(
      new Option("--input-format <form>", "form of the file, where its name does not say").choices([
        "csv",
        "tsv",
        "ndjson",
        "json",
      ]),
    )
    .option("--context <hex>", "up to 31 bytes to bind the proofs to: a nonce, an order", hexBytes)
    .option("--inference-id <id>", "of the inference that the proofs belong to")
    .option("--salts <a,b>", "with committed inputs: the salts, in decimal, one a row", commaList)
    .option("--priority <n>", "0 to 9; lower is proved first", wholeNumber(0, 9))
    .option("--out <folder>", "write each proof there, as a file that stands by itself")
    .option("--no-wait", "do not follow the proofs");
  examples(prove, [
    ["One row", `plinth prove churn@champion --row '{"age": 41, "plan": 2}' --out proofs`],
    [
      "A file, bound to an order",
      "plinth prove churn/3 --file rows.csv --context 0a1b2c --out proofs",
    ],
    ["Leave it to the server", "plinth prove churn/3/exact --file rows.csv --no-wait"],
  ]);
  runs(prove, runtime, async () => (await import("./prove-run.ts")).prove);
}
