import { describe, expect, it } from "vitest";
import type { RowBatch } from "../../value.ts";
import type { Shape, SourceFile, WrittenFile } from "../engine-tasks.ts";
import {
  batch,
  columnsOf,
  query,
  readParquet,
  shape,
  type TestEngine,
  useEngine,
} from "./testing.ts";

const DAY = 86_400;
const SHAPE = shape(["airport STRING"], ["delay DOUBLE"]);

async function write(test: TestEngine, of: Shape, rows: readonly (readonly unknown[])[]) {
  const batches = [batch(of, rows)];
  return (await test.run("write-rows", { shape: of, batches, outDir: test.outDir })).files;
}

function sources(files: readonly WrittenFile[], of: Shape): SourceFile[] {
  return files.map(({ path }) => ({ path, columns: columnsOf(of) }));
}

async function latest(
  test: TestEngine,
  input: Parameters<typeof test.run<"latest-rows">>[1],
): Promise<{ chunks: RowBatch[]; rowsRead: number; keys: number }> {
  const chunks: RowBatch[] = [];
  const output = await test.run("latest-rows", input, {
    onChunk: async (chunk) => {
      chunks.push(chunk);
    },
  });
  return { chunks, ...output };
}

describe("write-rows", () => {
  it("writes one file a day, sorted by key, event and creation time", async () => {
    const test = useEngine();
    const files = await write(test, SHAPE, [
      ["SFO", DAY + 5, 7, 1],
      ["ATL", 10, 20, 2],
      ["ATL", 10, 15, 3],
      ["ATL", 5, 30, null],
      ["SFO", -1, 0, Number.NaN],
    ]);
    expect(files.map(({ path: _, sizeBytes, ...facts }) => [facts, sizeBytes > 0])).toEqual([
      [{ day: "1969-12-31", rows: 1, minEventUs: -1e6, maxEventUs: -1e6, maxCreatedUs: 0 }, true],
      [{ day: "1970-01-01", rows: 3, minEventUs: 5e6, maxEventUs: 1e7, maxCreatedUs: 3e7 }, true],
      [
        {
          day: "1970-01-02",
          rows: 1,
          minEventUs: 86_405e6,
          maxEventUs: 86_405e6,
          maxCreatedUs: 7e6,
        },
        true,
      ],
    ]);
    expect(await readParquet(files[1]!.path)).toEqual([
      {
        event_timestamp: "1970-01-01 00:00:05+00",
        created_timestamp: "1970-01-01 00:00:30+00",
        airport: "ATL",
        delay: null,
      },
      {
        event_timestamp: "1970-01-01 00:00:10+00",
        created_timestamp: "1970-01-01 00:00:15+00",
        airport: "ATL",
        delay: 3,
      },
      {
        event_timestamp: "1970-01-01 00:00:10+00",
        created_timestamp: "1970-01-01 00:00:20+00",
        airport: "ATL",
        delay: 2,
      },
    ]);
    expect((await readParquet(files[0]!.path))[0]?.delay).toBe("NaN");
  });

  it("keeps every type's values, of many batches, and the first of rows that are the same", async () => {
    const test = useEngine();
    const types = ["b BOOL", "i INT32", "l INT64", "f FLOAT", "d DOUBLE", "s STRING", "y BYTES"];
    const of = shape(["k INT64", "t TIMESTAMP"], [...types, "w TIMESTAMP"]);
    const big = 9_223_372_036_854_775_807n;
    const bytes = new Uint8Array([0, 255, 7]);
    const row = [true, -5, big, 0.5, -0, "ä\u0000 'q' 🦆", bytes, 1e15 + 1];
    const empty = Array.from({ length: 3_000 }, (_, at) => [10 + at, 0, 1, 1]);
    const batches = [
      batch(of, [[1, 2e6, 1, 1, ...row]]),
      batch(of, empty),
      batch(of, [[1, 2e6, 1, 1, false, 6, 7, 8, 9, "later", null, null]]),
    ];
    const { files } = await test.run("write-rows", { shape: of, batches, outDir: test.outDir });
    expect(files.map(({ rows }) => rows)).toEqual([3_001]);
    const read = await latest(test, { files: sources(files, of), shape: of });
    const first = Object.values(read.chunks[0]!.features).map(([cell]) => cell);
    expect(first).toEqual([true, -5, big, 0.5, -0, "ä\u0000 'q' 🦆", Buffer.from(bytes), 1e15 + 1]);
    expect(read.chunks[0]?.keys.t?.[0]).toBe(2e6);
    expect(read.keys).toBe(3_001);
  });

  it("writes and reads rows of hundreds of features, which are sorted in pieces", async () => {
    const test = useEngine();
    const features = Array.from(
      { length: 200 },
      (_, at) => `f${at} ${at % 2 ? "INT64" : "STRING"}`,
    );
    const of = shape(["k INT64", "file_index INT64"], features);
    const cells = (row: number) => features.map((_, at) => (at % 2 ? row * at : `${row}/${at}`));
    const rows = Array.from({ length: 3_000 }, (_, at) => {
      const row = (at * 7919) % 3_000;
      return [row % 100, 7, Math.floor(row / 100) * 7_200, 1, ...cells(row)];
    });
    const again = rows.slice(0, 50).map((row) => [...row.slice(0, 4), ...cells(-1)]);
    const first = await write(test, of, [...rows, ...again]);
    expect(first.map(({ day, rows }) => [day, rows])).toEqual([
      ["1970-01-01", 1_200],
      ["1970-01-02", 1_200],
      ["1970-01-03", 600],
    ]);
    const second = await write(test, of, again);
    const files = sources([...first, ...second], of);
    const compacted = await test.run("compact-day", {
      files: files.filter(({ path }) => path.includes("1970-01-03-")),
      shape: of,
      day: "1970-01-03",
      outDir: test.outDir,
    });
    expect(compacted.files.map(({ rows }) => rows)).toEqual([600]);
    for (const path of [...first.slice(0, 2), ...compacted.files].map(({ path }) => path)) {
      const wrong = await query(
        `SELECT count(*) AS wrong FROM read_parquet('${path}') WHERE f199 != 199 * f1 OR ` +
          "f198 != f1 || '/198' OR f64 != f1 || '/64' OR f1 % 100 != k",
      );
      expect(wrong).toEqual([{ wrong: "0" }]);
    }
    const { chunks, keys } = await latest(test, { files, shape: of });
    expect(keys).toBe(100);
    const newest = Array.from({ length: 100 }, (_, key) => 2_900 + key);
    expect(chunks[0]?.keys.k).toEqual(newest.map((row) => row - 2_900));
    expect(chunks[0]?.features.f199).toEqual(newest.map((row) => row * 199));
    expect(chunks[0]?.features.f0).toEqual(newest.map((row) => `${row}/0`));
  });

  it("never writes the same bytes twice, and no file without rows", async () => {
    const test = useEngine();
    const [[one], [two]] = [
      await write(test, SHAPE, [["ATL", 1, 1, 1]]),
      await write(test, SHAPE, [["ATL", 1, 1, 1]]),
    ];
    const hash = async (file: WrittenFile | undefined) => {
      return await query(`SELECT md5(content) AS hash FROM read_blob('${file?.path}')`);
    };
    expect(await hash(one)).not.toEqual(await hash(two));
    expect(await write(test, SHAPE, [])).toEqual([]);
  });
});

