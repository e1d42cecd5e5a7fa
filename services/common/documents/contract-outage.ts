// The part of the contract suite about what survives: a writer that is killed, a database that goes
// away and comes back.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { collect, type Thing, type UseDatabase } from "./contract-database.ts";

const WRITER = fileURLToPath(new URL("./contract-writer.ts", import.meta.url));

/** Registers the tests. */
export function outageContract(database: UseDatabase): void {
  it("keeps every acknowledged write of a process that is killed", async () => {
    const place = await database();
    const acknowledged = new Set<string>();
    for (let round = 0; round < 3; round += 1) {
      for (const id of await writeAndDie(place.uri, { round, afterWrites: 20 + round * 15 })) {
        acknowledged.add(id);
      }
    }
    const store = await place.open();
    const things = await store.collection<Thing>({ name: "things", indexes: [], feed: true });
    const newest = await things.revision();
    const stored = new Map<string, number>();
    for await (const thing of things.find({})) stored.set(thing._id, thing.revision);
    expect(acknowledged.size).toBeGreaterThanOrEqual(105);
    for (const id of acknowledged) expect(stored.has(id), id).toBe(true);
    const stop = new AbortController();
    const followed = new Map<string, number>();
    for await (const change of things.changes(0, stop.signal)) {
      if (change.kind === "put") followed.set(change.document._id, change.revision);
      if (change.revision === newest) stop.abort();
    }
    expect(followed).toEqual(stored);
  }, 60_000);

  it("is unavailable while the database is away, and works when it is back", async (context) => {
    const place = await database();
    if (place.cutOff === undefined) return context.skip("this server cannot be stopped from here");
    const store = await place.open();
    const plain = await store.collection<Thing>({ name: "plain", indexes: [] });
    const fed = await store.collection<Thing>({ name: "fed", indexes: [], feed: true });
    await plain.insertOne({ _id: "a", n: 1 });
    await fed.insertOne({ _id: "a", n: 1 });
    const restore = await place.cutOff();
    const away = { kind: "Unavailable", reason: 19 };
    const errors = await Promise.all(
      [plain.insertOne({ _id: "b" }), fed.putOne({ _id: "b" }), plain.deleteOne("a")].map((call) =>
        call.catch((error: unknown) => error),
      ),
    );
    await restore();
    expect(errors).toMatchObject([away, away, away]);
    await plain.insertOne({ _id: "c" });
    const put = await fed.putOne({ _id: "c" });
    expect(await plain.findOne({ _id: "a" })).toMatchObject({ n: 1 });
    expect(await fed.findOne({ _id: "c" })).toEqual(put);
    await store.ping();
  }, 60_000);

  it("is unavailable once it is closed", async () => {
    const store = await (await database()).open();
    const things = await store.collection<Thing>({ name: "things", indexes: [], feed: true });
    const following = collect(things.changes(0, new AbortController().signal));
    const ended = expect(following).rejects.toMatchObject({ kind: "Unavailable" });
    await store[Symbol.asyncDispose]();
    await ended;
    const closed = { kind: "Unavailable", reason: 19 };
    await expect(things.findOne({})).rejects.toMatchObject(closed);
    await expect(things.insertOne({ _id: "b" })).rejects.toMatchObject(closed);
    await expect(store.ping()).rejects.toMatchObject(closed);
  });
}

/** Ids that a writing process had acknowledged, and reported, before it was killed. */
async function writeAndDie(
  uri: string,
  options: { readonly round: number; readonly afterWrites: number },
): Promise<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, uri, String(options.round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const ids: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    ids.push(line);
    if (ids.length === options.afterWrites) child.kill("SIGKILL");
  }
  const [, signal] = await exited;
  expect(signal).toBe("SIGKILL");
  return ids;
}
