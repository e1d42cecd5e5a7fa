import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useEngine, writeParquet } from "./testing.ts";

const undefinedFormat = { format: undefined };

describe("describe-table", () => {
  it("finds out Parquet, its columns and rows", async () => {
    const test = useEngine();
    const path = await writeParquet(
      join(test.folder, "t"),
      "SELECT 1::BIGINT AS a, now() AS t, {x: 1, y: {z: 2}} AS s, 'q' AS e FROM range(3)",
    );
    expect(await test.run("describe-table", { path, ...undefinedFormat })).toEqual({
      format: "parquet",
      rows: 3,
      columns: [
        { name: "a", type: "BIGINT" },
        { name: "t", type: "TIMESTAMP WITH TIME ZONE" },
        { name: "s", type: "STRUCT(x INTEGER, y STRUCT(z INTEGER))" },
        { name: "e", type: "VARCHAR" },
      ],
    });
  });

  it("finds out CSV and NDJSON", async () => {
    const test = useEngine();
    const csv = test.file("c", '\ufeffa,"b\n""c""",a\r\n1,"x\r\ny",3\r\n');
    expect(await test.run("describe-table", { path: csv, ...undefinedFormat })).toEqual({
      format: "csv",
      rows: 1,
      columns: ["a", 'b\n"c"', "a"].map((name) => ({ name, type: "VARCHAR" })),
    });
    const ndjson = test.file("n", '{"a":1,"b":"x"}\n{"b":null,"c":[1],"a~/b":true}\nbroken\n');
    expect(await test.run("describe-table", { path: ndjson, ...undefinedFormat })).toEqual({
      format: "ndjson",
      rows: 3,
      columns: [
        { name: "a", type: "BIGINT" },
        { name: "b", type: "VARCHAR" },
        { name: "c", type: "JSON" },
        { name: "a~/b", type: "BOOLEAN" },
      ],
    });
  });

  it("says when a file is not what it is said to be", async () => {
    const test = useEngine();
    const path = await writeParquet(join(test.folder, "t"), "SELECT 1 AS a");
    await expect(test.run("describe-table", { path, format: "csv" })).rejects.toThrow(
      "The file is said to be CSV but begins as Parquet.",
    );
    const zip = test.file("z", "PK\x03\x04....");
    await expect(test.run("describe-table", { path: zip, ...undefinedFormat })).rejects.toThrow(
      "It is a ZIP archive or an Excel workbook",
    );
  });
});
