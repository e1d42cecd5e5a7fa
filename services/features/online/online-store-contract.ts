// What the online store promises on every driver of the documents port, as one suite:
// online-store.test.ts runs it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { DocumentStore } from "../../common/documents/port.ts";
import { entityKey } from "./entity-key.ts";
import { OnlineStore, type OnlineStoreOptions } from "./online-store.ts";
import { RACE_WORKSPACE, raceWinners, racingBatch } from "./race.ts";
import { storedDocuments, testRows, testView } from "./testing.ts";

/** An empty database; every call of `open` gives another store on it. */
export interface OnlineDatabase extends AsyncDisposable {
  /** For other processes; undefined where they cannot write safely. */
  readonly uri: string | undefined;
  open(): Promise<DocumentStore>;
}

const WRITER = fileURLToPath(new URL("./race-writer.ts", import.meta.url));

const USERS = testView({
  view: "users",
  joinKeys: { user: "STRING" },
  features: { a: "DOUBLE", b: "STRING", c: "INT64", d: "BYTES", e: "TIMESTAMP", f: "BOOL" },
});
const SCORES = testView({
  view: "scores",
  joinKeys: { user: "STRING" },
  features: { score: "INT64" },
});
const TRIPS = testView({
  view: "trips",
  joinKeys: { user: "STRING", place: "INT64" },
  features: { n: "INT64" },
});