describe("latest-rows", () => {
  it("gives the newest row of each key in key order, ties to the later creation", async () => {
    const test = useEngine();
    const files = [
      ...(await write(test, SHAPE, [
        ["B", 10, 10, 1],
        ["B", 10, 12, 2],
        ["A", DAY, 5, 3],
        ["a", 1, 1, 4],
      ])),
      ...(await write(test, SHAPE, [
        ["A", 50, 500, 5],
        ["B", 10, 12, 6],
        ["Ä", 1, 1, null],
      ])),
    ];
    const read = await latest(test, { files: sources(files, SHAPE), shape: SHAPE });
    expect(read).toEqual({
      rowsRead: 7,
      keys: 4,
      chunks: [
        {
          rows: 4,
          keys: { airport: ["A", "B", "a", "Ä"] },
          // Of B's two rows at 10 and 12, the one of the earlier file.
          features: { delay: [3, 2, 4, null] },
          eventUs: [DAY * 1e6, 10e6, 1e6, 1e6],
          createdUs: [5e6, 12e6, 1e6, 1e6],
        },
      ],
    });
  });

  it("goes on after a key, within an interval, in chunks of at most 5,000", async () => {
    const test = useEngine();
    const of = shape(["k STRING", "n INT32"], ["x INT64"]);
    const rows = Array.from({ length: 12_000 }, (_, at) => [`k${at % 3}`, at, at % 7, 9, at]);
    const files = sources(await write(test, of, rows), of);
    const all = await latest(test, { files, shape: of });
    expect(all.keys).toBe(12_000);
    expect(all.chunks.every(({ rows }) => rows <= 5_000)).toBe(true);
    const half = await latest(test, { files, shape: of, afterKey: ["k1", 5_998] });
    expect([half.rowsRead, half.keys]).toEqual([6_000, 6_000]);
    expect(half.chunks[0]?.keys.k?.[0]).toBe("k1");
    expect(half.chunks[0]?.keys.n?.[0]).toBe(6_001);
    const some = await latest(test, { files, shape: of, startUs: 2e6, endUs: 4e6 });
    expect(
      some.chunks.flatMap(({ eventUs }) => eventUs).every((us) => us === 2e6 || us === 3e6),
    ).toBe(true);
    expect(some.keys).toBe(rows.filter(([, , event]) => event === 2 || event === 3).length);
  });

  it("reads files of other shapes: absent is null, widened is cast, changed is null", async () => {
    const test = useEngine();
    const before = shape(["k STRING"], ["n INT32", "gone DOUBLE", "other STRING"]);
    const now = shape(["k STRING"], ["n DOUBLE", "fresh BOOL", "other INT64"]);
    const files = [
      ...sources(await write(test, before, [["a", 1, 1, 7, 1.5, "x"]]), before),
      ...sources(await write(test, now, [["b", 1, 1, 8.5, true, 3]]), now),
    ];
    const { chunks } = await latest(test, { files, shape: now });
    expect(chunks[0]?.features).toEqual({ n: [7, 8.5], fresh: [null, true], other: [null, 3] });
    const none = await latest(test, { files: [], shape: now });
    expect(none).toEqual({ rowsRead: 0, keys: 0, chunks: [] });
  });

  it("takes features that have the names of columns DuckDB adds", async () => {
    const test = useEngine();
    const names = ["file_index INT64", "file_row_number INT64", "RowId INT64", "event_us INT64"];
    for (const width of [0, 100]) {
      const more = Array.from({ length: width }, (_, at) => `f${at} BOOL`);
      const of = shape(["filename STRING"], [...names, ...more]);
      const files = [
        ...(await write(test, of, [
          ["a", 86_400, 1, 70, 80, 900, 2],
          ["b", 1, 1, 71, 81, -5, 1],
          ["b", 1, 1, 72, 82, -6, 3],
        ])),
        ...(await write(test, of, [["a", 86_400, 1, 73, 83, 7, 4]])),
      ];
      expect(files.map(({ rows }) => rows)).toEqual([1, 1, 1]);
      const { chunks } = await latest(test, { files: sources(files, of), shape: of });
      expect(chunks[0]?.features).toMatchObject({
        file_index: [70, 71],
        file_row_number: [80, 81],
        RowId: [900, -5],
        event_us: [2, 1],
      });
    }
  });

  it("stops at a chunk that is refused, and says what refused it", async () => {
    const test = useEngine();
    const files = sources(await write(test, SHAPE, [["A", 1, 1, 1]]), SHAPE);
    const refused = test.run(
      "latest-rows",
      { files, shape: SHAPE },
      {
        onChunk: async () => {
          throw new Error("the store is full");
        },
      },
    );
    await expect(refused).rejects.toThrow("the store is full");
    expect((await latest(test, { files, shape: SHAPE })).keys).toBe(1);
  });
});

