// A process of push-process.test.ts: pushes batches and flushes all the while, until it is killed,
// and prints the number of each batch that was acknowledged. Arguments: the folder, the first number.

import { anonymous } from "../../common/auth/principal.ts";
import { timestampOf } from "../columns.ts";
import { pushBatch } from "./push-batch.ts";
import { openPushParts, pushRequest } from "./testing.ts";

const [folder = "", first = "0"] = process.argv.slice(2);
const parts = await openPushParts(folder, { config: { flushIntervalMs: 100, compactFilesMax: 3 } });
parts.offline.start();

let next = Number(first);
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (;;) {
      const batch = next++;
      const rows = Array.from({ length: 1 + (batch % 20) }, (_, row) => row);
      const request = pushRequest({
        batchId: `batch-${batch}`,
        columns: [
          { name: "airport", strings: rows.map((row) => `${batch}-${row}`) },
          {
            name: "event_timestamp",
            timestamps: rows.map((row) => timestampOf(batch * 3.6e9 + row)),
          },
          { name: "flights", ints: rows.map((row) => BigInt(batch * 100 + row)) },
        ],
      });
      await pushBatch(parts, request, anonymous);
      process.stdout.write(`${batch}\n`);
    }
  }),
);
