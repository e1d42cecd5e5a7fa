// `plinth circuits`: the commands that show, change and export circuits, and the group that the
// others join. What they do is in circuits-*.ts.

import { type Command, Option } from "commander";
import { createCommand } from "./circuits-create-command.ts";
import { ceremonyCommands } from "./circuits-key-commands.ts";
import { examples, limitOption, type Runtime, runs } from "./command.ts";

/** Words for --file, in the order of help. */
const FILES = [
  "constraints",
  "proving-key",
  "verifying-key",
  "solidity",
  "solc-input",
  "abi",
  "model",
  "transcript",
  "test-vector",
] as const;

/** How a circuit is named on the command line. */
const CIRCUIT = "as model/3/circuit or model@alias/circuit";

/** Adds `plinth circuits ...`. */
export function circuitCommands(program: Command, runtime: Runtime): void {
  const circuits = program
    .command("circuits")
    .description("turn model versions into circuits that prove their answers");
  createCommand(circuits, runtime);
  readCommands(circuits, runtime);
  changeCommands(circuits, runtime);
  exportCommand(circuits, runtime);
  ceremonyCommands(circuits, runtime);
}

function readCommands(circuits: Command, runtime: Runtime): void {
  const list = circuits
    .command("list")
    .summary("list circuits, newest first")
    .description("List the circuits of the workspace, of a model, or of one version, newest first.")
    .argument("[version]", "model, model/3 or model@alias")
    .addOption(limitOption());
  examples(list, [
    ["All", "plinth circuits list"],
    ["Of a version", "plinth circuits list churn/3"],
  ]);
  runs(list, runtime, async () => (await import("./circuits-read.ts")).listCircuits);

  const show = circuits
    .command("show")
    .summary("show a circuit: size, accuracy, key")
    .description(
      "Show a circuit: its size and cost, what whole numbers cost in accuracy, how large values become, " +
        "its hashes, and how its key came to be. A version stands for its active circuit.",
    )
    .argument("<circuit>", `${CIRCUIT}, or a version`)
    .option("--watch", "follow it until it is made");
  examples(show, [
    ["The active one", "plinth circuits show churn@champion"],
    ["One that is being made", "plinth circuits show churn/3/exact --watch"],
  ]);
  runs(show, runtime, async () => (await import("./circuits-read.ts")).showCircuit);
}

function changeCommands(circuits: Command, runtime: Runtime): void {
  const activate = circuits
    .command("activate")
    .summary("have verifiable predictions use a circuit")
    .description(
      "Make a circuit the one that verifiable predictions of its version use. This closes a ceremony: its key " +
        "is verified from the constraints and the powers of tau on, which takes a while, and refused " +
        "without a contribution. Needs the role approver.",
    )
    .argument("<circuit>", CIRCUIT);
  examples(activate, [["Use it", "plinth circuits activate churn/3/exact"]]);
  runs(activate, runtime, async () => (await import("./circuits-change.ts")).activateCircuit);

  const remove = circuits
    .command("delete")
    .summary("remove a circuit and its key")
    .description(
      "Remove a circuit and its key; one that is being made is stopped. Its proofs stay, and stay checkable " +
        "with its verifying key: export that first.",
    )
    .argument("<circuit>", CIRCUIT)
    .option("--force", "also where it is active; verifiable predictions are refused from then on");
  examples(remove, [["Remove", "plinth circuits delete churn/3/exact"]]);
  runs(remove, runtime, async () => (await import("./circuits-change.ts")).deleteCircuit);
}

function exportCommand(circuits: Command, runtime: Runtime): void {
  const exported = circuits
    .command("export")
    .summary("fetch a file of a circuit: keys, contract, constraints")
    .description(
      [
        "Fetch a file of a circuit. It appears whole, with its SHA-256 checked, or not at all.",
        "verifying-key is what `plinth proof verify` needs beside a proof; solidity, solc-input and abi are a " +
          "contract that verifies inferences on chain, test-vector a call to test it with; constraints " +
          "(.r1cs) and proving-key (.zkey) are as iden3's tools read them; model is the model in whole " +
          "numbers; transcript says who contributed to the key.",
      ].join("\n\n"),
    )
    .argument("<circuit>", `${CIRCUIT}, or a version`)
    .addOption(new Option("--file <which>", "which file").choices([...FILES]).makeOptionMandatory())
    .option("-o, --out <path>", "where to write it (default: its own name, here)");
  examples(exported, [
    ["For whoever verifies proofs", "plinth circuits export churn/3 --file verifying-key"],
    ["A contract", "plinth circuits export churn/3/exact --file solidity --out contracts/"],
  ]);
  runs(exported, runtime, async () => (await import("./circuits-export.ts")).exportFile);
}
