import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { EngineTasks } from "../engine-tasks.ts";
import { readParquet, shape, type TestEngine, useEngine, writeParquet } from "./testing.ts";

type Ingest = EngineTasks["ingest-table"]["input"];

const SHAPE = shape(["airport STRING"], ["delay DOUBLE", "flights INT32"]);
const EVENT = "TIMESTAMP '2001-01-01 05:00:00' AS event_timestamp";

async function ingest(test: TestEngine, path: string, change: Partial<Ingest> = {}) {
  return await test.run("ingest-table", {
    table: { path, format: "parquet" },
    shape: SHAPE,
    eventTimestampColumn: "event_timestamp",
    createdTimestampColumn: "",
    defaultCreatedUs: 1e15,
    fieldMapping: [],
    skipBadRows: true,
    outDir: test.outDir,
    ...change,
  });
}

async function ingestSql(test: TestEngine, sql: string, change: Partial<Ingest> = {}) {
  return await ingest(test, await writeParquet(join(test.folder, "t.parquet"), sql), change);
}

/** Gives a column of a Parquet file another name of the same length. */
function renamed(path: string, [from, to]: readonly [string, string]): Uint8Array {
  const text = readFileSync(path).toString("latin1");
  expect(text).toContain(from);
  return Buffer.from(text.replaceAll(from, to), "latin1");
}

