// The part of the contract suite about the feed: its order, and that a reader which is torn down
// anywhere and resumed while writers run ends with exactly what is stored.

import { expect, it } from "vitest";
import { collect, type Thing, type UseDatabase } from "./contract-database.ts";
import type { Change, Collection } from "./port.ts";

const SPEC = { name: "things", indexes: [], feed: true } as const;

/** Registers the tests. */
export function feedContract(database: UseDatabase): void {
  order(database);
  resumption(database);
  waiting(database);
  trimming(database);
}

/** The next `count` changes after a revision. */
async function take(
  things: Collection<Thing>,
  after: number,
  count: number,
): Promise<readonly Change<Thing>[]> {
  const stop = new AbortController();
  const taken: Change<Thing>[] = [];
  if (count === 0) return taken;
  for await (const change of things.changes(after, stop.signal)) {
    taken.push(change);
    if (taken.length === count) stop.abort();
  }
  return taken;
}

function order(database: UseDatabase): void {
  it("numbers every write from 1 and delivers each once, in order", async () => {
    const things = await (await (await database()).open()).collection<Thing>(SPEC);
    expect(await things.revision()).toBe(0);
    const a = await things.insertOne({ _id: "a", n: 1 });
    const b = await things.putOne({ _id: "b", n: 2 });
    const a2 = await things.replaceOne({ _id: "a", n: 3 }, { ifVersion: 1 });
    await things.deleteOne("b");
    await expect(things.insertOne({ _id: "a" })).rejects.toMatchObject({ reason: 4 });
    await expect(things.replaceOne({ _id: "a" }, { ifVersion: 1 })).rejects.toThrow();
    expect(await things.deleteOne("b")).toBe(false);
    const b2 = await things.insertOne({ _id: "b", n: 4 });
    expect(b2.version).toBe(1);
    const changes = await take(things, 0, 5);
    expect(changes).toEqual([
      { kind: "put", revision: a.revision, document: a },
      { kind: "put", revision: b.revision, document: b },
      { kind: "put", revision: a2.revision, document: a2 },
      { kind: "delete", revision: expect.any(Number), id: "b" },
      { kind: "put", revision: b2.revision, document: b2 },
    ]);
    expect(a.revision).toBe(1);
    expectRising(changes.map((change) => change.revision));
    expect(await things.revision()).toBe(b2.revision);
    expect(await things.findOne({ _id: "b" })).toEqual(b2);
    expect(await take(things, a2.revision, 2)).toEqual(changes.slice(3));
  });

  it("belongs to collections opened with one", async () => {
    const store = await (await database()).open();
    const things = await store.collection<Thing>({ name: "plain", indexes: [] });
    await expect(things.revision()).rejects.toMatchObject({ kind: "FailedPrecondition" });
  });
}

function resumption(database: UseDatabase): void {
  it.each([1, 2, 3])("misses and repeats nothing across resumptions (seed %i)", async (seed) => {
    const random = seeded(seed);
    const place = await database();
    const stores = await Promise.all([place.open(), place.open(), place.open()]);
    const [reader, ...writers] = await Promise.all(
      stores.map((store) => store.collection<Thing>(SPEC)),
    );
    const work = Promise.all(
      Array.from({ length: 4 }, (_, n) =>
        write(writers[n % 2]!, { ops: 40, random: seeded(seed * 100 + n) }),
      ),
    );
    let running = true;
    void work.finally(() => {
      running = false;
    });
    const seen = new Map<string, Thing>();
    let after = 0;
    const acknowledged: number[] = [];
    const read = async (count: number) => {
      for (const change of await take(reader!, after, count)) {
        acknowledged.push(change.revision);
        after = change.revision;
        if (change.kind === "put") seen.set(change.document._id, change.document);
        else seen.delete(change.id);
      }
    };
    // 4 writers make at least 40 changes between them, whatever loses its race.
    await read(5);
    while (running)
      await read(
        Math.min(1 + Math.floor(random() * 5), (await reader!.revision()) > after ? 1 : 0),
      );
    const written = (await work).flat();
    const end = await reader!.revision();
    while (after < end) await read(1);
    expectRising(acknowledged);
    expect(new Set(acknowledged)).toEqual(new Set(written));
    const stored = await collect(reader!.find({}));
    expect([...seen.values()].toSorted((l, r) => (l._id < r._id ? -1 : 1))).toEqual(stored);
  });
}

