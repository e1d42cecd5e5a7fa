// `plinth receipts`: what its commands are called, take and explain. What they do is in
// receipts-*.ts.

import type { Command } from "commander";
import {
  examples,
  hexBytes,
  limitOption,
  type Runtime,
  repeatable,
  runs,
  runsOffline,
} from "./command.ts";

const KEY = "a key of the log, origin+hash+key, or a file with keys; repeatable";

/** Adds `plinth receipts ...`. */
export function receiptCommands(program: Command, runtime: Runtime): void {
  const receipts = program
    .command("receipts")
    .description("signed receipts of inferences, in a log that only grows");
  readCommands(receipts, runtime);
  verifyCommand(receipts, runtime);
  logCommands(receipts, runtime);
}

function readCommands(receipts: Command, runtime: Runtime): void {
  const list = receipts
    .command("list")
    .summary("list receipts, newest first")
    .description("List the receipts of the workspace, newest first, as long as they are kept.")
    .addOption(limitOption());
  examples(list, [["The last ten", "plinth receipts list --limit 10"]]);
  runs(list, runtime, async () => (await import("./receipts-read.ts")).listReceipts);

  const get = receipts
    .command("get")
    .summary("fetch the receipt of an inference")
    .description(
      "Show the receipt of an inference: which model file took which inputs and gave which outputs, and when. " +
        "With --out it is written with its evidence, as a text that stands by itself: what `receipts verify` " +
        "reads. It is there within seconds of the answer.",
    )
    .argument("<inference-id>", "as in the answer")
    .option("-o, --out <file>", "write the newest one there");
  examples(get, [["Keep it", "plinth receipts get 0198f4c2-7d1e --out receipt.tlog-proof"]]);
  runs(get, runtime, async () => (await import("./receipts-read.ts")).getReceipt);
}

const VERIFY = [
  "Verify a receipt, offline: that the log has stated it for good (its place in the tree, and the signature " +
    "under the head of the tree), and that it is about what is expected. It says why where it is not; then " +
    "the exit code is 1.",
  "The trust lies in the keys: get them once (receipts head --keys), not with each receipt. A receipt says " +
    "what the server stated, not that the model gives this output: that is what proofs are for.",
  '--request and --response are the tensors of an Open Inference call as JSON, {"inputs": [{"name", ' +
    '"datatype", "shape", "data"}]} and {"outputs": [...]}; their digests must be those of the receipt.',
];

function verifyCommand(receipts: Command, runtime: Runtime): void {
  const verify = receipts
    .command("verify")
    .summary("verify a receipt, offline")
    .description(VERIFY.join("\n\n"))
    .argument("<file>", "the receipt with its evidence, as `receipts get --out` wrote it")
    .requiredOption("--key <key>", KEY, repeatable)
    .option("--inference-id <id>", "which inference it must be of")
    .option("--deployment <id>", "which deployment must have answered")
    .option("--model-version <version>", "which version, model/3")
    .option("--context <hex>", "the caller's own bytes that it must hold", hexBytes)
    .option("--model <file.onnx>", "the model file, whose SHA-256 it must name")
    .option("--request <file.json>", "the input tensors, whose digest it must name")
    .option("--response <file.json>", "the output tensors, whose digest it must name");
  examples(verify, [
    ["Verify", "plinth receipts verify receipt.tlog-proof --key keys.txt"],
    [
      "Of this inference, by this model",
      "plinth receipts verify receipt.tlog-proof --key keys.txt --inference-id 0198f4c2-7d1e --model churn.onnx",
    ],
  ]);
  runsOffline(verify, runtime, async () => (await import("./receipts-verify.ts")).verifyReceipt);
}

function logCommands(receipts: Command, runtime: Runtime): void {
  const head = receipts
    .command("head")
    .summary("show the signed head of the log, and its keys")
    .description(
      "Show the signed head of the workspace's log and the keys that sign it. Pin the keys (--keys), and keep " +
        "heads (--out): `receipts consistency` shows from one that the log only grew.",
    )
    .option("-o, --out <file>", "write the head there, a C2SP checkpoint")
    .option("--keys <file>", "write the keys there, one a line");
  examples(head, [["Pin the keys", "plinth receipts head --keys keys.txt --out head.checkpoint"]]);
  runs(head, runtime, async () => (await import("./receipts-log.ts")).showHead);

  const consistency = receipts
    .command("consistency")
    .summary("check that the log only grew")
    .description(
      "Check that the log only grew since an older head: nothing that it stated was changed or taken back. " +
        "Where nothing shows it, the exit code is 1; keep both heads, they convict the log.",
    )
    .requiredOption("--old <file>", "the older head, as `receipts head --out` wrote it")
    .requiredOption("--key <key>", KEY, repeatable)
    .option("-o, --out <file>", "write the newer head there, for the next time");
  examples(consistency, [
    [
      "Each day",
      "plinth receipts consistency --old head.checkpoint --key keys.txt --out head.checkpoint",
    ],
  ]);
  runs(consistency, runtime, async () => (await import("./receipts-log.ts")).checkGrowth);
}
