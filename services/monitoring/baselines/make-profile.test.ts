import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { type BaselineProfile, encodeProfile } from "../sketch/column-profile.ts";
import { finiteCount, momentsOf } from "../sketch/numeric-sketch.ts";
import { seeded } from "../sketch/testing.ts";
import { columnOf, countersOf } from "../sketch/window-sketch.ts";
import { makeProfile, type ProfileTask } from "./make-profile.ts";
import type { FileColumn } from "./table-file.ts";
import {
  FIXTURE_COLUMNS,
  FIXTURE_ROWS,
  FIXTURES,
  fixtureCsv,
  fixturePath,
} from "./testing/rows.ts";

const NUMBER: readonly FileColumn[] = [{ name: "x", kind: "numeric" }];

function profileOf(
  content: string | Uint8Array,
  columns: readonly FileColumn[] = NUMBER,
  options: Partial<ProfileTask> = {},
): Promise<BaselineProfile> {
  const path = join(useFolder(), "file");
  writeFileSync(path, content);
  return makeProfile({ path, columns, excluded: [], ...options });
}

function numbersOf({ baseline }: BaselineProfile, name = "x") {
  const sketch = columnOf(baseline, name);
  if (sketch === undefined || !("numbers" in sketch)) {
    throw new Error(`${name} is no column of numbers`);
  }
  return sketch.numbers;
}

