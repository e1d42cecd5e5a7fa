import { describe, expect, it, onTestFinished } from "vitest";
import { FeedFollower, type FeedListener, idOf } from "./follow-feed.ts";
import type { Document } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

const RETENTION = 20;

/** A feed that can be away: then its readers fail, those that wait too. */
async function useFeed() {
  const store = await openSqliteStore({ path: ":memory:", feedRetention: RETENTION });
  onTestFinished(() => store[Symbol.asyncDispose]());
  const things = await store.collection<Document>({ name: "things", indexes: [], feed: true });
  const away = new Error("away");
  let isAway = false;
  let breaking = new AbortController();
  const feed: Parameters<typeof FeedFollower.begin<Document>>[0] = {
    async revision() {
      if (isAway) throw away;
      return things.revision();
    },
    async *changes(after, signal) {
      if (isAway) throw away;
      yield* things.changes(after, AbortSignal.any([signal, breaking.signal]));
      if (!signal.aborted) throw away;
    },
  };
  const breakOff = (): void => {
    isAway = true;
    breaking.abort();
  };
  const comeBack = (): void => {
    breaking = new AbortController();
    isAway = false;
  };
  return { things, feed, breakOff, comeBack, away };
}

/** What a listener was told, in order. */
function heard() {
  const told: string[] = [];
  const failures: unknown[] = [];
  const listener: FeedListener<Document> = {
    changed: (change) => told.push(`${change.kind} ${idOf(change)}`),
    missed: () => told.push("missed"),
    broke: (error) => failures.push(error),
  };
  return { told, failures, listener };
}

describe("follow-feed", () => {
  it("tells of every change since it began, until it is disposed", async () => {
    const { things, feed } = await useFeed();
    await things.insertOne({ _id: "before" });
    const { told, failures, listener } = heard();
    const follower = await FeedFollower.start(feed, listener);
    await things.insertOne({ _id: "a" });
    await things.deleteOne("before");
    await expect.poll(() => told).toEqual(["put a", "delete before"]);
    await follower[Symbol.asyncDispose]();
    await things.insertOne({ _id: "b" });
    expect(told).toHaveLength(2);
    expect(failures).toEqual([]);
  });

  it("goes on where it was when the feed broke", async () => {
    const { things, feed, breakOff, comeBack, away } = await useFeed();
    const { told, failures, listener } = heard();
    await using _follower = await FeedFollower.start(feed, listener);
    await things.insertOne({ _id: "a" });
    await expect.poll(() => told).toEqual(["put a"]);
    breakOff();
    await expect.poll(() => failures[0]).toBe(away);
    await things.insertOne({ _id: "b" });
    await things.insertOne({ _id: "c" });
    comeBack();
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(["put a", "put b", "put c"]);
  });

  it("says that changes were missed when the feed has its place no more", async () => {
    const { things, feed, breakOff, comeBack } = await useFeed();
    const { told, failures, listener } = heard();
    await using _follower = await FeedFollower.start(feed, listener);
    await things.putOne({ _id: "a" });
    await expect.poll(() => told).toEqual(["put a"]);
    breakOff();
    await expect.poll(() => failures).toHaveLength(1);
    for (let n = 0; n < 2 * RETENTION; n++) {
      await things.putOne({ _id: `n${n}` });
    }
    comeBack();
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(["put a", "missed"]);
    await things.putOne({ _id: "b" });
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(["put a", "missed", "put b"]);
  });

  it("can begin while the feed is away, where starting fails", async () => {
    const { things, feed, breakOff, comeBack, away } = await useFeed();
    await things.insertOne({ _id: "before" });
    breakOff();
    const { told, failures, listener } = heard();
    await expect(FeedFollower.start(feed, listener)).rejects.toBe(away);
    await using _follower = FeedFollower.begin(feed, listener);
    await expect.poll(() => failures[0]).toBe(away);
    comeBack();
    // It begins at some moment: what was before it is not told.
    await expect
      .poll(
        async () => {
          await things.putOne({ _id: "a" });
          return told.at(-1);
        },
        { timeout: 10_000 },
      )
      .toBe("put a");
    expect(told).not.toContain("put before");
    expect(told).not.toContain("missed");
  });

  it("ends at once while it waits for a feed that is away", async () => {
    const { feed, breakOff } = await useFeed();
    breakOff();
    const { failures, listener } = heard();
    const follower = FeedFollower.begin(feed, listener);
    await expect.poll(() => failures).toHaveLength(1);
    await follower[Symbol.asyncDispose]();
    expect(failures).toHaveLength(1);
  });
});
