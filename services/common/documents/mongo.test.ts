import { randomUUID } from "node:crypto";
import { MongoClient } from "mongodb";
import { afterAll, describe, expect, it } from "vitest";
import { startMongo } from "../../../test/mongo-server.ts";
import { documentsContract } from "./contract.ts";
import type { Database, Thing } from "./contract-database.ts";
import { openMongoStore } from "./mongo.ts";

type Bson = { _id: number } & Record<string, unknown>;

const server = await startMongo();

afterAll(async () => {
  await server?.stop();
});

if (server === undefined) {
  describe("documents on MongoDB", () => {
    it.skip("no mongod or ferretdb here: run scripts/ci-mongo.sh to get one", () => {});
  });
} else {
  const { kill, restart } = server;
  documentsContract(server.kind, async (): Promise<Database> => {
    const uri = server.uri + databaseName();
    return {
      uri,
      open: (options = {}) => openMongoStore({ uri, ...options }),
      cutOff:
        kill === undefined || restart === undefined
          ? undefined
          : async () => {
              await kill();
              return restart;
            },
      [Symbol.asyncDispose]: () => drop(uri),
    };
  });
  describe("mongo store", () => mongoStore(server.uri));
}

function mongoStore(server: string): void {
  const spec = {
    name: "things",
    indexes: [{ keys: { name: 1 }, unique: true }],
    feed: true,
  } as const;

  it("finishes the write of a writer that died after it was logged", async () => {
    await withDatabase(server, async ({ uri, raw }) => {
      await using store = await openMongoStore({ uri });
      const things = await store.collection<Thing>(spec);
      await things.insertOne({ _id: "a", name: "x" });
      const log = raw.db().collection<Bson>("things_feed");
      const entry = { doc: "a", prev: 1, op: "put", v: 2, d: { name: "y" }, s: "pending" };
      await log.insertOne({ _id: 2, ...entry });
      expect(await things.findOne({ _id: "a" })).toMatchObject({ name: "x", version: 1 });
      const stop = new AbortController();
      const seen: unknown[] = [];
      for await (const change of things.changes(1, stop.signal)) {
        seen.push(change);
        stop.abort();
      }
      const written = { _id: "a", name: "y", version: 2, revision: 2 };
      expect(seen).toEqual([{ kind: "put", revision: 2, document: written }]);
      expect(await things.findOne({ _id: "a" })).toEqual(written);
    });
  });

  it("finishes it too when a writer of the same document or an opening comes first", async () => {
    await withDatabase(server, async ({ uri, raw }) => {
      await using store = await openMongoStore({ uri });
      const things = await store.collection<Thing>(spec);
      const log = raw.db().collection<Bson>("things_feed");
      const entry = { op: "put", v: 1, d: { name: "x" }, s: "pending" };
      await log.insertOne({ _id: 1, doc: "a", prev: 0, ...entry });
      await expect(things.insertOne({ _id: "a", name: "z" })).rejects.toMatchObject({ reason: 4 });
      expect(await things.putOne({ _id: "a", name: "z" })).toMatchObject({
        version: 2,
        revision: 2,
      });
      await log.insertOne({ _id: 3, doc: "b", prev: 0, ...entry });
      const again = await store.collection<Thing>(spec);
      expect(await again.findOne({ _id: "b" })).toMatchObject({ name: "x", revision: 3 });
    });
  });

  it("voids the write of a dead writer that a unique index forbids", async () => {
    await withDatabase(server, async ({ uri, raw }) => {
      await using store = await openMongoStore({ uri });
      const things = await store.collection<Thing>(spec);
      await things.insertOne({ _id: "a", name: "x" });
      const log = raw.db().collection<Bson>("things_feed");
      const entry = { op: "put", v: 1, d: { name: "x" }, s: "pending" };
      await log.insertOne({ _id: 2, doc: "b", prev: 0, ...entry });
      expect(await things.revision()).toBe(1);
      expect(await things.findOne({ _id: "b" })).toBeUndefined();
      const b = await things.insertOne({ _id: "b", name: "y" });
      expect(b).toMatchObject({ version: 1, revision: 3 });
      const stop = new AbortController();
      const revisions: number[] = [];
      for await (const change of things.changes(0, stop.signal)) {
        revisions.push(change.revision);
        if (change.revision === 3) stop.abort();
      }
      expect(revisions).toEqual([1, 3]);
    });
  });

  it("does not bring a deleted document back when an old write is repeated", async () => {
    await withDatabase(server, async ({ uri, raw }) => {
      await using store = await openMongoStore({ uri });
      const things = await store.collection<Thing>(spec);
      await things.insertOne({ _id: "a", name: "x" });
      await things.deleteOne("a");
      const log = raw.db().collection<Bson>("things_feed");
      await log.updateOne({ _id: 1 }, { $set: { s: "pending" } });
      const stop = new AbortController();
      const kinds: string[] = [];
      for await (const change of things.changes(0, stop.signal)) {
        kinds.push(change.kind);
        if (change.revision === 2) stop.abort();
      }
      expect(kinds).toEqual(["put", "delete"]);
      expect(await things.findOne({ _id: "a" })).toBeUndefined();
      expect(await things.countDocuments({})).toBe(0);
    });
  });

  it("gives the keys of a unique index to documents that were there before it", async () => {
    await withDatabase(server, async ({ uri }) => {
      await using store = await openMongoStore({ uri });
      const before = await store.collection<Thing>({ name: "things", indexes: [] });
      await before.insertOne({ _id: "a", name: "x" });
      await before.insertOne({ _id: "b" });
      await before.insertOne({ _id: "c" });
      const after = await store.collection<Thing>({ ...spec, feed: false });
      await expect(after.insertOne({ _id: "d", name: "x" })).rejects.toMatchObject({ reason: 4 });
      expect(await after.countDocuments({})).toBe(3);
    });
  });

  it("is unavailable, soon, when there is no server", async () => {
    const uri = "mongodb://127.0.0.1:1/x";
    await expect(openMongoStore({ uri })).rejects.toMatchObject({
      kind: "Unavailable",
      reason: 19,
    });
  });
}

function databaseName(): string {
  return `t${randomUUID().replaceAll("-", "").slice(0, 20)}`;
}

async function drop(uri: string): Promise<void> {
  await using client = new MongoClient(uri);
  await client.db().dropDatabase();
}

async function withDatabase(
  server: string,
  run: (parts: { uri: string; raw: MongoClient }) => Promise<void>,
): Promise<void> {
  const uri = server + databaseName();
  await using raw = new MongoClient(uri);
  try {
    await run({ uri, raw });
  } finally {
    await raw.db().dropDatabase();
  }
}
