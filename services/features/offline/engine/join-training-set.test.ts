import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildPlan, type PlanSource } from "../../definitions/build-plan.ts";
import type { OnDemandFeatureView } from "../../definitions/definitions.ts";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Field } from "../../value.ts";
import type { EngineTasks, Shape, SourceFile, TableFile } from "../engine-tasks.ts";
import {
  batch,
  columnsOf,
  query,
  shape,
  type TestEngine,
  useEngine,
  writeParquet,
} from "./testing.ts";

const WEATHER = shape(["airport STRING"], ["wind DOUBLE", "seen TIMESTAMP", "raw BYTES"]);

function viewSource(
  of: Shape,
  options: { readonly ttlUs?: number; readonly joinKeys?: [string, string][] } = {},
): PlanSource {
  const version = {
    number: 1,
    createTime: new Date(0),
    entities: [],
    joinKeys: of.joinKeys,
    features: of.features.map((field) => ({ ...field, description: "", defaultValue: null })),
    ttlUs: options.ttlUs ?? 0,
    source: { eventTimestampColumn: "", createdTimestampColumn: "", fieldMapping: [] },
    online: true,
    offline: true,
  };
  return {
    kind: "view",
    source: { view: "weather", uid: "u1", version },
    features: of.features.map(({ name }) => [name, name] as const),
    joinKeys: options.joinKeys ?? [],
  };
}

function onDemand(inputs: readonly Field[], features: readonly (Field & { expression: string })[]) {
  const version: OnDemandFeatureView = {
    number: 1,
    createTime: new Date(0),
    inputs,
    features: features.map((feature) => ({ ...feature, description: "" })),
  };
  const names = features.map(({ name }) => [name, name] as const);
  return { kind: "on-demand", view: "computed", version, features: names } satisfies PlanSource;
}

function planOf(...sources: readonly PlanSource[]): ReadPlan {
  const { plan, faults } = buildPlan({ workspace: "test" }, sources);
  expect(faults).toEqual([]);
  return plan;
}

/** Stored rows: [key..., event in seconds, created in seconds, feature...]. */
async function history(test: TestEngine, of: Shape, rows: readonly (readonly unknown[])[]) {
  const input = { shape: of, batches: [batch(of, rows)], outDir: test.outDir };
  const { files } = await test.run("write-rows", input);
  return files.map(({ path }): SourceFile => ({ path, columns: columnsOf(of) }));
}

async function make(
  test: TestEngine,
  input: Partial<EngineTasks["join-training-set"]["input"]> & {
    readonly table: TableFile;
    readonly plan: ReadPlan;
    readonly files: readonly (readonly SourceFile[])[];
  },
) {
  const out = { path: join(test.outDir, "set"), format: "parquet" as const };
  const task = { eventTimestampColumn: "at", ignoreCreatedTimestamp: false, out, ...input };
  const output = await test.run("join-training-set", task);
  return { output, path: task.out.path };
}

function csv(test: TestEngine, ...lines: readonly string[]): TableFile {
  return { path: test.file("table.csv", lines.join("\n")), format: "csv" };
}

async function rowsOf(path: string) {
  return await query(`SELECT COLUMNS(*)::VARCHAR FROM read_parquet('${path}')`);
}

