// The part of the contract suite about what filters match, what order sorts give, and that values
// come back as they went in.

import { expect, it } from "vitest";
import { collect, type UseDatabase } from "./contract-database.ts";
import type { Collection, Document, Filter, Value } from "./port.ts";

interface Bag extends Document {
  readonly [key: string]: Value;
}

/** Registers the tests. */
export function queryContract(database: UseDatabase): void {
  roundTrip(database);
  filters(database);
  orders(database);
}

function roundTrip(database: UseDatabase): void {
  it("gives every value back as it was", async () => {
    const bags = await open(database);
    const bag: Bag = {
      _id: "ä/ 'quoted\" $x",
      text: "naïve \u{1f600} 'x' \"y\" \\ \0 \n",
      numbers: [0, -1, 1.5, 2 ** 53 - 1, -(2 ** 31), 2 ** 40, 1e300, 5e-324, 0.1],
      special: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      flags: [true, false, null],
      date: new Date("2026-02-28T23:59:59.999Z"),
      early: new Date("0001-01-01T00:00:00.000Z"),
      bytes: new Uint8Array([0, 1, 127, 128, 255]),
      noBytes: new Uint8Array(0),
      empty: { object: {}, array: [], text: "" },
      marks: ["$date", '"$bytes"', { text: "$number" }],
      nested: [{ at: new Date(5), deep: [{ bytes: new Uint8Array([7]) }] }, [[1], []]],
    };
    const stored = await bags.insertOne(bag);
    expect(stored).toStrictEqual({ ...bag, version: 1, revision: 0 });
    const found = await bags.findOne({ _id: bag._id });
    expect(found).toStrictEqual(stored);
    expect(found!.bytes).toBeInstanceOf(Uint8Array);
    expect(Buffer.isBuffer(found!.bytes)).toBe(false);
  });

  it("takes any string as a key", async () => {
    const bags = await open(database);
    const odd = {
      "a.b": 1,
      $date: "2026-01-01",
      $$x: 2,
      "": 3,
      "%2E": 4,
      "a'b\"c\\d": 5,
      "100%": 6,
      ["__proto__"]: { polluted: true },
      "nul\0": 7,
    };
    await bags.insertOne({ _id: "a", ...odd, nested: odd } as unknown as Bag);
    const found = await bags.findOne({ _id: "a" });
    expect(found!.nested).toStrictEqual(odd);
    expect(found!.$date).toBe("2026-01-01");
    expect(Object.hasOwn(found!.nested as object, "__proto__")).toBe(true);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("does not store undefined fields, and refuses what is not a value", async () => {
    const bags = await open(database);
    const value = { _id: "a", gone: undefined, in: { gone: undefined, n: 1 } };
    await bags.insertOne(value as unknown as Bag);
    expect(await bags.findOne({ _id: "a" })).toStrictEqual({
      _id: "a",
      in: { n: 1 },
      version: 1,
      revision: 0,
    });
    for (const bad of [1n, () => 1, Symbol("x"), new Map(), new Date(Number.NaN), "\ud800"]) {
      const document = { _id: "b", bad } as unknown as Bag;
      await expect(bags.insertOne(document)).rejects.toMatchObject({ kind: "InvalidArgument" });
    }
  });
}

const DAY = new Date("2026-01-02T00:00:00.000Z");

const VALUES: readonly Bag[] = [
  { _id: "array", o: { v: 1 } },
  { _id: "bytes", v: new Uint8Array([1, 2]) },
  { _id: "date1", v: new Date("2026-01-01T00:00:00.000Z") },
  { _id: "date2", v: DAY },
  { _id: "dateText", v: DAY.toISOString() },
  { _id: "false", v: false },
  { _id: "missing" },
  { _id: "null", v: null },
  { _id: "one", v: 1 },
  { _id: "oneText", v: "1" },
  { _id: "true", v: true },
  { _id: "two", v: 2.5 },
  { _id: "zero", v: 0 },
];

const ALL = VALUES.map((value) => value._id);

function filters(database: UseDatabase): void {
  const cases: readonly (readonly [string, Filter, readonly string[]])[] = [
    ["nothing", {}, ALL],
    ["an id", { _id: "one" }, ["one"]],
    ["ids", { _id: { $in: ["two", "one", "gone"] } }, ["one", "two"]],
    ["ids in a range", { _id: { $gte: "o", $lt: "oneT" } }, ["one"]],
    ["an id of another type", { _id: 1 }, []],
    ["a number", { v: 1 }, ["one"]],
    ["a text", { v: "1" }, ["oneText"]],
    ["true", { v: true }, ["true"]],
    ["false", { v: false }, ["false"]],
    ["a date", { v: DAY }, ["date2"]],
    ["bytes", { v: new Uint8Array([1, 2]) }, ["bytes"]],
    ["null", { v: null }, ["array", "missing", "null"]],
    ["$exists", { v: { $exists: true } }, without("array", "missing", "null")],
    ["not $exists", { v: { $exists: false } }, ["array", "missing", "null"]],
    ["$ne", { v: { $ne: 1 } }, without("one")],
    ["$ne null", { v: { $ne: null } }, without("array", "missing", "null")],
    ["$ne a date", { v: { $ne: DAY } }, without("date2")],
    ["$gt a number", { v: { $gt: 0 } }, ["one", "two"]],
    ["$lte a number", { v: { $lte: 1 } }, ["one", "zero"]],
    ["$gt a text", { v: { $gt: "1" } }, ["dateText"]],
    ["$lt a text", { v: { $lt: "2" } }, ["oneText"]],
    ["$gte a date", { v: { $gte: DAY } }, ["date2"]],
    ["$lt a date", { v: { $lt: DAY } }, ["date1"]],
    ["a range", { v: { $gt: 0, $lt: 2 } }, ["one"]],
    [
      "$in of types",
      { v: { $in: [1, "1", true, null, DAY] } },
      ["array", "date2", "missing", "null", "one", "oneText", "true"],
    ],
    ["$in of many", { v: { $in: [0, 1, 2, 2.5] } }, ["one", "two", "zero"]],
    ["$in of none", { v: { $in: [] } }, []],
    ["a nested field", { "o.v": 1 }, ["array"]],
    ["a path through a scalar", { "v.x": 1 }, []],
    ["two fields", { v: 1, _id: "two" }, []],
    ["the version", { version: 1, v: 1 }, ["one"]],
  ];

  it("matches by value and type", async () => {
    const bags = await open(database);
    for (const value of VALUES) await bags.insertOne(value);
    for (const [name, filter, expected] of cases) {
      const found = (await collect(bags.find(filter))).map((bag) => bag._id);
      expect(found, name).toEqual(expected);
      expect(await bags.countDocuments(filter), name).toBe(expected.length);
      expect((await bags.findOne(filter))?._id, name).toBe(expected[0]);
    }
  });

  it("treats field names and values as data", async () => {
    const bags = await open(database);
    await bags.insertOne({ _id: "a", v: "x", 'it\'s "odd"': 1 });
    const hostile = ["' OR 1=1 --", '"', "\\", "%", "x') OR ('1'='1", "a\\'b", "?"];
    for (const text of hostile) {
      expect(await bags.countDocuments({ v: text })).toBe(0);
      expect(await bags.countDocuments({ [text]: "x" })).toBe(0);
      expect(await bags.countDocuments({ v: { $in: [text, 7] } })).toBe(0);
    }
    expect(await bags.countDocuments({ 'it\'s "odd"': 1 })).toBe(1);
    expect(await bags.countDocuments({})).toBe(1);
  });

  it("refuses what the port does not have", async () => {
    const bags = await open(database);
    const bad: readonly unknown[] = [
      { v: { $regex: "a" } },
      { $where: "1" },
      { v: { a: 1 } },
      { v: [1] },
      { v: { $gt: true } },
      { v: { $in: 1 } },
      { v: { $in: [{ $gt: 1 }] } },
      { "a..b": 1 },
      { v: undefined },
      { v: { $gt: Number.NaN } },
    ];
    for (const filter of bad) {
      const count = bags.countDocuments(filter as Filter);
      await expect(count, JSON.stringify(filter)).rejects.toMatchObject({
        kind: "InvalidArgument",
      });
    }
  });
}

function orders(database: UseDatabase): void {
  it("sorts by several fields, missing first, ties by id", async () => {
    const bags = await open(database);
    const rows = [
      ["d", 1, "x"],
      ["a", 2, "x"],
      ["b", 2, "y"],
      ["c", 2, "y"],
      ["e", null, "z"],
    ] as const;
    for (const [_id, n, t] of rows) await bags.insertOne({ _id, o: { n }, t });
    const sorted = async (sort: Record<string, 1 | -1>) =>
      (await collect(bags.find({}, { sort }))).map((bag) => bag._id).join("");
    expect(await sorted({ "o.n": 1 })).toBe("edabc");
    expect(await sorted({ "o.n": -1 })).toBe("abcde");
    expect(await sorted({ "o.n": -1, t: -1 })).toBe("bcade");
    expect(await sorted({ t: 1, _id: -1 })).toBe("dacbe");
    expect((await collect(bags.find({}, { sort: { "o.n": 1 }, limit: 2 }))).length).toBe(2);
  });

  it("sorts texts by their UTF-8 bytes and dates by time", async () => {
    const bags = await open(database);
    const texts = ["Z", "a", "\u{ffff}", "\u{1f600}", "", "é"];
    for (const [n, t] of texts.entries()) await bags.insertOne({ _id: `${n}`, t });
    const found = await collect(bags.find({}, { sort: { t: 1 } }));
    expect(found.map((bag) => bag.t)).toEqual(["", "Z", "a", "é", "\u{ffff}", "\u{1f600}"]);
  });

  it("reads more than a batch, in order, up to the limit, until aborted", async () => {
    const bags = await open(database);
    const ids = Array.from({ length: 1_203 }, (_, n) => `t${String(n).padStart(5, "0")}`);
    for (let at = 0; at < ids.length; at += 100) {
      const some = ids
        .slice(at, at + 100)
        .map((_id, n) => ({ _id, n: -at - n, even: n % 2 === 0 }));
      await Promise.all(some.map((bag) => bags.insertOne(bag)));
    }
    const read = async (filter: Filter, options = {}) =>
      (await collect(bags.find(filter, options))).map((bag) => bag._id);
    expect(await read({})).toEqual(ids);
    expect(await read({}, { sort: { n: 1 } })).toEqual(ids.toReversed());
    expect(await read({}, { limit: 1_001 })).toEqual(ids.slice(0, 1_001));
    expect(await read({ even: true })).toEqual(ids.filter((_, n) => n % 2 === 0));
    expect(await read({}, { sort: { n: -1 }, limit: 777 })).toEqual(ids.slice(0, 777));
    const range = { _id: { $gt: ids[1]! }, even: true };
    expect(await read(range, { sort: { n: 1 }, limit: 3 })).toEqual([
      ids[1202],
      ids[1200],
      ids[1198],
    ]);
    const stop = new AbortController();
    const partly = async () => {
      for await (const bag of bags.find({}, { signal: stop.signal })) {
        if (bag._id === ids[600]) stop.abort(new Error("enough"));
      }
    };
    await expect(partly()).rejects.toThrow("enough");
  });
}

function without(...ids: readonly string[]): readonly string[] {
  return ALL.filter((id) => !ids.includes(id));
}

async function open(database: UseDatabase): Promise<Collection<Bag>> {
  const store = await (await database()).open();
  const indexes = [{ keys: { v: 1 } }, { keys: { "o.n": 1, t: -1 } }] as const;
  return store.collection<Bag>({ name: "bags", indexes });
}
