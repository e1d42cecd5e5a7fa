import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { EngineTasks, TableFormat } from "../engine-tasks.ts";
import { readParquet, shape, type TestEngine, useEngine } from "./testing.ts";

type Ingest = EngineTasks["ingest-table"]["input"];

const SHAPE = shape(
  ["k STRING", "n INT32"],
  ["b BOOL", "l INT64", "f FLOAT", "d DOUBLE", "s STRING", "y BYTES", "t TIMESTAMP"],
);
const TIME = 'a time like "2001-01-31T05:00:00Z" in the years 1685 to 2254';
const UNIT = "; a number does not say its unit: write times as text, or as timestamps in Parquet";

async function ingest(
  test: TestEngine,
  format: TableFormat,
  content: string | Uint8Array,
  change: Partial<Ingest> = {},
) {
  const path = test.file("table", content);
  const output = await test.run("ingest-table", {
    table: { path, format },
    shape: SHAPE,
    eventTimestampColumn: "at",
    createdTimestampColumn: "",
    defaultCreatedUs: 0,
    fieldMapping: [],
    skipBadRows: true,
    outDir: test.outDir,
    ...change,
  });
  return { ...output, stored: await readParquet(...output.files.map((file) => file.path)) };
}

describe("ingest-table of CSV", () => {
  it("reads every type from text, an empty cell being null", async () => {
    const output = await ingest(
      useEngine(),
      "csv",
      "k,n,at,b,l,f,d,s,y,t,other\r\n" +
        '5,-7,2001-01-01T05:00:00+02:00,True,9223372036854775807,0.5,1e3,"a ""b"",\nc",aGk=,' +
        "2001-01-01,x\r\n" +
        "ü,+7.0,2001-01-01 05:00,0,5.0,nan,-inf,,,,\r\n",
    );
    expect(output.refusals).toEqual([]);
    const created_timestamp = "1970-01-01 00:00:00+00";
    expect(output.stored).toEqual([
      {
        event_timestamp: "2001-01-01 03:00:00+00",
        created_timestamp,
        k: "5",
        n: -7,
        b: true,
        l: "9223372036854775807",
        f: 0.5,
        d: 1000,
        s: 'a "b",\nc',
        y: "hi",
        t: "2001-01-01 00:00:00+00",
      },
      {
        event_timestamp: "2001-01-01 05:00:00+00",
        created_timestamp,
        k: "ü",
        n: 7,
        b: false,
        l: "5",
        f: "NaN",
        d: "-Infinity",
        s: null,
        y: null,
        t: null,
      },
    ]);
  });

  it("refuses cells with their row, text and what was expected", async () => {
    const output = await ingest(
      useEngine(),
      "csv",
      "k,n,at,b,l,f,d,s,y,t\n" +
        "a,1.5,2001-01-01,maybe,1e3,1e39,1e400,,%,2001-02-30\n" +
        `,3000000000,978307200,,9223372036854775808,x,0x10,${"x".repeat(1_048_577)},,978307200\n` +
        "good,1,2001-01-01,,,,,,,\n",
    );
    expect(output).toMatchObject({ rowsRead: 3, rowsRefused: 2 });
    expect(output.refusals).toEqual([
      {
        row: 0,
        column: "n",
        reason: 'is "1.5"; expected a whole number from -2147483648 to 2147483647',
      },
      { row: 0, column: "b", reason: 'is "maybe"; expected true or false' },
      { row: 0, column: "l", reason: 'is "1e3"; expected a whole number of 64 bits' },
      { row: 0, column: "f", reason: 'is "1e39"; expected a number that 32 bits hold' },
      { row: 0, column: "d", reason: 'is "1e400"; expected a number' },
      { row: 0, column: "y", reason: 'is "%"; expected bytes in base64' },
      { row: 0, column: "t", reason: `is "2001-02-30"; expected ${TIME}` },
      { row: 1, column: "k", reason: "is null; every row needs its join keys" },
      {
        row: 1,
        column: "n",
        reason: 'is "3000000000"; expected a whole number from -2147483648 to 2147483647',
      },
      { row: 1, column: "at", reason: `is "978307200"; expected ${TIME}${UNIT}` },
      {
        row: 1,
        column: "l",
        reason: 'is "9223372036854775808"; expected a whole number of 64 bits',
      },
      { row: 1, column: "f", reason: 'is "x"; expected a number that 32 bits hold' },
      { row: 1, column: "d", reason: 'is "0x10"; expected a number' },
      { row: 1, column: "s", reason: "has 1048577 bytes; at most 1048576 are taken" },
      { row: 1, column: "t", reason: `is "978307200"; expected ${TIME}${UNIT}` },
    ]);
  });

  it.each([
    ["a byte order mark", "\ufeffk,n,at\nA,1,2001-01-01\n"],
    ["no line end at the end", "k,n,at\nA,1,2001-01-01"],
    ["line ends in the header", '"k",n,at,"x\ny"\r\nA,1,2001-01-01,"a\r\nb"\r\n'],
    ["blank lines", "\n\r\nk,n,at\n\nA,1,2001-01-01\n\n"],
    ["quoted names", '"k",n,"at"\n"A","1","2001-01-01"\n'],
    ["an index column without a name", ",k,n,at\n0,A,1,2001-01-01\n"],
    ["old line ends", "k,n,at\rA,1,2001-01-01\r"],
  ])("reads a file with %s", async (_, content) => {
    const { refusals, stored } = await ingest(useEngine(), "csv", content);
    expect(refusals).toEqual([]);
    expect(stored).toMatchObject([
      { k: "A", n: 1, event_timestamp: "2001-01-01 00:00:00+00", d: null },
    ]);
  });

  it.each([
    ["2001-01-01T05:00:00Z", "2001-01-01 05:00:00+00"],
    ["2001-01-01 05:00:00.123456789 UTC", "2001-01-01 05:00:00.123456+00"],
    ["2001-01-01T05:00:00-0230", "2001-01-01 07:30:00+00"],
    ["2001-01-01T05:00:59+02", "2001-01-01 03:00:59+00"],
    ["2001-01-01 05:00", "2001-01-01 05:00:00+00"],
    ["1700-01-01", "1700-01-01 00:00:00+00"],
  ])("takes the time %s", async (text, expected) => {
    const { stored } = await ingest(useEngine(), "csv", `k,n,at\nA,1,${text}\n`);
    expect(stored).toMatchObject([{ event_timestamp: expected }]);
  });

  it.each(["yesterday", "01/02/2001", "2001-1-1", "2001-01-01T25:00", "0999-01-01", "epoch"])(
    "refuses the time %s",
    async (text) => {
      const { refusals } = await ingest(useEngine(), "csv", `k,n,at\nA,1,${text}\n`);
      expect(refusals).toEqual([
        { row: 0, column: "at", reason: `is "${text}"; expected ${TIME}` },
      ]);
    },
  );

  it.each([
    ["k,n,at\nA,1\n", "Line 2 of the CSV file has 2 cells; the header has 3."],
    ["k,n,at\nA,1,2001-01-01,x\n", "Line 2 of the CSV file has 4 cells; the header has 3."],
    ['k,n,at\n"A,1,2001-01-01\n', "Line 2 of the CSV file has a quote that is not closed"],
    ['"k,n,at\nA,1,2001-01-01\n', "a quote that is not closed"],
    ["k;n;at\nA;1;2001-01-01\n", 'seems to be separated by ";"'],
    ["k,n,at\r\nA,1,2001-01-01\nB,1,2001-01-01\r\n", "one kind of line end"],
    ["", "The file is empty"],
    [" \n", "The file is empty but for blanks"],
    [Buffer.from("k,n,at\nA,1,2001-01-01\n", "utf16le"), "no column"],
    [Buffer.from("\ufeffk,n,at\n", "utf16le"), "UTF-16; save it as UTF-8"],
    [Buffer.from([107, 44, 110, 44, 97, 116, 10, 0xff, 44, 49, 44, 49, 10]), "is not UTF-8"],
    [gzipSync("k,n,at\n"), "compressed with gzip; decompress it first"],
    ['[{"k":1}]', "The file is one JSON array"],
    [`k,n,at\nA,1,${"x".repeat(9e6)}\n`, "longer than 8 MiB"],
  ])("says what is wrong with the file %#", async (content, message) => {
    const fault = ingest(useEngine(), "csv", content);
    await expect(fault).rejects.toMatchObject({ kind: "InvalidArgument" });
    await expect(fault).rejects.toThrow(message);
  });

  it("takes the header alone as no rows", async () => {
    const output = await ingest(useEngine(), "csv", "k,n,at");
    expect(output).toMatchObject({ rowsRead: 0, rowsRefused: 0, files: [] });
  });
});

