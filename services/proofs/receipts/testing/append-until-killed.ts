// A process of killed.test.ts: appends receipts to a log until it is killed, and prints where those
// that were acknowledged lie.

import { systemClock } from "../../../common/clock.ts";
import { openSqliteStore } from "../../../common/documents/sqlite.ts";
import { openLogCollections } from "../log-documents.ts";
import { ReceiptLog } from "../receipt-log.ts";
import { SigningKeys } from "../signing-key.ts";
import { batchOfFacts, factsOf, WORKSPACE } from "./inferences.ts";

const [path = "", keyFolder = "", round = ""] = process.argv.slice(2);
const keys = await SigningKeys.open(keyFolder);
const log = new ReceiptLog({
  collections: await openLogCollections(await openSqliteStore({ path })),
  keys,
  clock: systemClock,
  workspace: WORKSPACE,
  logName: "plinth.example.com",
  flushIntervalMs: 1,
  waitingMax: 10_000,
});
let next = 0;
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (;;) {
      const first = next;
      next += 40;
      const facts = Array.from({ length: 40 }, (_, i) => {
        return { ...factsOf(first + i), inferenceId: `${round}-${first + i}` };
      });
      const index = await log.append(batchOfFacts(keys, facts));
      process.stdout.write(`${index} ${round}-${first}\n`);
    }
  }),
);
