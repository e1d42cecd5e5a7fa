import { describe, expect, it } from "vitest";
import { csvRows } from "./csv-rows.ts";
import { jsonRows, ndjsonRows } from "./json-rows.ts";
import type { SourceRow } from "./row-source.ts";

/** The text in pieces of `size` bytes: places where a chunk ends must not matter. */
async function* pieces(text: string, size = 7): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

function csv(text: string, textColumns: readonly string[] = []): Promise<SourceRow[]> {
  return Array.fromAsync(csvRows(pieces(text), { delimiter: ",", textColumns }));
}

describe("csv rows", () => {
  it("turns cells into numbers, booleans, null and text", async () => {
    const text = "\ufeffa,b,c,d,e\r\n1,-2.5e3,true,,x y\r\n.5,+7,FALSE,NaN,-inf\r\n";
    expect(await csv(text)).toEqual([
      { ordinal: 1, line: 2, values: { a: 1, b: -2500, c: true, d: null, e: "x y" } },
      { ordinal: 2, line: 3, values: { a: 0.5, b: 7, c: false, d: "NaN", e: "-Infinity" } },
    ]);
  });

  it("keeps text that only looks like a number, on its own or when told", async () => {
    const text = "zip,id,n\n01234,9007199254740993,12\n";
    expect(await csv(text, ["n"])).toEqual([
      { ordinal: 1, line: 2, values: { zip: "01234", id: "9007199254740993", n: "12" } },
    ]);
  });

  it("reads quoted cells with commas, quotes and line breaks", async () => {
    expect(await csv('a,b\n"x,""y""","1\n2"\n3,4\n')).toEqual([
      { ordinal: 1, line: 3, values: { a: 'x,"y"', b: "1\n2" } },
      { ordinal: 2, line: 4, values: { a: 3, b: 4 } },
    ]);
  });

  it("tells bad rows by line and goes on after them", async () => {
    const rows = await csv('a,b\n1\n"x"y,2\nx"y,2\n\n1,2,3\n5,6\n');
    expect(rows).toEqual([
      { ordinal: 1, line: 2, fault: "1 cells, expected 2 as in the first line" },
      { ordinal: 2, line: 3, fault: "a quote stands in the middle of a cell" },
      { ordinal: 3, line: 4, fault: "a quote stands in the middle of a cell" },
      { ordinal: 4, line: 6, fault: "3 cells, expected 2 as in the first line" },
      { ordinal: 5, line: 7, values: { a: 5, b: 6 } },
    ]);
  });

  it("ends at a quote that is never closed: what follows cannot be told apart", async () => {
    await expect(csv('a,b\n1,2\n"x,3\n4,5\n')).rejects.toThrow(/A quote is opened and not closed/);
    await expect(csv(`a,b\n"${"x\n".repeat(600_000)}`)).rejects.toThrow(/not closed/);
  });

  it.each([
    ["a,a\n1,2\n", /"a" twice/],
    ["a,\n1,2\n", /Column 2 of the first line has no name/],
  ])("refuses the heading of %j", async (text, message) => {
    await expect(csv(text)).rejects.toThrow(message);
  });
});

describe("ndjson rows", () => {
  it("reads a line at a time, whatever the chunks", async () => {
    const text = '\ufeff{"a": 1}\r\n\n  {"b": "ü"}\n[1]\n{"a"\n{"id": 9007199254740993, "x": 1.25}';
    const rows = await Array.fromAsync(ndjsonRows(pieces(text, 3)));
    expect(rows).toEqual([
      { ordinal: 1, line: 1, values: { a: 1 } },
      { ordinal: 2, line: 3, values: { b: "ü" } },
      { ordinal: 3, line: 4, fault: 'expected an object such as {"age": 41}' },
      { ordinal: 4, line: 5, fault: expect.stringContaining("not JSON") },
      { ordinal: 5, line: 6, values: { id: "9007199254740993", x: 1.25 } },
    ]);
  });

  it("does not keep a line without an end", async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (let count = 0; count < 40; count += 1) {
        yield Buffer.alloc(1024 * 1024, "x");
      }
      yield Buffer.from('\n{"a": 1}\n');
    }
    expect(await Array.fromAsync(ndjsonRows(endless()))).toEqual([
      { ordinal: 1, line: 1, fault: "longer than 16777216 bytes" },
      { ordinal: 2, line: 2, values: { a: 1 } },
    ]);
  });
});

describe("json rows", () => {
  it("reads an array or the rows of an object", async () => {
    const expected = [
      { ordinal: 1, values: { a: 1 } },
      { ordinal: 2, fault: 'expected an object such as {"age": 41}' },
    ];
    expect(await Array.fromAsync(jsonRows(pieces('[{"a": 1}, 2]')))).toEqual(expected);
    expect(await Array.fromAsync(jsonRows(pieces('{"rows": [{"a": 1}, 2]}')))).toEqual(expected);
  });

  it("says what it expected instead", async () => {
    const read = (text: string) => Array.fromAsync(jsonRows(pieces(text)));
    await expect(read('{"a": 1}')).rejects.toThrow("neither an array of objects");
    await expect(read("[1")).rejects.toThrow("not JSON");
  });
});
