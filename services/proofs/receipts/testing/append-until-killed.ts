// A process of killed.test.ts: appends receipts to a log until it is killed, and prints where those
// that were acknowledged lie.

import { systemClock } from "../../../common/clock.ts";
import { openSqliteStore } from "../../../common/documents/sqlite.ts";
import { sha256 } from "../../../common/receipts/sha256.ts";
import { openLogCollections } from "../log-documents.ts";
import { encodeReceipt, receiptPrefix } from "../receipt.ts";
import { ReceiptLog } from "../receipt-log.ts";
import { SigningKeys } from "../signing-key.ts";

const [path = "", keyFolder = "", round = ""] = process.argv.slice(2);
const workspace = "workspaces/acme";
const keys = await SigningKeys.open(keyFolder);
const log = new ReceiptLog({
  collections: await openLogCollections(await openSqliteStore({ path })),
  keys,
  clock: systemClock,
  workspace,
  logName: "plinth.example.com",
  flushIntervalMs: 1,
  waitingMax: 10_000,
});
const prefix = receiptPrefix({
  keyId: keys.current.keyId,
  workspace,
  deployment: "d",
  modelVersion: "m",
  modelDigest: sha256(Buffer.from("m")),
});

let next = 0;
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (;;) {
      const first = next;
      next += 40;
      const receipts = Array.from({ length: 40 }, (_, i) => {
        const inferenceId = `${round}-${first + i}`;
        const digest = sha256(Buffer.from(inferenceId));
        const facts = { timeUs: first + i, rows: 1, inferenceId, context: new Uint8Array(0) };
        return encodeReceipt(prefix, { ...facts, inputDigest: digest, outputDigest: digest });
      });
      const index = await log.append(receipts);
      process.stdout.write(`${index} ${round}-${first}\n`);
    }
  }),
);
