// What every driver of the documents port must do, as one suite: sqlite.test.ts and mongo.test.ts
// run it. Anything the port promises and that is not checked here, or in the two files beside this
// one, is not promised.

import { describe, expect, it, onTestFinished } from "vitest";
import { FakeClock } from "../testing/fake-clock.ts";
import { collect, type Database, type Thing, type UseDatabase } from "./contract-database.ts";
import { feedContract } from "./contract-feed.ts";
import { outageContract } from "./contract-outage.ts";
import { queryContract } from "./contract-query.ts";
import type { Collection, Document, DocumentStore } from "./port.ts";

/** Runs the suite on a driver. `start` makes an empty database. */
export function documentsContract(name: string, start: () => Promise<Database>): void {
  const database: UseDatabase = async () => {
    const started = await start();
    const stores: DocumentStore[] = [];
    onTestFinished(async () => {
      for (const store of stores) await store[Symbol.asyncDispose]();
      await started[Symbol.asyncDispose]();
    });
    return {
      uri: started.uri,
      cutOff: started.cutOff,
      open: async (options) => {
        const store = await started.open(options);
        stores.push(store);
        return store;
      },
    };
  };
  describe(`documents on ${name}`, () => {
    describe("writes", () => writes(database));
    describe("races", () => races(database));
    describe("unique indexes", () => unique(database));
    describe("expiry", () => expiry(database));
    describe("queries", () => queryContract(database));
    describe("feed", () => feedContract(database));
    describe("outage", () => outageContract(database));
  });
}

function writes(database: UseDatabase): void {
  it("inserts, reads, replaces and deletes", async () => {
    const things = await open(database);
    expect(await things.insertOne({ _id: "a", n: 1 })).toEqual({
      _id: "a",
      n: 1,
      version: 1,
      revision: 0,
    });
    const replaced = await things.replaceOne({ _id: "a", n: 2 }, { ifVersion: 1 });
    expect(replaced).toEqual({ _id: "a", n: 2, version: 2, revision: 0 });
    expect(await things.findOne({ _id: "a" })).toEqual(replaced);
    expect(await things.deleteOne("a")).toBe(true);
    expect(await things.deleteOne("a")).toBe(false);
    expect(await things.findOne({ _id: "a" })).toBeUndefined();
    expect((await things.insertOne({ _id: "a", n: 3 })).version).toBe(1);
  });

  it("refuses a second document with the same id", async () => {
    const things = await open(database);
    await things.insertOne({ _id: "a" });
    await expect(things.insertOne({ _id: "a" })).rejects.toMatchObject({
      kind: "AlreadyExists",
      reason: 4,
      metadata: { index: "_id" },
    });
  });

  it("compares versions", async () => {
    const things = await open(database);
    await things.insertOne({ _id: "a", n: 1 });
    const mismatch = { kind: "Aborted", reason: 5 };
    await expect(things.replaceOne({ _id: "a" }, { ifVersion: 2 })).rejects.toMatchObject(mismatch);
    await expect(things.deleteOne("a", { ifVersion: 2 })).rejects.toMatchObject(mismatch);
    await expect(things.replaceOne({ _id: "b" }, { ifVersion: 1 })).rejects.toMatchObject({
      kind: "NotFound",
      reason: 3,
    });
    expect(await things.deleteOne("b", { ifVersion: 1 })).toBe(false);
    expect(await things.findOne({ _id: "a" })).toMatchObject({ n: 1, version: 1 });
    expect(await things.deleteOne("a", { ifVersion: 1 })).toBe(true);
  });

  it("puts whatever is there", async () => {
    const things = await open(database);
    expect(await things.putOne({ _id: "a", n: 1 })).toMatchObject({ n: 1, version: 1 });
    expect(await things.putOne({ _id: "a", n: 2 })).toMatchObject({ n: 2, version: 2 });
    expect(await things.findOne({ _id: "a" })).toMatchObject({ n: 2, version: 2 });
  });

  it("takes a stored document back without its version and revision", async () => {
    const things = await open(database);
    const stored = await things.insertOne({ _id: "a", n: 1 });
    await things.putOne({ ...stored, n: 2 });
    expect(await things.findOne({ _id: "a" })).toEqual({ _id: "a", n: 2, version: 2, revision: 0 });
  });

  it("keeps two collections apart, and what is there across openings", async () => {
    const place = await database();
    const store = await place.open();
    const left = await store.collection<Thing>({ name: "left", indexes: [] });
    const right = await store.collection<Thing>({ name: "right", indexes: [] });
    await left.insertOne({ _id: "a", n: 1 });
    expect(await right.findOne({ _id: "a" })).toBeUndefined();
    const again = await (await place.open()).collection<Thing>({ name: "left", indexes: [] });
    expect(await again.findOne({ _id: "a" })).toMatchObject({ n: 1 });
    await store.ping();
  });

  it("refuses ids, names and sizes outside the contract", async () => {
    const place = await database();
    const store = await place.open();
    const invalid = { kind: "InvalidArgument", reason: 1 };
    for (const name of ["", "Things", 'a"; DROP TABLE x', "a".repeat(64)]) {
      await expect(store.collection({ name, indexes: [] })).rejects.toMatchObject(invalid);
    }
    const things = await store.collection<Document>({ name: "things", indexes: [] });
    for (const _id of ["", "a".repeat(1_025), "a\0", "\ud800"]) {
      await expect(things.insertOne({ _id })).rejects.toMatchObject(invalid);
    }
    const large: Document & { text: string } = { _id: "a", text: "x".repeat(8 * 1_024 * 1_024) };
    await expect(things.insertOne(large)).rejects.toMatchObject(invalid);
    expect(await things.countDocuments({})).toBe(0);
  });
}