describe("makeProfile", () => {
  it.each(FIXTURES)("reads %s to the profile of the same rows as CSV", async (name) => {
    const task = { columns: FIXTURE_COLUMNS, excluded: [] };
    const fromParquet = await makeProfile({ ...task, path: fixturePath(name) });
    const fromCsv = await profileOf(fixtureCsv(), FIXTURE_COLUMNS);
    expect(fromParquet.baseline.rows).toBe(FIXTURE_ROWS);
    expect(encodeProfile(fromParquet)).toEqual(encodeProfile(fromCsv));
  });

  it("counts what is in the columns", async () => {
    const path = fixturePath("duckdb-zstd.parquet");
    const profile = await makeProfile({ path, columns: FIXTURE_COLUMNS, excluded: [] });
    const amount = numbersOf(profile, "amount");
    expect(amount).toMatchObject({ rows: 300, nulls: 6, nan: 5, negativeInfinity: 3, mistyped: 0 });
    expect([amount.min, amount.max]).toEqual([-20, 54.75]);
    expect(numbersOf(profile, "whole").max).toBe(2_990_000_000_000);
    expect(numbersOf(profile, "at").max).toBe(299 * 60e6);
    expect(momentsOf(numbersOf(profile, "price")).mean).toBeCloseTo(0.495, 12);
    const flag = columnOf(profile.baseline, "flag");
    expect(flag).toMatchObject({ categories: { nulls: 43, counts: Float64Array.of(172, 85) } });
    const city = profile.layout.columns[5];
    expect(city).toMatchObject({ layout: { vocabulary: ["Atlanta", "Zürich", "東京", "Boston"] } });
  });

  it("keeps the columns that the file lacks, and leaves out what the version lacks", async () => {
    const columns: FileColumn[] = [
      { name: "missing", kind: "category" },
      { name: "x", kind: "numeric" },
      { name: "list", kind: "counted" },
    ];
    const profile = await profileOf("x,other\n1,a\n2,b\n", columns);
    expect(profile.layout.columns.map(({ name }) => name)).toEqual(["missing", "x", "list"]);
    const counts = profile.baseline.columns.map((column) => countersOf(column).rows);
    expect(counts).toEqual([0, 2, 0]);
    expect(profile.baseline).toMatchObject({ rows: 2, strayValues: 0 });
  });

  it("counts values of another kind as mistyped", async () => {
    const numbers = [
      "1",
      "",
      "abc",
      "NaN",
      "inf",
      "-Infinity",
      "0x10",
      "1e3",
      "True",
      " 2 ",
      "1_0",
    ];
    const x = numbersOf(await profileOf(`x\n${numbers.map((n) => `"${n}"`).join("\n")}\n`));
    expect(x).toMatchObject({ rows: 11, nulls: 1, mistyped: 3, nan: 1, positiveInfinity: 1 });
    expect(x.negativeInfinity).toBe(1);
    expect(finiteCount(x)).toBe(4);
    expect([x.min, x.max]).toEqual([1, 1000]);
    const flags = await profileOf("b\nTrue\nfalse\n1\n0\nyes\n\n2\n", [
      { name: "b", kind: "bool" },
    ]);
    const counts = { rows: 6, mistyped: 2, nulls: 0, counts: Float64Array.of(2, 2) };
    expect(flags.baseline.columns[0]).toMatchObject({ categories: counts });
    // A column of texts where numbers are expected, in a typed format.
    const path = fixturePath("pyarrow-snappy.parquet");
    const columns: FileColumn[] = [{ name: "city", kind: "numeric" }];
    const city = numbersOf(await makeProfile({ path, columns, excluded: [] }), "city");
    expect(city).toMatchObject({ rows: 300, mistyped: 263, nulls: 37 });
  });

  it("rounds numbers as the model's tensor does", async () => {
    const column = { name: "x", kind: "numeric" } as const;
    const csv = "x\n0.7\n0.1\n";
    expect(numbersOf(await profileOf(csv, [column])).max).toBe(0.7);
    const single = await profileOf(csv, [{ ...column, precision: "single" }]);
    expect(numbersOf(single).max).toBe(Math.fround(0.7));
    const half = await profileOf(csv, [{ ...column, precision: "half" }]);
    expect(numbersOf(half).max).toBe(0.7001953125);
  });

  it("leaves excluded columns out, and refuses those that are not there", async () => {
    const columns: FileColumn[] = [...NUMBER, { name: "y", kind: "numeric" }];
    const profile = await profileOf("x,y\n1,2\n", columns, { excluded: ["y"] });
    expect(numbersOf(profile, "y").rows).toBe(0);
    const unknown = profileOf("x,y\n1,2\n", columns, { excluded: ["z"] });
    await expect(unknown).rejects.toThrow('has no column "z" to leave out; it has "x", "y"');
  });

  it("says which columns it expected where none fits", async () => {
    const columns: FileColumn[] = [
      { name: "distance", kind: "numeric" },
      { name: "prediction.label", kind: "category" },
    ];
    await expect(profileOf("Distnce,label\n1,2\n", columns)).rejects.toThrow(
      'The file has no column of the version. Expected "distance", "prediction.label"; it has ' +
        '"Distnce", "label". "Distnce" may be "distance".',
    );
  });

  it("refuses lists where one value is expected, and leaves them out where they are counted", async () => {
    const path = fixturePath("pyarrow-snappy.parquet");
    const task = { path, excluded: [] };
    const nested = makeProfile({ ...task, columns: [{ name: "tags", kind: "category" }] });
    await expect(nested).rejects.toThrow('lists or structures in its column "tags"');
    const columns: FileColumn[] = [
      { name: "tags", kind: "counted" },
      { name: "small", kind: "numeric" },
    ];
    const counted = await makeProfile({ ...task, columns });
    expect(counted.baseline.columns.map((column) => countersOf(column).rows)).toEqual([0, 300]);
  });
});

