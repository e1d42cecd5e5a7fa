// `plinth proof`: what its commands are called, take and explain. What they do is in proof-*.ts.

import type { Command } from "commander";
import { examples, hexBytes, limitOption, type Runtime, runs, runsOffline } from "./command.ts";

/** Adds `plinth proof ...`. */
export function proofCommands(program: Command, runtime: Runtime): void {
  const proof = program
    .command("proof")
    .description("verify proofs, find them, take them on chain");
  verifyCommand(proof, runtime);
  readCommands(proof, runtime);
  calldataCommand(proof, runtime);
  jobCommands(proof, runtime);
}

const VERIFY = [
  "Verify a proof, offline: no server is asked. It says what was proved, or why the proof is not valid; then " +
    "the exit code is 1. The key file is that of `plinth circuits export --file verifying-key`, once, from " +
    "whom you trust to say which model it is of; pin its hashes with --vk-hash and --schema-hash.",
  "With --row the inputs are compared too: of a circuit with committed inputs that takes the row's salt. A row " +
    "is a list of values, or an object by the circuit's inputs or in the order of the model's columns.",
];

function verifyCommand(proof: Command, runtime: Runtime): void {
  const verify = proof
    .command("verify")
    .summary("verify a proof, offline")
    .description(VERIFY.join("\n\n"))
    .argument("<proof.json>", "the proof, as `plinth prove --out` or `proof download` wrote it")
    .requiredOption("--key <verifying-key.json>", "the verifying key of the circuit")
    .option("--vk-hash <hex>", "what the hash of the verifying key must be: pin it")
    .option("--schema-hash <hex>", "what the hash of the schema must be: pin it")
    .option("--model-commitment <hex>", "which model it must be of")
    .option("--context <hex>", "what it must be bound to", hexBytes)
    .option("--row <json>", "what the inputs must be")
    .option("--salt <n>", "with --row: the salt, where the circuit commits to its inputs")
    .option("--id <hex>", "what the id of the proof must be");
  examples(verify, [
    [
      "Verify",
      "plinth proof verify proof.json --key verifying-key.json --vk-hash 5f0c... --schema-hash 8c4d...",
    ],
    [
      "For this order, and no other",
      "plinth proof verify proof.json --key verifying-key.json --context 0a1b2c",
    ],
    [
      "Show what was committed to",
      `plinth proof verify proof.json --key verifying-key.json --row '{"age": 41}' --salt 1234`,
    ],
  ]);
  runsOffline(verify, runtime, async () => (await import("./proof-verify.ts")).verifyProof);
}

function readCommands(proof: Command, runtime: Runtime): void {
  const show = proof
    .command("show")
    .summary("show what a proof says")
    .description("Show what a proof says, of which model, and how long it took.")
    .argument("<proof>", "its id, or the first digits of it");
  examples(show, [["One", "plinth proof show 5f0c1a9b"]]);
  runs(show, runtime, async () => (await import("./proof-read.ts")).showProof);

  const list = proof
    .command("list")
    .summary("list proofs, newest first")
    .description("List the proofs of the workspace, newest first.")
    .option("--inference-id <id>", "those of one inference")
    .option("--circuit <circuit>", "those of one circuit, model/3/circuit")
    .addOption(limitOption());
  examples(list, [
    ["The last ten", "plinth proof list --limit 10"],
    ["Of an answer", "plinth proof list --inference-id 0198f4c2-7d1e"],
  ]);
  runs(list, runtime, async () => (await import("./proof-read.ts")).listProofs);

  const download = proof
    .command("download")
    .summary("fetch a proof as a file that stands by itself")
    .description(
      "Fetch a proof as a file that stands by itself. Its SHA-256 is the id of the proof.",
    )
    .argument("<proof>", "its id, or the first digits of it")
    .option("-o, --out <file>", "where to write it (default: proof-<id>.json, here)");
  examples(download, [["Fetch it", "plinth proof download 5f0c1a9b --out proof.json"]]);
  runs(download, runtime, async () => (await import("./proof-read.ts")).downloadProof);

  const remove = proof
    .command("delete")
    .summary("remove a proof")
    .description(
      "Remove a proof that nobody shall find any more. Whoever has it can still verify it.",
    )
    .argument("<proof>", "its id, or the first digits of it");
  examples(remove, [["Remove", "plinth proof delete 5f0c1a9b"]]);
  runs(remove, runtime, async () => (await import("./proof-read.ts")).deleteProof);
}

function calldataCommand(proof: Command, runtime: Runtime): void {
  const calldata = proof
    .command("calldata")
    .summary("the call that shows a proof to the circuit's contract")
    .description(
      "Print the calldata of verifyInference of the circuit's contract (circuits export --file solidity). With " +
        "--key the proof is a file, and is verified first, offline.",
    )
    .argument("<proof>", "its id; with --key a file")
    .option("--key <verifying-key.json>", "take the proof from a file, with this verifying key")
    .option("--cast", "as arguments of cast send or cast call, after the contract's address");
  examples(calldata, [
    ["Of a proof that the server has", "plinth proof calldata 5f0c1a9b"],
    ["Of a file", "plinth proof calldata proof.json --key verifying-key.json"],
    ["With Foundry", 'eval cast send "$CONTRACT" $(plinth proof calldata 5f0c1a9b --cast)'],
  ]);
  runs(calldata, runtime, async () => (await import("./proof-calldata.ts")).proofCalldata);
}

function jobCommands(proof: Command, runtime: Runtime): void {
  const jobs = proof
    .command("jobs")
    .summary("list what is being proved, newest first")
    .description("List the jobs of the workspace that make proofs, newest first.")
    .addOption(limitOption());
  examples(jobs, [["The last ten", "plinth proof jobs --limit 10"]]);
  runs(jobs, runtime, async () => (await import("./proof-jobs.ts")).listJobs);

  const job = proof
    .command("job")
    .summary("show, follow or cancel a job")
    .description("Show a job that makes proofs, with its rows and the salts of their commitments.")
    .argument("<job>", "its id, or proofJobs/id")
    .option("--watch", "follow it to its end")
    .option("--cancel", "stop it; proofs that are made stay");
  examples(job, [["Follow it", "plinth proof job proofJobs/7f3a --watch"]]);
  runs(job, runtime, async () => (await import("./proof-jobs.ts")).oneJob);
}
