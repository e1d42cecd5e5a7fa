// `plinth circuits create`: what it is called, takes and explains. What it does is in
// circuits-create.ts.

import { type Command, InvalidArgumentError, Option } from "commander";
import { examples, type Runtime, repeatable, runs, wholeNumber } from "./command.ts";

/** Bits of weights, activations and leaves. */
const BITS_MIN = 2;
const BITS_MAX = 32;
const LEAF_BITS_MAX = 40;

const CREATE = [
  "Make a circuit of a model version: the model in whole numbers as constraints, checked for soundness, " +
    "with a key to make proofs with. Long work on the server, which goes on when the command is stopped. " +
    "At the end it says what whole numbers cost in accuracy, how large the circuit is, and how its key " +
    "came to be.",
  "Calibration rows are rows like those that the model will see; they say which range each input needs, and " +
    "the report measures the circuit on them. Columns are those of `plinth predict --file`; up to 10,000 " +
    "rows are sent, spread evenly over a longer file. Trees and integer inputs need none.",
  "Keys: `development` is made by this server alone, which could then forge proofs, and is refused in a " +
    "production workspace; `ceremony` begins one that outside parties contribute to (circuits contribute); " +
    "`universal` is PLONK, without secrets of its own, for small models. The last two start from imported " +
    "powers of tau (circuits ptau import).",
];

/** Adds `plinth circuits create`. */
export function createCommand(circuits: Command, runtime: Runtime): void {
  const create = circuits
    .command("create")
    .summary("make a circuit of a model version")
    .description(CREATE.join("\n\n"))
    .argument("<version>", "model/3, model@alias or model/latest");
  calibrationOptions(create);
  precisionOptions(create);
  create
    .addOption(
      new Option("--input-mode <mode>", "how inputs show in a proof: all, as a salted hash, or not")
        .choices(["public", "committed", "private"])
        .default("public"),
    )
    .addOption(
      new Option(
        "--output-mode <mode>",
        "how the output shows (default: values, or argmax)",
      ).choices(["values", "packed", "argmax", "threshold"]),
    )
    .option("--threshold <x>", "with threshold: what the only output is compared with", realNumber)
    .option("--output <name>", "which output is proved (default: the only one, or the scores)")
    .option("--context", "bind each proof to a context of the caller's: a nonce, an order")
    .addOption(
      new Option("--setup <kind>", "who makes the key")
        .choices(["development", "ceremony", "universal"])
        .default("development"),
    )
    .option("--powers-of-tau <id>", "with ceremony and universal: what to start from")
    .option("--id <circuit>", "id of the circuit (default: the server's)")
    .option("--no-wait", "do not follow it");
  examples(create, [
    [
      "With defaults",
      "plinth circuits create churn/3 --calibration training.csv --label-column churned",
    ],
    [
      "As few bits as keep 99.9 % of the classes",
      "plinth circuits create churn/3 --calibration training.csv --agreement 0.999 --context",
    ],
    [
      "A forest, its inputs hidden",
      "plinth circuits create forest@champion --input-mode committed",
    ],
    [
      "For production",
      "plinth circuits create churn/3 --id exact --calibration training.csv --setup ceremony " +
        "--powers-of-tau hermez-14",
    ],
  ]);
  runs(create, runtime, async () => (await import("./circuits-create.ts")).createCircuit);
}

function calibrationOptions(create: Command): void {
  create
    .option(
      "--calibration <file>",
      "rows from a .csv, .tsv, .ndjson, .jsonl or .json file; - is stdin",
    )
    .addOption(
      new Option("--input-format <form>", "form of the file, where its name does not say").choices([
        "csv",
        "tsv",
        "ndjson",
        "json",
      ]),
    )
    .option("--label-column <name>", "column of the right class or value, to measure accuracy")
    .option(
      "--range <input=low:high[:scale_bits]>",
      "values of an input, in multiples of 2^-scale_bits (default: as fine as 16 bits allow); repeatable",
      repeatable,
    )
    .option(
      "--shape <input=1x8x8>",
      "dimensions of an input that the model leaves open, without the batch; repeatable",
      repeatable,
    );
}

function precisionOptions(create: Command): void {
  const bits = wholeNumber(BITS_MIN, BITS_MAX);
  create
    .option("--weight-bits <n>", "bits of the largest weight of a layer (default 12)", bits)
    .option(
      "--agreement <share>",
      "in their place: as few as keep this share of classes",
      openShare,
    )
    .option("--error <x>", "in their place: as few as keep every output this near", positiveNumber)
    .option("--activation-bits <n>", "bits of the largest activation of a layer (default 12)", bits)
    .option(
      "--leaf-bits <n>",
      "bits of the largest leaf of trees (default 24)",
      wholeNumber(BITS_MIN, LEAF_BITS_MAX),
    );
}

function realNumber(text: string): number {
  return numberWhere(text, () => true, "a number such as -0.25");
}

function positiveNumber(text: string): number {
  return numberWhere(text, (value) => value > 0, "a number above 0");
}

/** A share of which there is one at least. */
function openShare(text: string): number {
  return numberWhere(text, (value) => value > 0 && value <= 1, "a share above 0, up to 1: 0.999");
}

function numberWhere(text: string, fits: (value: number) => boolean, expected: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || !fits(value)) {
    throw new InvalidArgumentError(`Expected ${expected}.`);
  }
  return value;
}
