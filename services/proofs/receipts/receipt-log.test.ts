import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../common/clock.ts";
import { useStore } from "../../common/documents/testing.ts";
import { InvalidArgument, NotFound, Unavailable } from "../../common/errors/domain-error.ts";
import { checkConsistency, checkReceipt } from "./check-receipt.ts";
import { parseCheckpoint } from "./checkpoint.ts";
import { openLogCollections } from "./log-documents.ts";
import { rootOfLeaves } from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";
import { decodeReceipt } from "./receipt.ts";
import { SigningKeys } from "./signing-key.ts";
import {
  batchOfFacts,
  batchOfInferences,
  factsOf,
  receiptsOf,
  WORKSPACE,
} from "./testing/inferences.ts";
import { trustIn, useFolder, useKeys, useLog } from "./testing/use-log.ts";

const bytesOf = (list: readonly { receipt: Uint8Array }[]) =>
  list.map(({ receipt }) => Buffer.from(receipt).toString("latin1"));

describe("receipt-log", () => {
  it("appends, and proves every receipt against the head, at sizes around the tiles' edges", async () => {
    const keys = await useKeys();
    const log = await useLog(await useStore(), keys);
    const all = receiptsOf(keys, 0, 1_300);
    let size = 0;
    for (const next of [1, 2, 3, 255, 256, 257, 511, 513, 700, 1_300]) {
      expect(await log.append(batchOfInferences(keys, size, next))).toBe(size);
      size = next;
      const { checkpoint } = (await log.head())!;
      expect(checkpoint.size).toBe(size);
      const leaves = all.slice(0, size).map((receipt) => serverTree.leaf(receipt));
      expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(rootOfLeaves(leaves, serverTree)));
      for (const index of new Set([0, 1, size >> 1, size - 2, size - 1, 255, 256, 512])) {
        if (index < 0 || index >= size) continue;
        const verdict = checkReceipt(await log.prove(index), trustIn(keys));
        expect(verdict.valid, `${index} of ${size}`).toBe(true);
      }
    }
    for (const index of [-1, 1_300, 0.5]) {
      await expect(log.prove(index)).rejects.toBeInstanceOf(NotFound);
    }
  });

  it("has tiles of tiles: 70,000 receipts, two levels", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const log = await useLog(store, keys);
    const all = receiptsOf(keys, 0, 70_000);
    for (let from = 0; from < all.length; from += 10_000) {
      const calls: Promise<number>[] = [];
      for (let at = from; at < from + 10_000; at += 1_000) {
        calls.push(log.append(batchOfInferences(keys, at, at + 1_000)));
      }
      await Promise.all(calls);
    }
    const leaves = all.map((receipt) => serverTree.leaf(receipt));
    const { checkpoint } = (await log.head())!;
    expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(rootOfLeaves(leaves, serverTree)));
    // Another process, which knows nothing but what is stored.
    const other = await useLog(store, keys);
    for (const index of [0, 255, 256, 65_535, 65_536, 69_631, 69_632, 69_999]) {
      expect(checkReceipt(await other.prove(index), trustIn(keys)).valid, `${index}`).toBe(true);
      const [found] = await other.find(`inference-${index}`);
      expect(found?.index).toBe(index);
    }
    const tiles = (await openLogCollections(store)).tiles;
    expect(await tiles.countDocuments({})).toBeGreaterThanOrEqual(273);
    expect(await tiles.findOne({ _id: `${WORKSPACE}/tiles/1/0` })).toBeDefined();
  });

  it("proves that each size begins with each earlier one", async () => {
    const keys = await useKeys();
    const log = await useLog(await useStore(), keys);
    const heads: string[] = [];
    for (let at = 0; at < 600; at += 60) {
      await log.append(batchOfInferences(keys, at, at + 60));
      heads.push((await log.head())!.text);
      for (const older of heads) {
        const { path, checkpoint } = await log.proveConsistency(parseCheckpoint(older).size);
        const verdict = checkConsistency({ older, newer: checkpoint, path }, trustIn(keys));
        expect(verdict.valid).toBe(true);
      }
    }
    expect((await log.proveConsistency(0)).path).toEqual([]);
    await expect(log.proveConsistency(601)).rejects.toBeInstanceOf(InvalidArgument);
  });

  it("keeps receipts in the order of the calls, and finds and lists them", async () => {
    const keys = await useKeys();
    const log = await useLog(await useStore(), keys, { flushIntervalMs: 5 });
    const places = await Promise.all([
      log.append(batchOfInferences(keys, 0, 700)),
      log.append(batchOfInferences(keys, 700, 1_400)),
      log.append(batchOfFacts(keys, [factsOf(1_400), { ...factsOf(5), timeUs: 7 }])),
    ]);
    expect(places).toEqual([0, 700, 1_400]);
    expect(decodeReceipt((await log.get(1_399)).receipt).inferenceId).toBe("inference-1399");
    // One id twice: both, the newest first.
    expect((await log.find("inference-5")).map(({ index }) => index)).toEqual([1_401, 5]);
    expect(await log.find("inference-1402")).toEqual([]);
    const page = await log.list({ limit: 800 });
    expect(page.map(({ index }) => index)).toEqual(
      Array.from({ length: 800 }, (_, i) => 1_401 - i),
    );
    const rest = await log.list({ before: page.at(-1)!.index, limit: 1_000 });
    expect(rest.map(({ index }) => index)).toEqual(Array.from({ length: 602 }, (_, i) => 601 - i));
    expect(bytesOf(rest.slice(0, 1))).toEqual(bytesOf([await log.get(601)]));
  });

  it("writes one head for all the batches that it takes, and does not wait when it is full", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const { heads } = await openLogCollections(store);
    const log = await useLog(store, keys, { flushIntervalMs: 3_600_000 });
    const starts = Array.from({ length: 8 }, (_, i) => i * 1_024);
    const calls = starts.map((start) => log.append(batchOfInferences(keys, start, start + 1_024)));
    expect(await Promise.all(calls)).toEqual(starts);
    expect(await heads.findOne({ _id: WORKSPACE })).toMatchObject({ version: 1, size: 8_192 });
  });

  it("logs at once what waits when it is closed", async () => {
    const keys = await useKeys();
    const log = await useLog(await useStore(), keys, { flushIntervalMs: 3_600_000 });
    const calls = [0, 1_024].map((start) =>
      log.append(batchOfInferences(keys, start, start + 1_024)),
    );
    await log[Symbol.asyncDispose]();
    expect(await Promise.all(calls)).toEqual([0, 1_024]);
  });

  it("finds receipts through the index's levels, also where a run was never made", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const collections = await openLogCollections(store);
    const log = await useLog(store, keys, { flushIntervalMs: 0 });
    for (let i = 0; i < 300; i++) await log.append(batchOfInferences(keys, i * 3, i * 3 + 3));
    await log[Symbol.asyncDispose]();
    expect(await collections.ids.findOne({ _id: `${WORKSPACE}/ids/2/0/0` })).toBeDefined();
    const search = async () => {
      const other = await useLog(store, keys);
      for (const i of [0, 47, 48, 767, 768, 899]) {
        expect((await other.find(`inference-${i}`)).map(({ index }) => index)).toEqual([i]);
      }
    };
    await search();
    await collections.ids.deleteOne(`${WORKSPACE}/ids/2/0/0`);
    await collections.ids.deleteOne(`${WORKSPACE}/ids/1/15/0`);
    await search();
  });

  it("bounds what waits, logs it at the end, and takes nothing after", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const log = await useLog(store, keys, { waitingMax: 10, flushIntervalMs: 60_000 });
    const first = log.append(batchOfInferences(keys, 0, 10));
    expect(() => log.append(batchOfInferences(keys, 10))).toThrow(/10 receipts wait/);
    await log[Symbol.asyncDispose]();
    expect(await first).toBe(0);
    expect(() => log.append(batchOfInferences(keys, 10))).toThrow(Unavailable);
  });

  it("keeps the logs of two workspaces apart", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const log = await useLog(store, keys);
    const other = await useLog(store, keys, { workspace: "workspaces/acme2" });
    await log.append(batchOfInferences(keys, 0));
    expect(await other.head()).toBeUndefined();
    await expect(other.get(0)).rejects.toBeInstanceOf(NotFound);
    expect(await other.find("inference-0")).toEqual([]);
  });
});

