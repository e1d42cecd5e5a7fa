// `plinth circuits contribute|upload|beacon|ptau`: the commands of ceremonies, in which outside
// parties make the key of a circuit.

import type { Command } from "commander";
import { examples, type Runtime, runs, wholeNumber } from "./command.ts";

/** As the protocol takes them. */
const ITERATIONS_MIN = 10;
const ITERATIONS_MAX = 20;

const CIRCUIT = "as model/3/circuit or model@alias/circuit";

const CONTRIBUTE = [
  "Contribute to the key of a circuit, on this machine: the key is multiplied with a random number of the " +
    "system's, drawn in a process that ends with it. Whoever trusts one contributor to have forgotten " +
    "its number can trust the key. Publish the hash that is shown: it must stand in the transcript.",
  "With a circuit, the current key is fetched, contributed to and handed in. Parties without access to the " +
    "server do it in steps: whoever runs the ceremony sends the key (circuits export --file proving-key), " +
    "the party contributes to the file (--key and --out) and sends it back (circuits upload).",
];

/** Adds the commands of ceremonies. */
export function ceremonyCommands(circuits: Command, runtime: Runtime): void {
  contributeCommands(circuits, runtime);
  beaconCommand(circuits, runtime);
  ptauCommands(circuits, runtime);
}

function contributeCommands(circuits: Command, runtime: Runtime): void {
  const contribute = circuits
    .command("contribute")
    .summary("contribute to the key of a circuit, on this machine")
    .description(CONTRIBUTE.join("\n\n"))
    .argument("[circuit]", CIRCUIT)
    .requiredOption(
      "--name <text>",
      "who contributes, for the transcript: up to 64 ASCII characters",
    )
    .option("--key <file.zkey>", "contribute to this file, without a server")
    .option("--out <file.zkey>", "with --key: the contributed key");
  examples(contribute, [
    ["All at once", 'plinth circuits contribute churn/3/exact --name "Alice, Acme Ltd"'],
    [
      "Without a server",
      'plinth circuits contribute --key circuit.zkey --out alice.zkey --name "Alice, Acme Ltd"',
    ],
  ]);
  runs(contribute, runtime, async () => (await import("./circuits-contribute.ts")).contribute);

  const upload = circuits
    .command("upload")
    .summary("hand in a contributed key")
    .description(
      "Hand in a key that somebody contributed to. It takes the place of the current one once it is shown to " +
        "follow from the constraints, the powers of tau and the current key. Of two that were contributed " +
        "to the same key, the second is refused, and starts from the new one.",
    )
    .argument("<circuit>", CIRCUIT)
    .argument("<file.zkey>", "the contributed key")
    .option("--etag <etag>", "of the key that was contributed to, as its export said it");
  examples(upload, [["Hand it in", "plinth circuits upload churn/3/exact alice.zkey"]]);
  runs(upload, runtime, async () => (await import("./circuits-contribute.ts")).uploadContribution);
}

function beaconCommand(circuits: Command, runtime: Runtime): void {
  const beacon = circuits
    .command("beacon")
    .summary("close the contributions with a public random number")
    .description(
      "Add a public random number to a ceremony, of a source and moment that were announced before its last " +
        "contribution. It keeps no secret and counts as no party; nobody contributes after it.",
    )
    .argument("<circuit>", CIRCUIT)
    .requiredOption("--hash <hex>", "the number: 1 to 255 bytes as hexadecimal digits")
    .option(
      "--iterations <n>",
      "it is hashed 2^n times",
      wholeNumber(ITERATIONS_MIN, ITERATIONS_MAX),
      ITERATIONS_MIN,
    )
    .option("--label <text>", 'where it is from, for the transcript: "drand round 1234"');
  examples(beacon, [
    [
      "A round of drand",
      'plinth circuits beacon churn/3/exact --hash 9f2c5a01 --label "drand round 1234"',
    ],
  ]);
  runs(beacon, runtime, async () => (await import("./circuits-change.ts")).applyBeacon);
}

function ptauCommands(circuits: Command, runtime: Runtime): void {
  const ptau = circuits
    .command("ptau")
    .description("import powers of tau, which ceremonies and PLONK keys start from");
  const imported = ptau
    .command("import")
    .summary("import the result of a public first phase")
    .description(
      "Import powers of tau, the result of a public first phase. Say its hash as whoever publishes the file " +
        "names it; all of the file is verified besides, which takes minutes for large ones. Needs the " +
        "role admin.",
    )
    .argument("<file.ptau>", "the file")
    .requiredOption("--id <id>", "what it is called here")
    .option("--sha256 <hex>", "its SHA-256")
    .option("--blake2b <hex>", "its BLAKE2b-512, as b2sum shows it");
  examples(imported, [
    [
      "Circuits of up to 2^14",
      "plinth circuits ptau import ppot_14.ptau --id hermez-14 --blake2b eeefbcf7c3803b523c94112023c7ff89...",
    ],
  ]);
  runs(imported, runtime, async () => (await import("./circuits-ptau.ts")).importPtau);

  const list = ptau.command("list").description("List the powers of tau of the workspace.");
  examples(list, [["All", "plinth circuits ptau list"]]);
  runs(list, runtime, async () => (await import("./circuits-ptau.ts")).listPtau);

  const remove = ptau
    .command("delete")
    .description("Remove powers of tau that no circuit uses. Needs the role admin.")
    .argument("<id>", "as in `plinth circuits ptau list`");
  examples(remove, [["Remove", "plinth circuits ptau delete hermez-14"]]);
  runs(remove, runtime, async () => (await import("./circuits-ptau.ts")).deletePtau);
}