describe("ingest-table of NDJSON", () => {
  it("reads every type, of lines with other columns", async () => {
    const lines = [
      '{"k":"5","n":1,"at":"2001-01-01T05:00:00+02:00","b":true,"l":9223372036854775807,' +
        '"f":0.5,"d":"-Infinity","s":"\\u00fc","y":"aGk=","t":"2001-01-01"}',
      '{"at":"2001-01-02","n":2,"k":"","l":"77","d":NaN,"s":null,"more":{"deep":[1]}}',
    ];
    const output = await ingest(useEngine(), "ndjson", `\ufeff${lines.join("\r\n\n")}`);
    expect(output.refusals).toEqual([]);
    expect(output.stored).toMatchObject([
      {
        event_timestamp: "2001-01-01 03:00:00+00",
        k: "5",
        b: true,
        l: "9223372036854775807",
        f: 0.5,
        d: "-Infinity",
        s: "ü",
        y: "hi",
        t: "2001-01-01 00:00:00+00",
      },
      { k: "", n: 2, b: null, l: "77", d: "NaN", s: null, y: null, t: null },
    ]);
  });

  it("refuses lines that are no objects and values of other types", async () => {
    const lines = [
      '{"k":5,"n":"1","at":"2001-01-01"}',
      "nonsense",
      "[1]",
      '{"k":"A","n":1.5,"at":978307200,"b":"true","d":"1","s":["x"]}',
      '{"k":"good","n":1,"at":"2001-01-01"}',
    ];
    const output = await ingest(useEngine(), "ndjson", lines.join("\n"));
    expect(output).toMatchObject({ rowsRead: 5, rowsRefused: 4 });
    const whole = "expected a whole number from -2147483648 to 2147483647";
    expect(output.refusals).toEqual([
      { row: 0, column: "k", reason: "is 5; expected a text" },
      { row: 0, column: "n", reason: `is "1"; ${whole}` },
      { row: 1, column: "", reason: "is not a JSON object" },
      { row: 2, column: "", reason: "is not a JSON object" },
      { row: 3, column: "n", reason: `is 1.5; ${whole}` },
      { row: 3, column: "at", reason: `is 978307200; expected ${TIME}${UNIT}` },
      { row: 3, column: "b", reason: 'is "true"; expected true or false' },
      { row: 3, column: "d", reason: 'is "1"; expected a number' },
      { row: 3, column: "s", reason: 'is ["x"]; expected a text' },
    ]);
  });

  it("says that no line is an object, that a line is too long, that a column is missing", async () => {
    const test = useEngine();
    await expect(ingest(test, "ndjson", '{"k":\n')).rejects.toThrow("No line of the file");
    await expect(ingest(test, "ndjson", "k,n\n")).rejects.toThrow("begins as CSV");
    const long = `{"k":"${"x".repeat(60e6)}"}\n`;
    await expect(ingest(test, "ndjson", long)).rejects.toThrow("longer than 8 MiB");
    await expect(ingest(test, "ndjson", '{"K":1,"n":1}')).rejects.toThrow(
      'no column "k" (join key; is "K" meant?), nor "at" (event time). It has "K", "n".',
    );
  });
});
