// A process of local.test.ts: uploads and commits blobs until it is killed, and prints the digest
// of each one that was acknowledged.

import { createHash } from "node:crypto";
import { openLocalBlobs } from "./local.ts";

const [folder = "", round = ""] = process.argv.slice(2);
const blobs = await openLocalBlobs({ folder });

let next = 0;
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (;;) {
      const id = `r${round}-${next++}`;
      const bytes = Buffer.alloc(200_000, id);
      const writer = await blobs.stage(id);
      await writer.write(bytes.subarray(0, 120_000));
      await writer.write(bytes.subarray(120_000));
      await writer[Symbol.asyncDispose]();
      const digest = createHash("sha256").update(bytes).digest("hex");
      await blobs.commit(id, { digest, sizeBytes: bytes.length });
      process.stdout.write(`${digest}\n`);
    }
  }),
);