describe("compact-day", () => {
  it("joins files, and drops rows that are there twice, but none that is restated later", async () => {
    const test = useEngine();
    const old = shape(["airport STRING"], ["gone INT64"]);
    const files = [
      ...sources(await write(test, old, [["Z", 3, 3, 1]]), old),
      ...sources(
        await write(test, SHAPE, [
          ["A", 1, 1, Number.NaN],
          ["A", 1, 2, Number.NaN],
          ["A", 1, 3, 5],
          ["A", 1, 4, Number.NaN],
          ["B", 1, 1, null],
        ]),
        SHAPE,
      ),
      ...sources(
        await write(test, SHAPE, [
          ["A", 1, 3, 6],
          ["A", 1, 5, 6],
          ["B", 1, 9, null],
          ["B", 2, 9, null],
        ]),
        SHAPE,
      ),
    ];
    const input = { files, shape: SHAPE, day: "1970-01-01", outDir: test.outDir };
    const { files: written, rowsBefore } = await test.run("compact-day", input);
    expect(rowsBefore).toBe(10);
    expect(written).toHaveLength(1);
    const rows = await readParquet(written[0]!.path);
    const seconds = (value: unknown) => Number(String(value).slice(17, 19));
    expect(
      rows.map(({ airport, event_timestamp, created_timestamp, delay }) => {
        return [airport, seconds(event_timestamp), seconds(created_timestamp), delay];
      }),
    ).toEqual([
      ["A", 1, 1, "NaN"],
      ["A", 1, 2, "NaN"],
      ["A", 1, 3, 5],
      ["A", 1, 4, "NaN"],
      ["A", 1, 5, 6],
      ["B", 1, 1, null],
      ["B", 1, 9, null],
      ["B", 2, 9, null],
      ["Z", 3, 3, null],
    ]);
    expect(Object.keys(rows[0]!).sort()).toEqual([
      "airport",
      "created_timestamp",
      "delay",
      "event_timestamp",
    ]);
  });
});