describe("a file that is wrong", () => {
  it.each([
    ["", "is empty"],
    ["\n\n", "its first line must name the columns"],
    ["x\n", "has no rows"],
    ["x;y\n1;2\n", 'has one column named "x;y"; columns must be separated by commas, not by ";"'],
    ["x\ty\n1\t2\n", String.raw`not by "\t"`],
    ["x,y,x\n1,2,3\n", 'names "x" twice in its first line, as columns 1 and 3'],
    ["x,,y\n1,2,3\n", "has no name for column 2"],
    ["x,y\n1,2\n1,2,3\n", "has 3 cells in line 3"],
    ["x,y\n1,2\n\n1\n", "has 1 cells in line 4"],
    ['x,y\n1,2\n"a"b,2\n', "has a quote in the middle of a cell in line 3"],
    ['x,y\n1,"2\n3,4\n', "opens a quote and does not close it in the record that ends at line 3"],
    [Uint8Array.of(0x1f, 0x8b, 8, 0), "is compressed with gzip"],
    [Uint8Array.of(0x50, 0x4b, 3, 4), "an Excel workbook"],
    [Buffer.from("\ufeffx\n1\n", "utf16le"), "is text in UTF-16"],
    [Uint8Array.of(120, 10, 0, 1), "is no text"],
    ["PAR1", "is Parquet at its beginning, but not at its end"],
  ])("%j is refused", async (content, message) => {
    const error = await profileOf(content).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining(message),
    });
  });

  it("is refused where it is of another format than was said", async () => {
    const csv = profileOf("x\n1\n", NUMBER, { format: "parquet" });
    await expect(csv).rejects.toThrow('is no Parquet, which begins with "PAR1"');
    const parquet = readFileSync(fixturePath("duckdb-zstd.parquet"));
    await expect(profileOf(parquet, NUMBER, { format: "csv" })).rejects.toThrow(
      "is Parquet, and not CSV",
    );
  });

  it("is read with a mark, carriage returns, quoted line breaks and no last line break", async () => {
    const columns: FileColumn[] = [
      { name: "x", kind: "numeric" },
      { name: "text, really", kind: "category" },
    ];
    const csv = '\ufeffx,"text, really"\r\n1,"two\r\nlines"\r\n\r\n"2","say ""so"""';
    const profile = await profileOf(csv, columns);
    expect(profile.layout.columns[1]).toMatchObject({
      layout: { vocabulary: ['say "so"', "two\r\nlines"] },
    });
    expect(numbersOf(profile).max).toBe(2);
  });

  it.each(FIXTURES)("%s is never taken for whole where it is cut", async (name) => {
    const whole = readFileSync(fixturePath(name));
    for (const share of [0.1, 0.5, 0.9, 0.999]) {
      const cut = whole.subarray(0, Math.floor(whole.length * share));
      await expect(profileOf(cut, FIXTURE_COLUMNS)).rejects.toMatchObject({
        kind: "InvalidArgument",
      });
    }
    // The beginning is lost, and the end is there.
    const torn = Buffer.concat([Buffer.from("PAR1"), whole.subarray(whole.length / 2)]);
    await expect(profileOf(torn, FIXTURE_COLUMNS)).rejects.toMatchObject({
      kind: "InvalidArgument",
    });
  });

  it.each(FIXTURES)("%s with any byte changed is refused clearly, or read", async (name) => {
    const whole = readFileSync(fixturePath(name));
    const random = seeded(7);
    const path = join(useFolder(), "file");
    const reader = new ReaderThread();
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      const changed = Buffer.from(whole);
      const at = 4 + Math.floor(random() * (whole.length - 8));
      changed[at] = Math.floor(random() * 256);
      writeFileSync(path, changed);
      const answer = await reader.read(path);
      refused += answer === "" ? 0 : 1;
      expect(answer, `byte ${at}`).toMatch(/^(?:|InvalidArgument: The file .*|took too long)$/);
    }
    expect(refused).toBeGreaterThan(10);
  });
});

/** Some damages send the decoder on a loop that takes minutes: a thread can be ended. */
class ReaderThread {
  #thread: Worker | undefined;

  constructor() {
    onTestFinished(() => this.#end());
  }

  async read(path: string): Promise<string> {
    this.#thread ??= new Worker(new URL("./testing/read-in-thread.ts", import.meta.url));
    const answer = once(this.#thread, "message") as Promise<[string]>;
    this.#thread.postMessage(path);
    const late = sleep(5000, ["took too long"] as const, { ref: false });
    const [outcome] = await Promise.race([answer, late]);
    if (outcome === "took too long") {
      await this.#end();
    }
    return outcome;
  }

  async #end(): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = undefined;
  }
}