describe("ingest-table of Parquet", () => {
  it("stores rows by day, with the creation time of the call where the file has none", async () => {
    const test = useEngine();
    const output = await ingestSql(
      test,
      `SELECT 'ÄÖ🦆' AS airport, 'NaN'::DOUBLE AS delay, 5::BIGINT AS flights, 'x' AS other, ${EVENT}
       UNION ALL SELECT '', NULL, NULL, 'y', TIMESTAMP '2001-01-02'
       UNION ALL SELECT 'B', 'inf'::DOUBLE, -1, 'z', TIMESTAMP '2001-01-02'`,
    );
    expect(output).toMatchObject({ rowsRead: 3, rowsRefused: 0, refusals: [] });
    expect(await readParquet(...output.files.map(({ path }) => path))).toEqual([
      {
        event_timestamp: "2001-01-01 05:00:00+00",
        created_timestamp: "2001-09-09 01:46:40+00",
        airport: "ÄÖ🦆",
        delay: "NaN",
        flights: 5,
      },
      {
        event_timestamp: "2001-01-02 00:00:00+00",
        created_timestamp: "2001-09-09 01:46:40+00",
        airport: "",
        delay: null,
        flights: null,
      },
      {
        event_timestamp: "2001-01-02 00:00:00+00",
        created_timestamp: "2001-09-09 01:46:40+00",
        airport: "B",
        delay: "Infinity",
        flights: -1,
      },
    ]);
  });

  it.each([
    ["TIMESTAMPTZ '2001-01-01 05:00:00+02'", 978_318_000_000_000],
    ["TIMESTAMP '2001-01-01 05:00:00'", 978_325_200_000_000],
    ["'2001-01-01 05:00:00.123'::TIMESTAMP_MS", 978_325_200_123_000],
    ["'2001-01-01 05:00:00.123456789'::TIMESTAMP_NS", 978_325_200_123_456],
    ["'1969-12-31 23:59:59.9999999'::TIMESTAMP_NS", -1],
    ["DATE '2001-01-01'", 978_307_200_000_000],
  ])("takes %s as an instant", async (sql, micros) => {
    const test = useEngine();
    const { files } = await ingestSql(
      test,
      `SELECT 'A' AS airport, ${sql} AS event_timestamp, ${sql} AS created_timestamp`,
    );
    expect(files[0]).toMatchObject({ minEventUs: micros, maxCreatedUs: micros });
  });

  it("names every column of a type without values of the field's type", async () => {
    const test = useEngine();
    const of = shape(
      ["airport STRING"],
      ["n INT64", "t TIMESTAMP", "b BOOL", "y BYTES", "d DOUBLE"],
    );
    const fault = ingestSql(
      test,
      "SELECT 5 AS airport, 1.5::DOUBLE AS n, '2001' AS t, 1 AS b, 'x' AS y, [1] AS d, " +
        "978307200 AS event_timestamp",
      { shape: of },
    );
    await expect(fault).rejects.toMatchObject({ kind: "InvalidArgument" });
    await expect(fault).rejects.toThrow(
      'Column "airport" has the type INTEGER, which cannot be read as STRING ("airport"); ' +
        "write it as a column of text (in pandas: astype(str)), or change the view. " +
        'Column "event_timestamp" has the type INTEGER, which cannot be read as TIMESTAMP ' +
        '("event_timestamp"); write it as a column of timestamps (in pandas: pandas.to_datetime). ' +
        'Column "n" has the type DOUBLE, which cannot be read as INT64 ("n"); write it as a ' +
        'column of integers (in pandas: astype("Int64")). ' +
        'Column "t" has the type VARCHAR',
    );
  });

  it("refuses cells beyond their type, and null keys and times, with their rows", async () => {
    const test = useEngine();
    const sql = `SELECT 'A' AS airport, 3000000000 AS flights, ${EVENT}
       UNION ALL SELECT repeat('x', 513), 1, TIMESTAMP '2001-01-01'
       UNION ALL SELECT NULL, 1, NULL
       UNION ALL SELECT 'A', 1, 'infinity'::TIMESTAMP
       UNION ALL SELECT 'A', 1, TIMESTAMP '9999-12-31'
       UNION ALL SELECT 'good', 1, TIMESTAMP '2001-01-01'`;
    const output = await ingestSql(test, sql);
    expect(output).toMatchObject({ rowsRead: 6, rowsRefused: 5 });
    expect(output.files.map(({ rows }) => rows)).toEqual([1]);
    expect(output.refusals).toEqual([
      {
        row: 0,
        column: "flights",
        reason: 'is "3000000000"; expected a whole number from -2147483648 to 2147483647',
      },
      { row: 1, column: "airport", reason: "has 513 bytes; at most 512 are taken" },
      { row: 2, column: "airport", reason: "is null; every row needs its join keys" },
      { row: 2, column: "event_timestamp", reason: "is null; every row needs its event time" },
      {
        row: 3,
        column: "event_timestamp",
        reason:
          'is "infinity"; expected a time like "2001-01-31T05:00:00Z" in the years 1685 to 2254',
      },
      expect.objectContaining({ row: 4, column: "event_timestamp" }),
    ]);
    const all = await ingestSql(test, sql, { skipBadRows: false });
    expect(all).toMatchObject({ rowsRead: 6, rowsRefused: 5, files: [] });
  });

  it("tells at most the first 100 refusals and counts all", async () => {
    const test = useEngine();
    const sql = `SELECT CASE WHEN range % 2 = 0 THEN 'A' END AS airport, ${EVENT} FROM range(500000)`;
    const output = await ingestSql(test, sql);
    expect([output.rowsRead, output.rowsRefused]).toEqual([500_000, 250_000]);
    expect(output.refusals.map(({ row }) => row)).toEqual(
      Array.from({ length: 100 }, (_, at) => 2 * at + 1),
    );
  });

  it("keeps the first of rows with the same key and times", async () => {
    const test = useEngine();
    const { files } = await ingestSql(
      test,
      `SELECT 'A' AS airport, range AS delay, ${EVENT} FROM range(100000)`,
    );
    expect(await readParquet(files[0]!.path)).toMatchObject([{ delay: 0 }]);
  });

  it("says which columns are missing, what may be meant, and what is there", async () => {
    const test = useEngine();
    const of = shape(["airport STRING", "n INT32"], []);
    const fault = ingestSql(test, "SELECT 1 AS airprot, 2 AS x, now() AS event_time", {
      shape: of,
    });
    await expect(fault).rejects.toThrow(
      'The file has no column "airport" (join key; is "airprot" meant?), nor "n" (join key; is ' +
        '"x" meant?), nor "event_timestamp" (event time). It has "airprot", "x", "event_time". ' +
        "Rename the column, or map it in the view's source.",
    );
    const created = ingestSql(test, `SELECT 'A' AS airport, ${EVENT}`, {
      createdTimestampColumn: "known_at",
    });
    await expect(created).rejects.toThrow('no column "known_at" (creation time)');
  });

  it("maps columns to fields, also when names are exchanged", async () => {
    const test = useEngine();
    const { files } = await ingestSql(
      test,
      `SELECT 'A' AS origin, 1 AS delay, 2 AS flights, 3 AS airport, ${EVENT}, now() AS made`,
      {
        fieldMapping: [
          ["origin", "airport"],
          ["delay", "flights"],
          ["flights", "delay"],
        ],
      },
    );
    expect(await readParquet(files[0]!.path)).toMatchObject([
      { airport: "A", delay: 2, flights: 1 },
    ]);
  });

  it("tells names apart by letter case, and refuses a column that is there twice", async () => {
    const test = useEngine();
    const path = join(test.folder, "c.parquet");
    await writeParquet(path, `SELECT 'no' AS airporX, 'yes' AS airport, ${EVENT}`);
    const cased = test.file("cased.parquet", renamed(path, ["airporX", "AIRPORT"]));
    const { files } = await ingest(test, cased);
    expect(await readParquet(files[0]!.path)).toMatchObject([{ airport: "yes" }]);
    const twice = test.file("twice.parquet", renamed(path, ["airporX", "airport"]));
    await expect(ingest(test, twice)).rejects.toThrow('The file has 2 columns "airport"');
  });

  it("takes a file without rows", async () => {
    const output = await ingestSql(useEngine(), `SELECT 'A' AS airport, ${EVENT} LIMIT 0`);
    expect(output).toEqual({ rowsRead: 0, rowsRefused: 0, refusals: [], files: [] });
  });

  it("says that a file is cut off, damaged, or none", async () => {
    const test = useEngine();
    const path = join(test.folder, "good.parquet");
    await writeParquet(path, `SELECT 'A' || random() AS airport, ${EVENT} FROM range(9999)`);
    const bytes = readFileSync(path);
    const cut = test.file("cut.parquet", bytes.subarray(0, bytes.length - 100));
    await expect(ingest(test, cut)).rejects.toThrow("it is cut off or damaged");
    const broken = Buffer.from(bytes);
    broken.fill(0x77, 40, 20_000);
    await expect(ingest(test, test.file("b.parquet", broken))).rejects.toThrow(
      /^The Parquet file cannot be read: it is damaged/,
    );
    const footer = Buffer.from(bytes);
    footer.fill(0x77, bytes.length - 200, bytes.length - 20);
    await expect(ingest(test, test.file("f.parquet", footer))).rejects.toThrow(
      /^The Parquet file cannot be read: it is damaged/,
    );
    await expect(ingest(test, test.file("e.parquet", ""))).rejects.toThrow("The file is empty");
    await expect(ingest(test, test.file("t.parquet", "a,b\n"))).rejects.toThrow(
      "The file is not Parquet",
    );
  });
});