describe("erase-keys", () => {
  it("counts, and writes files anew without the keys, in their own columns and order", async () => {
    const test = useEngine();
    const of = shape(["airport STRING", "route INT64"], ["file_row_number INT64"]);
    const rows = ["A", "B", "C"].flatMap((airport) => [
      [airport, 1, 1, 1, 10],
      [airport, 2, 1, 1, 20],
    ]);
    const files = sources(
      [
        ...(await write(test, of, rows)),
        ...(await write(test, of, [["Q'", 1, 1, 1, null]])),
        ...(await write(test, of, [["C", 1, 1, 1, null]])),
      ],
      of,
    );
    const keyFields = [{ name: "airport", type: "STRING" }] as const;
    const input = { files, keys: { airport: ["B", "Q'", "none"] }, keyFields, outDir: test.outDir };
    const counted = await test.run("erase-keys", { ...input, countOnly: true });
    expect(counted.results).toEqual([
      { rows: 2, file: undefined },
      { rows: 1, file: undefined },
      undefined,
    ]);
    const { results } = await test.run("erase-keys", { ...input, countOnly: false });
    expect(results.map((result) => [result?.rows, result?.file?.rows])).toEqual([
      [2, 4],
      [1, undefined],
      [undefined, undefined],
    ]);
    expect(results[0]?.file).toMatchObject({
      day: "1970-01-01",
      minEventUs: 1e6,
      maxCreatedUs: 1e6,
    });
    const left = await readParquet(results[0]!.file!.path);
    expect(left.map((row) => [row.airport, row.route, row.file_row_number])).toEqual([
      ["A", "1", "10"],
      ["A", "2", "20"],
      ["C", "1", "10"],
      ["C", "2", "20"],
    ]);
  });

  it("finds nothing where a file lacks the key, or no key is given", async () => {
    const test = useEngine();
    const files = sources(await write(test, SHAPE, [["A", 1, 1, 1]]), SHAPE);
    const input = { files, countOnly: false, outDir: test.outDir };
    const of = { name: "carrier", type: "STRING" } as const;
    const other = await test.run("erase-keys", {
      ...input,
      keys: { carrier: ["A"] },
      keyFields: [of],
    });
    expect(other.results).toEqual([undefined]);
    const none = await test.run("erase-keys", {
      ...input,
      keys: { airport: [] },
      keyFields: SHAPE.joinKeys,
    });
    expect(none.results).toEqual([undefined]);
  });
});
