import { describe, expect, it } from "vitest";
import { newestChanges, type PendingItem } from "./newest-changes.ts";
import type { Change, Document } from "./port.ts";
import { useStore } from "./testing.ts";

interface Thing extends Document {
  readonly n: number;
}

const READY = { _id: "z", n: 0 };

async function useThings() {
  const store = await useStore();
  return store.collection<Thing>({ name: "things", indexes: [], feed: true });
}

type Things = Awaited<ReturnType<typeof useThings>>;

/** Changes as texts; those of the document "skip" concern nobody. */
function itemsOf(change: Change<Thing>): PendingItem<string>[] {
  const key = change.kind === "put" ? change.document._id : change.id;
  const item = change.kind === "put" ? `${key}${change.document.n}` : `no ${key}`;
  return key === "skip" ? [] : [{ key, item, keepsPlace: key === "first" }];
}

/** Follows things from now on, and what became of the changes that it opened. */
async function follow(things: Things, signal = new AbortController().signal) {
  const after = await things.revision();
  const state = { seen: 0, isOpen: true };
  async function* open(until: AbortSignal) {
    try {
      for await (const change of things.changes(after, until)) {
        yield change;
        state.seen += 1;
      }
    } finally {
      state.isOpen = false;
    }
  }
  return { state, given: newestChanges({ open, itemsOf, signal }) };
}

/** A reader that was given one item, and is slower than what `write` does then. */
async function slowReader(write: (things: Things) => Promise<void>) {
  const things = await useThings();
  const { given, state } = await follow(things);
  const first = given.next();
  await things.insertOne(READY);
  expect((await first).value).toBe("z0");
  await write(things);
  const revision = await things.revision();
  await expect.poll(() => state.seen).toBe(revision);
  return { given, things };
}

async function take(given: AsyncGenerator<string>, count: number): Promise<string[]> {
  const items: string[] = [];
  for (let i = 0; i < count; i++) {
    items.push((await given.next()).value);
  }
  return items;
}

describe("newest-changes", () => {
  it("gives each change to a reader that keeps up", async () => {
    const things = await useThings();
    const { given } = await follow(things);
    for (const n of [1, 2, 3]) {
      const next = given.next();
      await things.putOne({ _id: "a", n });
      expect(await next).toEqual({ done: false, value: `a${n}` });
    }
    const next = given.next();
    await things.putOne({ _id: "skip", n: 1 });
    await things.deleteOne("a");
    expect((await next).value).toBe("no a");
    await given.return(undefined);
  });

  it("leaves out for a slow one what was overtaken, in the order of what is left", async () => {
    const { given, things } = await slowReader(async (some) => {
      for (const n of [1, 2, 3]) {
        await some.putOne({ _id: "a", n });
        await some.putOne({ _id: "b", n });
      }
      await some.putOne({ _id: "c", n: 1 });
      await some.putOne({ _id: "a", n: 4 });
    });
    expect(await take(given, 3)).toEqual(["b3", "c1", "a4"]);
    const next = given.next();
    await things.putOne({ _id: "b", n: 5 });
    expect((await next).value).toBe("b5");
    await given.return(undefined);
  });

  it("leaves in its place what keeps it", async () => {
    const { given } = await slowReader(async (some) => {
      await some.putOne({ _id: "first", n: 1 });
      await some.putOne({ _id: "a", n: 1 });
      await some.putOne({ _id: "first", n: 2 });
    });
    expect(await take(given, 2)).toEqual(["first2", "a1"]);
    await given.return(undefined);
  });

  it("ends without error when the signal aborts, behind what waits", async () => {
    const stop = new AbortController();
    const things = await useThings();
    const { given, state } = await follow(things, stop.signal);
    const first = given.next();
    await things.insertOne(READY);
    await first;
    await things.putOne({ _id: "a", n: 1 });
    await expect.poll(() => state.seen).toBe(2);
    stop.abort();
    expect(await take(given, 1)).toEqual(["a1"]);
    expect(await given.next()).toEqual({ done: true, value: undefined });
    expect(state.isOpen).toBe(false);
  });

  it("throws what the changes throw, behind what waits", async () => {
    const things = await useThings();
    const open = async function* () {
      yield* ["a", "b"];
      // Ahead of the collection.
      yield* things.changes(99, new AbortController().signal) as AsyncIterable<never>;
    };
    const given = newestChanges<string, string>({
      open,
      itemsOf: (item) => [{ key: item, item }],
      signal: new AbortController().signal,
    });
    expect(await take(given, 2)).toEqual(["a", "b"]);
    await expect(given.next()).rejects.toMatchObject({ kind: "FailedPrecondition" });
  });

  it("closes the changes before a reader that leaves is gone", async () => {
    const things = await useThings();
    const { given, state } = await follow(things);
    const first = given.next();
    await things.insertOne(READY);
    await first;
    expect(state.isOpen).toBe(true);
    await given.return(undefined);
    expect(state.isOpen).toBe(false);
  });
});