/** Random writes to few documents; the revisions of those that were acknowledged with one. */
async function write(
  things: Collection<Thing>,
  options: { readonly ops: number; readonly random: () => number },
): Promise<readonly number[]> {
  const { random } = options;
  const revisions: number[] = [];
  for (let op = 0; op < options.ops; op += 1) {
    const _id = `d${Math.floor(random() * 4)}`;
    const n = Math.floor(random() * 1_000);
    try {
      const kind = random();
      if (kind < 0.5) revisions.push((await things.putOne({ _id, n })).revision);
      else if (kind < 0.7) revisions.push((await things.insertOne({ _id, n })).revision);
      else {
        const stored = await things.findOne({ _id });
        if (stored === undefined) continue;
        const { revision } = await things.replaceOne({ _id, n }, { ifVersion: stored.version });
        revisions.push(revision);
      }
    } catch (error) {
      if (![3, 4, 5].includes((error as { reason: number }).reason)) throw error;
    }
  }
  return revisions;
}

function waiting(database: UseDatabase): void {
  it("wakes a waiting reader, of this store and of another", async () => {
    const place = await database();
    const [here, there] = await Promise.all([place.open(), place.open()]);
    const writer = await here!.collection<Thing>(SPEC);
    const other = await there!.collection<Thing>(SPEC);
    const waiting = [take(writer, 0, 1), take(other, 0, 1)];
    const inserted = await writer.insertOne({ _id: "a", n: 1 });
    const change = { kind: "put", revision: inserted.revision, document: inserted };
    expect(await Promise.all(waiting)).toEqual([[change], [change]]);
  });

  it("ends without error when the signal aborts", async () => {
    const things = await (await (await database()).open()).collection<Thing>(SPEC);
    const stop = new AbortController();
    const reading = collect(things.changes(0, stop.signal));
    stop.abort();
    expect(await reading).toEqual([]);
    expect(await collect(things.changes(0, AbortSignal.abort()))).toEqual([]);
  });

  it("keeps only the changes of acknowledged writes when unique keys collide", async () => {
    const store = await (await database()).open();
    const indexes = [{ keys: { name: 1 }, unique: true }] as const;
    const things = await store.collection<Thing>({ ...SPEC, indexes });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, n) => things.putOne({ _id: `t${n}`, name: `x${n % 3}` })),
    );
    const won = outcomes.flatMap((outcome) => {
      return outcome.status === "fulfilled" ? [outcome.value.revision] : [];
    });
    expect(won).toHaveLength(3);
    const changes = await take(things, 0, 3);
    expect(changes.map((change) => change.revision)).toEqual(won.toSorted((l, r) => l - r));
    const more = take(things, changes[2]!.revision, 1);
    const last = await things.insertOne({ _id: "last", name: "last" });
    expect(await more).toMatchObject([{ kind: "put", revision: last.revision }]);
  });
}

function trimming(database: UseDatabase): void {
  it("keeps the last changes and says when a reader comes too late", async () => {
    const store = await (await database()).open({ feedRetention: 20 });
    const things = await store.collection<Thing>(SPEC);
    for (let n = 0; n < 45; n += 1) await things.putOne({ _id: "a", n });
    const newest = await things.revision();
    expect(newest).toBe(45);
    const expired = { kind: "FailedPrecondition", reason: 20 };
    await expect(take(things, 0, 1)).rejects.toMatchObject(expired);
    await expect(take(things, newest + 1, 1)).rejects.toMatchObject(expired);
    const kept = await take(things, newest - 20, 20);
    expect(kept.map((change) => change.revision)).toEqual(
      Array.from({ length: 20 }, (_, n) => newest - 19 + n),
    );
    const again = await store.collection<Thing>(SPEC);
    expect((await again.putOne({ _id: "a", n: 45 })).revision).toBe(46);
  });
}

function expectRising(revisions: readonly number[]): void {
  expect(revisions).toEqual([...new Set(revisions)].toSorted((left, right) => left - right));
}

/** A small linear congruential generator (constants of Numerical Recipes): the same every run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
