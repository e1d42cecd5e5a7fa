import { chmodSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { useSmallDisk } from "../blobs/testing.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { useFolder } from "../testing/use-folder.ts";
import { documentsContract } from "./contract.ts";
import type { Database } from "./contract-database.ts";
import { openDocumentStore } from "./open.ts";
import type { Document } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";
import { useStore } from "./testing.ts";

interface Item extends Document {
  readonly n?: number;
  readonly expireTime?: Date;
}

interface Text extends Document {
  readonly text: string;
}

documentsContract("SQLite", async (): Promise<Database> => {
  const folder = await mkdtemp(join(tmpdir(), "plinth-documents-"));
  const path = join(folder, "store.db");
  return {
    uri: `sqlite:${path}`,
    open: (options = {}) => openSqliteStore({ path, lockWaitMaxMs: 500, ...options }),
    // Another process that does not let go of the file's lock.
    cutOff: async () => {
      const other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      return async () => other.close();
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
});

describe("sqlite store", () => {
  it("makes files for this user alone, and leaves a file that is there as it is", async () => {
    const folder = useFolder();
    const path = join(folder, "store.db");
    const modes = () =>
      readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]);
    {
      await using store = await openSqliteStore({ path });
      const items = await store.collection<Item>({ name: "items", indexes: [] });
      await items.insertOne({ _id: "a" });
      expect(modes()).toEqual([
        ["store.db", 0o600],
        ["store.db-shm", 0o600],
        ["store.db-wal", 0o600],
      ]);
    }
    chmodSync(path, 0o640);
    await using again = await openSqliteStore({ path });
    const items = await again.collection<Item>({ name: "items", indexes: [] });
    expect(await items.findOne({ _id: "a" })).toMatchObject({ _id: "a" });
    expect(modes()[0]).toEqual(["store.db", 0o640]);
  });

  it("uses an index for a filter on its fields", async () => {
    const path = join(useFolder(), "store.db");
    await using store = await openSqliteStore({ path });
    await store.collection<Item>({ name: "items", indexes: [{ keys: { "a.b": 1, n: -1 } }] });
    using file = new DatabaseSync(path);
    const sql = `EXPLAIN QUERY PLAN SELECT * FROM doc_items
      WHERE json_extract(body, '$."a"."b"') = ? AND json_extract(body, '$."n"') > ?`;
    const plan = JSON.stringify(file.prepare(sql).all("x", 1));
    expect(plan).toContain("USING INDEX items:index");
  });

  it("deletes expired documents from the file", async () => {
    const path = join(useFolder(), "store.db");
    const clock = new FakeClock();
    await using store = await openSqliteStore({ path, clock, sweepIntervalMs: 5 });
    const indexes = [{ keys: { expireTime: 1 }, expireAfterSeconds: 0 }] as const;
    const items = await store.collection<Item>({ name: "items", indexes });
    await items.insertOne({ _id: "a", expireTime: new Date(clock.now() + 1_000) });
    await items.insertOne({ _id: "b", expireTime: new Date(clock.now() + 2_000) });
    using file = new DatabaseSync(path);
    const ids = () =>
      file
        .prepare("SELECT id FROM doc_items")
        .all()
        .map((row) => row.id);
    expect(ids()).toEqual(["a", "b"]);
    clock.advance(1_500);
    await expect.poll(ids).toEqual(["b"]);
  });

  it("lets one refused write not harm those that share its transaction", async () => {
    const store = await useStore();
    const items = await store.collection<Item>({ name: "items", indexes: [], feed: true });
    const outcomes = await Promise.allSettled([
      items.insertOne({ _id: "a" }),
      items.insertOne({ _id: "a" }),
      items.replaceOne({ _id: "a", n: 2 }, { ifVersion: 1 }),
      items.deleteOne("gone", { ifVersion: 3 }),
      items.insertOne({ _id: "b" }),
    ]);
    const statuses = outcomes.map((outcome) => outcome.status === "fulfilled");
    expect(statuses).toEqual([true, false, true, true, true]);
    expect(await items.findOne({ _id: "a" })).toMatchObject({ n: 2, version: 2, revision: 2 });
    expect(await items.revision()).toBe(3);
  });

  it("says that a full disk is full, loses nothing, and goes on when there is room", async (context) => {
    const disk = useSmallDisk(2 * 1_024 * 1_024);
    if (disk === undefined) return context.skip("mounting a small disk needs root");
    const ballast = join(disk, "ballast");
    writeFileSync(ballast, Buffer.alloc(1_000_000));
    await using store = await openSqliteStore({ path: join(disk, "store.db") });
    const items = await store.collection<Text>({ name: "items", indexes: [], feed: true });
    const text = "x".repeat(10_000);
    const acknowledged: string[] = [];
    const fill = async () => {
      for (let n = 0; n < 500; n += 1) {
        acknowledged.push((await items.insertOne({ _id: `t${n}`, text }))._id);
      }
    };
    await expect(fill()).rejects.toMatchObject({ kind: "ResourceExhausted", reason: 22 });
    expect(acknowledged.length).toBeGreaterThan(1);
    expect(await items.countDocuments({ text })).toBe(acknowledged.length);
    expect(await items.revision()).toBe(acknowledged.length);
    rmSync(ballast);
    await items.insertOne({ _id: "after", text });
    expect(await items.countDocuments({})).toBe(acknowledged.length + 1);
  });

  it("says that a damaged file is damaged", async () => {
    const path = join(useFolder(), "store.db");
    writeFileSync(path, "this is not a database, it only has the length of one".repeat(100));
    await expect(openSqliteStore({ path })).rejects.toMatchObject({ kind: "DataLoss" });
  });
});

describe("openDocumentStore", () => {
  it("opens what the URI names", async () => {
    await using store = await openDocumentStore("sqlite::memory:");
    await store.ping();
  });

  it.each(["", "sqlite:", "postgres://user:secret@host/db", "mongodb"])(
    "refuses %j",
    async (uri) => {
      const error = await openDocumentStore(uri).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ kind: "InvalidArgument" });
      expect(String(error)).not.toContain("secret");
    },
  );
});
