// For tests: a process that races with others. Arguments: the store, the first seed, how many.
// Says "ready" and begins when its input says something, so that all begin together.

import { once } from "node:events";
import { openDocumentStore } from "../../common/documents/open.ts";
import { OnlineStore } from "./online-store.ts";
import { RACE_WORKSPACE, racingBatch } from "./race.ts";

const [uri = "", firstSeed = "", count = ""] = process.argv.slice(2);
await using documents = await openDocumentStore(uri);
const online = await OnlineStore.open(documents);
const batches = Array.from({ length: Number(count) }, (_, at) => {
  return racingBatch(Number(firstSeed) + at);
});
console.log("ready");
await once(process.stdin, "data");
process.stdin.destroy();
for (let start = 0; start < batches.length; start += 4) {
  const some = batches.slice(start, start + 4);
  await Promise.all(some.map(({ view, rows }) => online.write(RACE_WORKSPACE, view, rows)));
}