function races(database: UseDatabase): void {
  it("lets exactly one of many replacements of a version win", async () => {
    const place = await database();
    const spec = { name: "things", indexes: [] };
    const stores = await Promise.all([place.open(), place.open()]);
    const handles = await Promise.all(stores.map((store) => store.collection<Thing>(spec)));
    await handles[0]!.insertOne({ _id: "a", n: -1 });
    for (let version = 1; version <= 5; version += 1) {
      const tries = Array.from({ length: 16 }, (_, n) => {
        return handles[n % 2]!.replaceOne({ _id: "a", n }, { ifVersion: version });
      });
      const outcomes = await Promise.allSettled(tries);
      const won = outcomes.flatMap((outcome, n) => (outcome.status === "fulfilled" ? [n] : []));
      expect(won).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ reason: 5 });
      }
      expect(await handles[0]!.findOne({ _id: "a" })).toMatchObject({
        n: won[0],
        version: version + 1,
      });
    }
  });

  it("lets exactly one of many insertions win, and loses no increment", async () => {
    const place = await database();
    const spec = { name: "things", indexes: [] };
    const stores = await Promise.all([place.open(), place.open()]);
    const handles = await Promise.all(stores.map((store) => store.collection<Thing>(spec)));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 16 }, (_, n) => handles[n % 2]!.insertOne({ _id: "a", n: 0 })),
    );
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    await Promise.all(Array.from({ length: 10 }, (_, n) => increment(handles[n % 2]!)));
    expect(await handles[0]!.findOne({ _id: "a" })).toMatchObject({ n: 10, version: 11 });
    await Promise.all(
      handles.flatMap((handle) => [1, 2, 3].map((n) => handle.putOne({ _id: "p", n }))),
    );
    expect(await handles[0]!.findOne({ _id: "p" })).toMatchObject({ version: 6 });
  });
}

async function increment(things: Collection<Thing>): Promise<void> {
  for (;;) {
    const stored = await things.findOne({ _id: "a" });
    try {
      await things.replaceOne({ _id: "a", n: stored!.n! + 1 }, { ifVersion: stored!.version });
      return;
    } catch (error) {
      expect(error).toMatchObject({ kind: "Aborted" });
    }
  }
}