/** Registers the suite. */
export function onlineStoreContract(name: string, start: () => Promise<OnlineDatabase>): void {
  const use = async (options: OnlineStoreOptions = {}) => {
    const database = await start();
    const stores: DocumentStore[] = [];
    onTestFinished(async () => {
      for (const store of stores) await store[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });
    const open = async () => {
      const documents = await database.open();
      stores.push(documents);
      const online = await OnlineStore.open(documents, { settleMs: 20, ...options });
      return { documents, online };
    };
    return { uri: database.uri, open, ...(await open()) };
  };
  describe(`online store on ${name}`, () => {
    writes(use);
    races(use);
    erasure(use);
  });
}

type Use = (options?: OnlineStoreOptions) => Promise<{
  readonly uri: string | undefined;
  readonly documents: DocumentStore;
  readonly online: OnlineStore;
  open(): Promise<{ readonly documents: DocumentStore; readonly online: OnlineStore }>;
}>;

const key = (user: string) => entityKey("w", [{ joinKey: "user", type: "STRING", cell: user }]);

function scores(
  user: string,
  ...rows: readonly (readonly [score: number, e: number, c: number])[]
) {
  return testRows(
    { user: rows.map(() => user) },
    { score: rows.map(([score]) => score) },
    rows.map(([, e]) => e),
    rows.map(([, , c]) => c),
  );
}

async function scoreOf(online: OnlineStore, user: string): Promise<unknown> {
  const [document] = await online.read([key(user)]);
  return document?.views["uid-scores"]?.v[0];
}

function writes(use: Use): void {
  it("keeps all views of a key in one document", async () => {
    const { online, documents } = await use();
    const cells = {
      a: [Number.NaN],
      b: ['$date "x"'],
      c: [2n ** 62n],
      d: [new Uint8Array([0, 255])],
      e: [-1],
      f: [true],
    };
    await online.write("w", USERS, testRows({ user: ["ä/1"] }, cells, [20], [30]));
    await online.write("w", SCORES, scores("ä/1", [7, 1, 2]));
    const v = ["NaN", '$date "x"', "4611686018427387904", "AP8=", -1, true];
    expect(await storedDocuments(documents)).toMatchObject([
      {
        _id: "w/user/sä%2F1",
        keys: { user: "sä%2F1" },
        views: {
          "uid-users": { n: 1, e: 20, c: 30, v },
          "uid-scores": { n: 1, e: 1, c: 2, v: [7] },
        },
      },
    ]);
  });

  it("keeps the newest row by event time, then by creation, and the first of equal ones", async () => {
    const { online } = await use();
    const write = async (score: number, e: number, c: number) => {
      const done = await online.write("w", SCORES, scores("u", [score, e, c]));
      return [done.written, await scoreOf(online, "u")];
    };
    expect(await write(1, 100, 100)).toEqual([1, 1]);
    expect(await write(2, 99, 900)).toEqual([0, 1]);
    expect(await write(3, 100, 100)).toEqual([0, 1]);
    expect(await write(4, 100, 99)).toEqual([0, 1]);
    expect(await write(5, 100, 101)).toEqual([1, 5]);
    expect(await write(6, 101, 0)).toEqual([1, 6]);
  });

  it("takes the newest row of each key of a batch, and the first of equal ones", async () => {
    const { online } = await use();
    const batch = scores("u", [1, 5, 5], [2, 9, 1], [3, 9, 2], [4, 9, 2], [5, 7, 9]);
    expect(await online.write("w", SCORES, batch)).toEqual({ written: 1, unchanged: 4 });
    expect(await scoreOf(online, "u")).toBe(3);
    expect(await online.write("w", SCORES, batch)).toEqual({ written: 0, unchanged: 5 });
  });

  it("makes features without a column null, and takes more rows than one query", async () => {
    const { online } = await use();
    const user = Array.from({ length: 1_200 }, (_, index) => `u${index}`);
    const times = user.map((_, index) => index);
    const batch = testRows({ user }, { c: times }, times);
    expect(await online.write("w", USERS, batch)).toEqual({ written: 1_200, unchanged: 0 });
    const found = await online.read([...user.map(key), key("none")]);
    const cells = found.map((document) => document?.views["uid-users"]?.v);
    expect(cells[1_199]).toEqual([null, null, 1_199, null, null, null]);
    expect(cells.filter((one) => one === undefined)).toHaveLength(1);
    expect(await online.read([key("none")])).toEqual([undefined]);
  });

  it("refuses a row whose key is null or too long", async () => {
    const { online } = await use();
    for (const user of [null, "x".repeat(600)]) {
      const rows = testRows({ user: [user] }, {}, [1]);
      await expect(online.write("w", USERS, rows)).rejects.toMatchObject({
        kind: "InvalidArgument",
      });
    }
  });

  it("says of an entity that it does not fit a document", async () => {
    const { online } = await use();
    const d = [new Uint8Array(7 * 1024 * 1024)];
    await expect(online.write("w", USERS, testRows({ user: ["a"] }, { d }, [1]))).rejects.toThrow(
      "of one entity (w/user/sa), of all its views together, take more than 8 MiB",
    );
  });

  it("forgets what it has in memory when a key is written", async () => {
    const { online } = await use({ cacheEntriesMax: 10, cacheStalenessMs: 3_600_000 });
    expect(await scoreOf(online, "u")).toBeUndefined();
    for (let score = 1; score < 5; score++) {
      await online.write("w", SCORES, scores("u", [score, score, score]));
      expect(await scoreOf(online, "u")).toBe(score);
    }
    const keyed = { keyFields: [{ name: "user", type: "STRING" }], keys: { user: ["u"] } } as const;
    await online.eraseKeys("w", { ...keyed, countOnly: false });
    expect(await scoreOf(online, "u")).toBeUndefined();
  });
}

function races(use: Use): void {
  it("ends with the newest row of every key and view, whoever writes last", async () => {
    const first = await use();
    const stores = [first.online, (await first.open()).online, (await first.open()).online];
    const batches = Array.from({ length: 60 }, (_, at) => racingBatch(at));
    await Promise.all(
      batches.map(({ view, rows }, at) => stores[at % 3]!.write(RACE_WORKSPACE, view, rows)),
    );
    expect(await raceResult(first.documents)).toEqual(raceWinners(batches));
  });

  it("does so among writers in several processes", async (context) => {
    const { uri, documents } = await use();
    if (uri === undefined) return context.skip("its writes are not atomic between processes");
    const seeds = [1_000, 2_000, 3_000];
    const writers = seeds.map((seed) => startWriter([uri, String(seed), String(RACE_BATCHES)]));
    await Promise.all(writers.map((writer) => once(writer.stdout, "data")));
    for (const writer of writers) writer.stdin.write("go\n");
    const exits = await Promise.all(writers.map((writer) => once(writer, "exit")));
    expect(exits.map(([code]) => code)).toEqual([0, 0, 0]);
    const batches = seeds.flatMap((seed) => {
      return Array.from({ length: RACE_BATCHES }, (_, at) => racingBatch(seed + at));
    });
    expect(await raceResult(documents)).toEqual(raceWinners(batches));
  });
}

/** Batches of each process. */
const RACE_BATCHES = 100;

function startWriter(args: readonly string[]) {
  return spawn(process.execPath, [WRITER, ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

/** "view user" to the score that is stored. */
async function raceResult(documents: DocumentStore): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { _id, views } of await storedDocuments(documents)) {
    for (const [uid, row] of Object.entries(views)) {
      found[`${uid} ${_id.slice(`${RACE_WORKSPACE}/user/s`.length)}`] = row.v[0];
    }
  }
  return found;
}

function erasure(use: Use): void {
  const user = (...users: string[]) => ({
    keyFields: [{ name: "user", type: "STRING" }] as const,
    keys: { user: users },
  });

  it("finds a key in every set of join keys that has it, of its workspace only", async () => {
    const { online, documents } = await use();
    const pair = (users: string[], places: number[]) => {
      return testRows({ user: users, place: places }, { n: places }, places);
    };
    for (const workspace of ["w", "w-2"]) {
      await online.write(workspace, SCORES, scores("a", [1, 1, 1]));
      await online.write(workspace, SCORES, scores("b", [1, 1, 1]));
      await online.write(workspace, TRIPS, pair(["a", "a", "b"], [1, 2, 1]));
    }
    const place = { keyFields: [{ name: "place", type: "INT64" }], keys: { place: [1] } } as const;
    const count = (keys: ReturnType<typeof user> | typeof place) => {
      return online.eraseKeys("w", { ...keys, countOnly: true });
    };
    expect(await count(user("a", "a", "none"))).toBe(3);
    expect(await count(place)).toBe(2);
    expect(
      await count({
        ...place,
        keyFields: [{ name: "place", type: "STRING" }],
        keys: { place: ["1"] },
      } as never),
    ).toBe(0);
    expect(await storedDocuments(documents)).toHaveLength(10);
    expect(await online.eraseKeys("w", { ...user("a"), countOnly: false })).toBe(3);
    expect(await online.eraseKeys("w", { ...user("a"), countOnly: false })).toBe(0);
    const left = (await storedDocuments(documents)).map(({ _id }) => _id);
    expect(left.filter((id) => id.startsWith("w/"))).toEqual(["w/place,user/i1/sb", "w/user/sb"]);
    expect(left.filter((id) => id.startsWith("w-2/"))).toHaveLength(5);
  });

  it("leaves nothing of a key that was pushed while it was erased, once pushes end", async () => {
    const { online, documents, open } = await use();
    const other = (await open()).online;
    await online.write("w", SCORES, scores("a", [1, 1, 1]));
    let isStopped = false;
    const pushing = (async () => {
      for (let time = 2; !isStopped; time++) {
        await other.write("w", SCORES, scores("a", [time, time, time]));
        await other.write("w", USERS, testRows({ user: ["a"] }, { c: [time] }, [time]));
      }
    })();
    const erasing = online.eraseKeys("w", { ...user("a"), countOnly: false });
    await sleep(100);
    isStopped = true;
    await pushing;
    expect(await erasing).toBeGreaterThan(0);
    expect(await storedDocuments(documents)).toEqual([]);
  });

  it("does not let a writer bring back what was erased after it had read", async () => {
    const { online, documents } = await use();
    await online.write("w", SCORES, scores("a", [1, 50, 1]));
    const erasing = online.eraseKeys("w", { ...user("a"), countOnly: false });
    const late = Array.from({ length: 20 }, (_, at) => {
      return online.write("w", USERS, testRows({ user: ["a"] }, { c: [at] }, [at]));
    });
    await Promise.all([erasing, ...late]);
    for (const { views } of await storedDocuments(documents)) {
      expect(Object.keys(views)).not.toContain("uid-scores");
    }
  });

  it("removes a view from every document, and documents that have no other", async () => {
    const { online, documents } = await use();
    await online.write("w", SCORES, scores("a", [1, 1, 1]));
    await online.write("w", SCORES, scores("b", [1, 1, 1]));
    await online.write("w", USERS, testRows({ user: ["b"] }, {}, [1]));
    await online.write("other", SCORES, scores("a", [1, 1, 1]));
    await online.deleteView("w", "uid-scores");
    const left = await storedDocuments(documents);
    expect(left.map(({ _id, views }) => [_id, Object.keys(views)])).toEqual([
      ["other/user/sa", ["uid-scores"]],
      ["w/user/sb", ["uid-users"]],
    ]);
  });
}