describe("receipt-log with several replicas", () => {
  it("gives every receipt one place, in one log", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const logs = await Promise.all([1, 2, 3].map(() => useLog(store, keys)));
    const appended: Promise<void>[] = [];
    const places = new Map<number, number>();
    for (let i = 0; i < 300; i++) {
      appended.push(
        logs[i % 3]!.append(batchOfInferences(keys, i)).then((index) => {
          places.set(index, i);
        }),
      );
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(appended);
    expect([...places.keys()].sort((one, other) => one - other)).toEqual(
      Array.from({ length: 300 }, (_, i) => i),
    );
    for (const [index, i] of places) {
      const { receipt } = await logs[index % 3]!.get(index);
      expect(decodeReceipt(receipt).inferenceId).toBe(`inference-${i}`);
      if (index % 20 === 0) {
        expect(checkReceipt(await logs[i % 3]!.prove(index), trustIn(keys)).valid).toBe(true);
        expect((await logs[i % 3]!.find(`inference-${i}`))[0]?.index).toBe(index);
      }
    }
  });

  it("goes on with a key that another replica made, and proves receipts of the former", async () => {
    const folder = join(await useFolder(), "receipt-keys");
    const [mine, theirs] = [await SigningKeys.open(folder), await SigningKeys.open(folder)];
    const store = await useStore();
    const [log, other] = [await useLog(store, mine), await useLog(store, theirs)];
    await log.append(batchOfInferences(mine, 0));
    await theirs.rotate();
    await other.append(batchOfInferences(theirs, 1));
    expect(await log.append(batchOfInferences(mine, 2))).toBe(2);
    for (const index of [0, 1, 2]) {
      expect(checkReceipt(await other.prove(index), trustIn(theirs)).valid).toBe(true);
    }
  });
});

