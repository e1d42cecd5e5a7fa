import { describe, expect, it } from "vitest";
import type { Collection, Document } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { DataLoss, Unavailable } from "../../common/errors/domain-error.ts";
import { checkReceipt } from "./check-receipt.ts";
import { type LogCollections, openLogCollections } from "./log-documents.ts";
import { decodeReceipt } from "./receipt.ts";
import { batchOfFacts, batchOfInferences, factsOf, WORKSPACE } from "./testing/inferences.ts";
import { trustIn, useKeys, useLog } from "./testing/use-log.ts";

/** The collections with a fault before or after chosen writes. */
function faulty(
  collections: LogCollections,
  fault: (write: string, when: "before" | "after") => void,
): LogCollections {
  const wrap = <T extends Document>(name: string, inner: Collection<T>): Collection<T> =>
    new Proxy(inner, {
      get(target, key) {
        const method = Reflect.get(target, key) as (...rest: unknown[]) => unknown;
        if (key !== "insertOne" && key !== "replaceOne" && key !== "putOne") {
          return method.bind(target);
        }
        return async (...rest: unknown[]) => {
          fault(name, "before");
          const result = await method.apply(target, rest);
          fault(name, "after");
          return result;
        };
      },
    });
  const { heads, bodies, batches, tiles, ids } = collections;
  return {
    heads: wrap("heads", heads),
    bodies: wrap("bodies", bodies),
    batches: wrap("batches", batches),
    tiles: wrap("tiles", tiles),
    ids: wrap("ids", ids),
  };
}

const away = () => new Unavailable("The store is away.", { reason: 19, retryAfterMs: 1 });

describe("receipt-log and crashes", () => {
  it("loses nothing acknowledged and doubles nothing, wherever a process dies", async () => {
    const keys = await useKeys();
    for (const at of ["bodies", "heads", "batches", "tiles", "ids"]) {
      for (const when of ["before", "after"] as const) {
        const store = await useStore();
        const collections = await openLogCollections(store);
        const first = await useLog(store, keys);
        await first.append(batchOfInferences(keys, 0, 200));
        // From the write on nothing of this process reaches the store: it is dead.
        let isDead = false;
        // The head may be on its way when a write of the background is the one that dies.
        let unheard = 0;
        const dying = await useLog(store, keys, {
          flushIntervalMs: 0,
          collections: faulty(collections, (write, moment) => {
            if (isDead || (write === at && moment === when)) {
              isDead = true;
              if (write === "heads" && moment === "after") unheard++;
              throw new DataLoss("killed", { reason: 17 });
            }
          }),
        });
        const acknowledged = new Map<number, number>();
        for (let i = 200; i < 240 && !isDead; i++) {
          const from = i * 100;
          await dying.append(batchOfInferences(keys, from, from + 100)).then(
            (index) => {
              acknowledged.set(index, from);
            },
            () => {},
          );
        }
        expect(isDead, `${at} is written`).toBe(true);
        const next = await useLog(store, keys);
        const place = await next.append(batchOfInferences(keys, 1));
        const where = `died ${when} ${at}`;
        expect((place - 200) % 100, where).toBe(0);
        expect(place - 200, where).toBeGreaterThanOrEqual(acknowledged.size * 100);
        for (const [index, from] of acknowledged) {
          expect((await next.find(`inference-${from + 42}`))[0]?.index, where).toBe(index + 42);
        }
        for (let index = 0; index <= place; index += 37) {
          expect(checkReceipt(await next.prove(index), trustIn(keys)).valid, where).toBe(true);
        }
        const unacknowledged = (place - 200) / 100 - acknowledged.size;
        expect(unacknowledged, where).toBe(unheard);
        if (at === "heads") expect(unheard, where).toBe(when === "after" ? 1 : 0);
      }
    }
  });

  it("appends once where the store goes away and the answer to a write is lost", async () => {
    const keys = await useKeys();
    const store = await useStore();
    let count = 0;
    const log = await useLog(store, keys, {
      collections: faulty(await openLogCollections(store), () => {
        // Every third write fails, before or after it was made.
        if (++count % 3 === 0) throw away();
      }),
    });
    const places: number[] = [];
    for (let i = 0; i < 5; i++)
      places.push(await log.append(batchOfInferences(keys, i * 70, i * 70 + 70)));
    expect(places).toEqual([0, 70, 140, 210, 280]);
    const clean = await useLog(store, keys);
    expect((await clean.head())!.checkpoint.size).toBe(350);
    for (const i of [0, 69, 70, 255, 256, 349]) {
      expect((await clean.find(`inference-${i}`)).map(({ index }) => index)).toEqual([i]);
      expect(checkReceipt(await clean.prove(i), trustIn(keys)).valid).toBe(true);
    }
  });

  it("doubles nothing where a head was written and nobody heard of it", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const collections = await openLogCollections(store);
    const other = await useLog(store, keys, { flushIntervalMs: 0 });
    let isLost = true;
    let meanwhile: () => Promise<unknown> = async () => {};
    const lossy = faulty(collections, (write, moment) => {
      if (isLost && write === "heads" && moment === "after") {
        isLost = false;
        throw away();
      }
    });
    const { bodies, batches, tiles, ids } = collections;
    const heads = new Proxy(lossy.heads, {
      get(target, key) {
        const method = Reflect.get(target, key) as (...rest: unknown[]) => unknown;
        if (key !== "findOne") return method.bind(target);
        // The next look at the head comes after what others did.
        return async (...rest: unknown[]) => {
          const happens = meanwhile;
          meanwhile = async () => {};
          await happens();
          return method.apply(target, rest);
        };
      },
    });
    const log = await useLog(store, keys, {
      flushIntervalMs: 0,
      collections: { heads, bodies, batches, tiles, ids },
    });
    // The log's first head; one that is the newest still; one with others' heads on top.
    expect(await log.append(batchOfInferences(keys, 0, 5))).toBe(0);
    expect(isLost).toBe(false);
    isLost = true;
    expect(await log.append(batchOfInferences(keys, 5, 9))).toBe(5);
    expect(isLost).toBe(false);
    isLost = true;
    meanwhile = async () => {
      await other.append(batchOfInferences(keys, 100, 103));
      await other.append(batchOfInferences(keys, 103, 104));
    };
    expect(await log.append(batchOfInferences(keys, 9, 12))).toBe(9);
    expect(isLost).toBe(false);
    expect((await other.head())!.checkpoint.size).toBe(16);
    for (const [id, index] of [
      [0, 0],
      [8, 8],
      [11, 11],
      [100, 12],
      [103, 15],
    ] as const) {
      const found = await other.find(`inference-${id}`);
      expect(found.map((entry) => entry.index)).toEqual([index]);
    }
  });

  it("logs a batch as it was stored where it comes again under another key", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const dying = await useLog(store, keys, {
      collections: faulty(await openLogCollections(store), (write) => {
        if (write === "heads") throw new DataLoss("killed", { reason: 17 });
      }),
    });
    const facts = [0, 1, 2].map(factsOf);
    const former = keys.current.keyId;
    const lost = dying.append(batchOfFacts(keys, facts, 1n));
    await expect(lost).rejects.toBeInstanceOf(DataLoss);
    await keys.rotate();
    const log = await useLog(store, keys);
    expect(await log.append(batchOfFacts(keys, facts, 1n))).toBe(0);
    for (const index of facts.keys()) {
      const evidence = await log.prove(index);
      expect(decodeReceipt(evidence.receipt).keyId).toBe(former);
      expect(checkReceipt(evidence, trustIn(keys)).valid).toBe(true);
    }
  });
});