describe("join-training-set", () => {
  it("keeps the table's rows, order and columns and adds the features in order", async () => {
    const test = useEngine();
    const files = await history(test, WEATHER, [
      ["SFO", 100, 100, 7.5, 1e15, Uint8Array.of(1, 255)],
      ["SFO", 200, 250, Number.NaN, null, null],
    ]);
    const table = csv(
      test,
      "label,airport,at,note",
      "1,SFO,1970-01-01T00:02:00Z,007",
      "0,SFO,1970-01-01T00:04:09.999999Z,8",
      "1,SFO,1970-01-01T00:04:10Z,x",
      "0,,1970-01-01 00:04:10,",
      "0,JFK,1970-01-01T02:04:10+02:00,y",
    );
    const { output, path } = await make(test, {
      table,
      plan: planOf(viewSource(WEATHER)),
      files: [files],
    });
    expect(output).toEqual({
      rows: 5,
      columns: [
        { name: "label", type: "BIGINT" },
        { name: "airport", type: "VARCHAR" },
        { name: "at", type: "TIMESTAMP WITH TIME ZONE" },
        { name: "note", type: "VARCHAR" },
        { name: "wind", type: "DOUBLE" },
        { name: "seen", type: "TIMESTAMP WITH TIME ZONE" },
        { name: "raw", type: "BLOB" },
      ],
      features: [
        { present: 3, nullValue: 0, notFound: 2, outsideMaxAge: 0 },
        { present: 2, nullValue: 1, notFound: 2, outsideMaxAge: 0 },
        { present: 2, nullValue: 1, notFound: 2, outsideMaxAge: 0 },
      ],
    });
    const old = { wind: "7.5", seen: "2001-09-09 01:46:40+00", raw: "\\x01\\xFF" };
    const none = { wind: null, seen: null, raw: null };
    const at = "1970-01-01 00:04:10+00";
    expect(await rowsOf(path)).toEqual([
      { label: "1", airport: "SFO", at: "1970-01-01 00:02:00+00", note: "007", ...old },
      { label: "0", airport: "SFO", at: "1970-01-01 00:04:09.999999+00", note: "8", ...old },
      { label: "1", airport: "SFO", at, note: "x", ...none, wind: "nan" },
      { label: "0", airport: null, at, note: null, ...none },
      { label: "0", airport: "JFK", at, note: "y", ...none },
    ]);
  });

  it("takes the newest of rows that became known at the same time, however they are stored", async () => {
    const test = useEngine();
    const of = shape(["id INT64"], ["wind DOUBLE"]);
    // All of a key are known from second 1000 on: backfilled, just in time, announced before.
    const rows = [
      [100, 1000, 1],
      [200, 1000, 2],
      [999, 1000, 3],
      [1000, 400, 4],
      [1000, 1000, 5],
    ] as const;
    const ids = Array.from({ length: 50 }, (_, id) => id);
    const files: SourceFile[] = [];
    for (const push of [0, 1]) {
      const pushed = ids.flatMap((id) => {
        const mine = rows.slice(0, 2 + (id % 4)).map((row): readonly number[] => [id, ...row]);
        const ordered = id % 8 < 4 ? mine : mine.toReversed();
        return ordered.filter((_, index) => index % 2 === push);
      });
      files.push(...(await history(test, of, pushed)));
    }
    const lines = ids.flatMap((id) => [
      `${id},1970-01-01T00:16:39.999999Z`,
      `${id},1970-01-01T00:16:40Z`,
      `${id},1970-01-01T01:00:00Z`,
    ]);
    const { path } = await make(test, {
      table: csv(test, "id,at", ...lines),
      plan: planOf(viewSource(of)),
      files: [files],
    });
    const found = (await rowsOf(path)).map(({ wind }) => wind);
    expect(found).toEqual(ids.flatMap((id) => [null, `${2 + (id % 4)}.0`, `${2 + (id % 4)}.0`]));
  });

  it("gives nothing older than the ttl at the row's time", async () => {
    const test = useEngine();
    const files = await history(test, WEATHER, [["SFO", 100, 100, 1, null, null]]);
    const table = csv(
      test,
      "airport,at",
      "SFO,1970-01-01T00:02:40Z",
      "SFO,1970-01-01T00:02:40.000001Z",
    );
    const plan = planOf(viewSource(WEATHER, { ttlUs: 60e6 }));
    const { output } = await make(test, { table, plan, files: [files] });
    expect(output.features[0]).toEqual({ present: 1, nullValue: 0, notFound: 0, outsideMaxAge: 1 });
  });

  it("leaves a Parquet table's columns as they are, and takes its times as UTC", async () => {
    const test = useEngine();
    const of = shape(["id INT64"], ["wind DOUBLE"]);
    const files = await history(test, of, [[5, 3600, 3600, 1]]);
    const path = await writeParquet(
      join(test.folder, "table.parquet"),
      `SELECT * FROM (VALUES (TIMESTAMP '1970-01-01 01:00:00', 5::SMALLINT, [1, 2], {a: 'b'}),
        (TIMESTAMP '1970-01-01 00:59:59', 5, NULL, NULL)) t("at", id, "a list", "ein Objekt é")`,
    );
    const { output, path: result } = await make(test, {
      table: { path, format: "parquet" },
      plan: planOf(viewSource(of)),
      files: [files],
    });
    expect(output.columns).toEqual([
      { name: "at", type: "TIMESTAMP" },
      { name: "id", type: "SMALLINT" },
      { name: "a list", type: "INTEGER[]" },
      { name: "ein Objekt é", type: "STRUCT(a VARCHAR)" },
      { name: "wind", type: "DOUBLE" },
    ]);
    expect(await rowsOf(result)).toMatchObject([
      { "a list": "[1, 2]", wind: "1.0" },
      { wind: null },
    ]);
  });

  it("computes on-demand features as an online read does, block by block", async () => {
    const test = useEngine();
    const of = shape(["airport STRING"], ["wind DOUBLE"]);
    const files = await history(test, of, [["SFO", 0, 0, 1.5]]);
    const rows = Array.from({ length: 40_000 }, (_, row) => {
      return `${row % 4 === 3 ? "JFK" : "SFO"},1970-01-01T00:00:0${row % 10}Z,${row}`;
    });
    const sum = onDemand(
      [
        { name: "wind", type: "DOUBLE" },
        { name: "distance", type: "INT64" },
      ],
      [
        { name: "sum", type: "DOUBLE", expression: "wind + double(distance)" },
        { name: "share", type: "INT64", expression: "100 / (distance % 4)" },
      ],
    );
    const twice = onDemand(
      [{ name: "sum", type: "DOUBLE" }],
      [{ name: "twice", type: "DOUBLE", expression: "sum * 2.0" }],
    );
    const { output, path } = await make(test, {
      table: csv(test, "airport,at,distance", ...rows),
      plan: planOf(viewSource(of), sum, { ...twice, view: "again" }),
      files: [files],
    });
    expect(output.features).toEqual([
      { present: 30_000, nullValue: 0, notFound: 10_000, outsideMaxAge: 0 },
      { present: 30_000, nullValue: 10_000, notFound: 0, outsideMaxAge: 0 },
      { present: 30_000, nullValue: 10_000, notFound: 0, outsideMaxAge: 0 },
      { present: 30_000, nullValue: 10_000, notFound: 0, outsideMaxAge: 0 },
    ]);
    const wrong = await query(
      `SELECT count(*)::INT AS n FROM read_parquet('${path}', file_row_number = true)
        WHERE distance <> file_row_number OR
          sum IS DISTINCT FROM CASE WHEN distance % 4 < 3 THEN 1.5 + distance END OR
          share IS DISTINCT FROM CASE WHEN distance % 4 > 0 THEN 100 // (distance % 4) END OR
          twice IS DISTINCT FROM sum * 2`,
    );
    expect(wrong).toEqual([{ n: 0 }]);
  });

  it("writes CSV with a header, bytes as base64, and tells an empty text from none", async () => {
    const test = useEngine();
    const of = shape(["airport STRING"], ["raw BYTES", "note STRING"]);
    const files = await history(test, of, [
      ["a,b", 0, 0, Uint8Array.of(1, 255), ""],
      ["c", 0, 0, null, null],
    ]);
    const table = csv(test, "airport,at", '"a,b",1970-01-02', "c,1970-01-02");
    const out = { path: join(test.outDir, "set.csv"), format: "csv" as const };
    await make(test, { table, plan: planOf(viewSource(of)), files: [files], out });
    expect(await query(`SELECT content FROM read_text('${out.path}')`)).toEqual([
      {
        content:
          'airport,at,raw,note\n"a,b",1970-01-02 00:00:00+00,Af8=,""\nc,1970-01-02 00:00:00+00,,\n',
      },
    ]);
  });

  it.each(["parquet", "csv"] as const)("makes an empty %s of an empty table", async (format) => {
    const test = useEngine();
    const files = await history(test, WEATHER, [["SFO", 100, 100, 1, null, null]]);
    const out = { path: join(test.outDir, "set"), format };
    const { output } = await make(test, {
      table: csv(test, "airport,at"),
      plan: planOf(viewSource(WEATHER)),
      files: [files],
      out,
    });
    expect(output.rows).toBe(0);
    const read = format === "csv" ? "read_csv" : "read_parquet";
    const columns = await query(`DESCRIBE SELECT * FROM ${read}('${out.path}')`);
    expect(columns.map((column) => column.column_name)).toEqual([
      "airport",
      "at",
      "wind",
      "seen",
      "raw",
    ]);
  });

  it("takes a view without files, and files of older versions of a view", async () => {
    const test = useEngine();
    const old = shape(["id INT32"], ["count INT32"]);
    const now = shape(["id INT64"], ["count INT64", "wind DOUBLE"]);
    const table = csv(test, "id,at", "1,1970-01-02");
    const plan = planOf(viewSource(now));
    const none = await make(test, { table, plan, files: [[]] });
    expect(none.output.features[0]).toMatchObject({ notFound: 1 });
    const files = await history(test, old, [[1, 0, 0, 7]]);
    const { output, path } = await make(test, { table, plan, files: [files] });
    expect(output.features).toMatchObject([{ present: 1 }, { nullValue: 1 }]);
    expect(await rowsOf(path)).toMatchObject([{ id: "1", count: "7", wind: null }]);
  });

  describe("refuses a table", () => {
    const refused: [string, string[], string][] = [
      [
        "that lacks columns, with what may be meant",
        ["airprt,time", "a,1970-01-02"],
        'no column "at" (time of each row), nor "airport" (join key; is "airprt" meant?). ' +
          'It has "airprt", "time"',
      ],
      [
        "with rows that have no time, and says which",
        ["airport,at", "a,1970-01-02", "b,", "c,1970-01-02", "d,yesterday", "e,86400"],
        '3 rows of the entity table cannot be used (counted from 0): row 1: "at" is null; ' +
          'every row needs its event time; row 3: "at" is "yesterday"; expected a time',
      ],
      [
        "with a column named as a feature, in whatever case",
        ["airport,at,Wind", "a,1970-01-02,1"],
        'has a column "Wind", and so is a feature of weather called ("wind")',
      ],
      [
        "with a column twice",
        ["airport,at,x,X", "a,1970-01-02,1,2"],
        'has the columns "x" and "X"; names may not be there twice',
      ],
    ];
    it.each(refused)("%s", async (_, lines, message) => {
      const test = useEngine();
      const plan = planOf(viewSource(WEATHER));
      const made = make(test, { table: csv(test, ...lines), plan, files: [[]] });
      await expect(made).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: expect.stringContaining(message),
      });
    });

    it("whose key has another type", async () => {
      const test = useEngine();
      const sql = "SELECT 5 AS airport, TIMESTAMP '1970-01-02' AS at";
      const path = await writeParquet(join(test.folder, "table.parquet"), sql);
      const plan = planOf(viewSource(WEATHER));
      const made = make(test, { table: { path, format: "parquet" }, plan, files: [[]] });
      await expect(made).rejects.toThrow('Column "airport" has the type INTEGER');
    });

    it("of lines that are no objects or have keys of another type", async () => {
      const test = useEngine();
      const lines = [
        '{"airport": "a", "at": "1970-01-02"}',
        "[1]",
        '{"airport": 5, "at": "1970-01-02"}',
      ];
      const path = test.file("table.ndjson", lines.join("\n"));
      const plan = planOf(viewSource(WEATHER));
      const made = make(test, { table: { path, format: "ndjson" }, plan, files: [[]] });
      await expect(made).rejects.toThrow(
        'row 1: is no JSON object; row 2: "airport" is 5; expected a text',
      );
    });
  });
});