describe("receipt-log retention", () => {
  it("lets bodies go and keeps every proof", async () => {
    let now = 1_763_640_000_000;
    const clock: Clock = { now: () => now, monotonicMs: () => now };
    const keys = await useKeys();
    const store = await useStore({ clock });
    const log = await useLog(store, keys, { clock, retentionMs: 60_000, flushIntervalMs: 0 });
    for (let i = 0; i < 40; i++) await log.append(batchOfInferences(keys, i * 10, i * 10 + 10));
    const kept = await log.prove(17);
    const older = (await log.head())!.text;
    now += 60_001;
    await expect(log.get(17)).rejects.toThrow(/has expired; its hash is still in the log/);
    expect(await log.find("inference-17")).toEqual([]);
    expect(await log.list({ limit: 5 })).toEqual([]);
    for (let i = 0; i < 20; i++)
      await log.append(batchOfInferences(keys, 400 + i * 10, 410 + i * 10));
    expect((await log.find("inference-405")).map(({ index }) => index)).toEqual([405]);
    expect(await log.find("inference-17")).toEqual([]);
    expect(await log.list({ limit: 1_000 })).toHaveLength(200);
    // Whoever kept the receipt proves it against the new head with the log's own path.
    const { path, checkpoint, leaf } = await log.proveLeaf(17);
    expect(Buffer.from(leaf)).toEqual(Buffer.from(serverTree.leaf(kept.receipt)));
    const verdict = checkReceipt({ ...kept, path, checkpoint }, trustIn(keys));
    expect(verdict.valid).toBe(true);
    const grown = await log.proveConsistency(400);
    const claim = { older, newer: grown.checkpoint, path: grown.path };
    expect(checkConsistency(claim, trustIn(keys)).valid).toBe(true);
  });
});