describe("receipt-log refuses to go on", () => {
  it("with a head that was set back, forked, changed or signed by nobody of ours", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const { heads } = await openLogCollections(store);
    const log = await useLog(store, keys);
    await log.append(batchOfInferences(keys, 0, 5));
    const early = (await heads.findOne({ _id: WORKSPACE }))!;
    await log.append(batchOfInferences(keys, 5, 9));
    const late = (await heads.findOne({ _id: WORKSPACE }))!;
    const tail = Uint8Array.from(late.tail);
    tail[40]! ^= 1;
    const strangers = await useKeys();
    const { size, root, timeUs, origin } = (await log.head())!.checkpoint;
    const forged = strangers.current.signTreeHead({ origin, size, root, timeUs });
    for (const [bad, why] of [
      [early, /had 9 receipts and has 5/],
      [{ ...late, tail }, /not those of its signed head/],
      [{ ...late, size: 8 }, /not those of its signed head/],
      [{ ...late, checkpoint: forged }, /not signed by a key of ours/],
      [{ ...late, checkpoint: "nonsense" }, /no checkpoint/],
    ] as const) {
      await heads.putOne(bad);
      await expect(log.head()).rejects.toThrow(why);
      await expect(log.append(batchOfInferences(keys, 9))).rejects.toBeInstanceOf(DataLoss);
    }
    // Set back and gone on with by a replica that could not know: caught by one that could.
    await heads.putOne(early);
    const fooled = await useLog(store, keys);
    await fooled.append(batchOfInferences(keys, 20, 30));
    await expect(log.head()).rejects.toThrow(/forked/);
    await heads.putOne(late);
    expect(await log.append(batchOfInferences(keys, 9))).toBe(9);
  });

  it("without a tile", async () => {
    const keys = await useKeys();
    const store = await useStore();
    const { tiles } = await openLogCollections(store);
    const log = await useLog(store, keys);
    await log.append(batchOfInferences(keys, 0, 300));
    await log.append(batchOfInferences(keys, 300, 310));
    await tiles.deleteOne(`${WORKSPACE}/tiles/0/0`);
    const other = await useLog(store, keys);
    await expect(other.prove(3)).rejects.toThrow(/tile 0\/0 is missing/);
  });
});