function unique(database: UseDatabase): void {
  const indexes = [{ keys: { workspace: 1, name: 1 }, unique: true }] as const;
  const taken = { kind: "AlreadyExists", metadata: { index: "workspace,name" } };

  it.each([true, false])("hold for every kind of write (feed: %s)", async (feed) => {
    const things = await open(database, { indexes, feed });
    await things.insertOne({ _id: "a", workspace: "w", name: "x" });
    await things.insertOne({ _id: "b", workspace: "w", name: "y" });
    await things.insertOne({ _id: "c", workspace: "v", name: "x" });
    const same = { workspace: "w", name: "x" };
    await expect(things.insertOne({ _id: "d", ...same })).rejects.toMatchObject(taken);
    await expect(things.putOne({ _id: "d", ...same })).rejects.toMatchObject(taken);
    await expect(things.putOne({ _id: "b", ...same })).rejects.toMatchObject(taken);
    await expect(things.replaceOne({ _id: "b", ...same }, { ifVersion: 1 })).rejects.toMatchObject(
      taken,
    );
    expect(await things.findOne({ _id: "b" })).toMatchObject({ name: "y", version: 1 });
    await things.putOne({ _id: "a", workspace: "w", name: "z" });
    expect(await things.insertOne({ _id: "d", ...same })).toMatchObject({ version: 1 });
    await things.deleteOne("d");
    expect(await things.insertOne({ _id: "e", ...same })).toMatchObject({ version: 1 });
  });

  it("do not compare documents that lack a key, nor values of other types", async () => {
    const things = await open(database, { indexes });
    await things.insertOne({ _id: "a", workspace: "w" });
    await things.insertOne({ _id: "b", workspace: "w" });
    await things.insertOne({ _id: "c", workspace: "w", name: null });
    await things.insertOne({ _id: "d", workspace: "w", name: "null" });
    await things.insertOne({ _id: "e", workspace: "w", name: "" });
    expect(await things.countDocuments({ workspace: "w" })).toBe(5);
  });

  it.each([true, false])("let one of many racing writers win (feed: %s)", async (feed) => {
    const things = await open(database, { indexes, feed });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, n) => {
        return things.insertOne({ _id: `t${n}`, workspace: "w", name: "x" });
      }),
    );
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    expect(await things.countDocuments({})).toBe(1);
  });
}

function expiry(database: UseDatabase): void {
  const indexes = [
    { keys: { expireTime: 1 }, expireAfterSeconds: 10 },
    { keys: { name: 1 }, unique: true },
  ] as const;

  it.each([true, false])("hides a document from the moment it is due (feed: %s)", async (feed) => {
    const clock = new FakeClock(Date.now());
    const store = await (await database()).open({ clock });
    const things = await store.collection<Thing>({ name: "things", indexes, feed });
    const expireTime = new Date(clock.now());
    await things.insertOne({ _id: "a", name: "x", expireTime });
    await things.insertOne({ _id: "b", name: "y", expireTime: new Date(clock.now() + 60_000) });
    await things.insertOne({ _id: "c", name: "z" });
    clock.advance(9_999);
    expect(await things.countDocuments({})).toBe(3);
    clock.advance(1);
    expect(await things.findOne({ _id: "a" })).toBeUndefined();
    expect(await things.countDocuments({ name: "x" })).toBe(0);
    const ids = (await collect(things.find({}, { sort: { name: 1 } }))).map((thing) => thing._id);
    expect(ids).toEqual(["b", "c"]);
    expect(await things.deleteOne("a")).toBe(false);
    await expect(
      things.replaceOne({ _id: "a", name: "x" }, { ifVersion: 1 }),
    ).rejects.toMatchObject({ kind: "NotFound" });
  });

  it.each([true, false])("frees the id and the unique keys (feed: %s)", async (feed) => {
    const clock = new FakeClock(Date.now());
    const store = await (await database()).open({ clock });
    const things = await store.collection<Thing>({ name: "things", indexes, feed });
    const expireTime = new Date(clock.now());
    for (const name of ["x", "y", "z"]) await things.insertOne({ _id: name, name, expireTime });
    await things.insertOne({ _id: "w", name: "w" });
    clock.advance(10_000);
    expect(await things.insertOne({ _id: "x", name: "x2" })).toMatchObject({ version: 1 });
    expect(await things.insertOne({ _id: "other", name: "x" })).toMatchObject({ version: 1 });
    expect(await things.putOne({ _id: "y", name: "y" })).toMatchObject({ version: 1 });
    expect(await things.putOne({ _id: "w", name: "z" })).toMatchObject({ version: 2 });
    expect(await things.countDocuments({})).toBe(4);
  });
}

async function open(
  database: UseDatabase,
  spec: Partial<Parameters<DocumentStore["collection"]>[0]> = {},
): Promise<Collection<Thing>> {
  const store = await (await database()).open();
  return store.collection<Thing>({ name: "things", indexes: [], ...spec });
}
