// A process of the contract suite: writes documents until it is killed and prints the id of each
// one that was acknowledged.

import { openDocumentStore } from "./open.ts";
import type { Document } from "./port.ts";

const [uri = "", round = ""] = process.argv.slice(2);
const store = await openDocumentStore(uri);
const things = await store.collection<Document>({ name: "things", indexes: [], feed: true });

let next = 0;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (;;) {
      const _id = `${round}-${next++}`;
      await things.insertOne({ _id });
      process.stdout.write(`${_id}\n`);
    }
  }),
);
