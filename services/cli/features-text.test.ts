// The pure parts of `plinth features`: cells, times, keys, names and progress.

import { describe, expect, it } from "vitest";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { UsageError } from "./exit-codes.ts";
import { cellText, columnOf } from "./features-cells.ts";
import { fullName, kindOf, parseDefinition, shortFeatureName } from "./features-names.ts";
import { ageText, exactTime, parseTime } from "./features-times.ts";
import { stepsText } from "./job-bar.ts";
import { keyRows } from "./key-rows.ts";

describe("features-cells", () => {
  const { BOOL, INT32, INT64, DOUBLE, STRING, BYTES, TIMESTAMP } = ValueType;

  it.each([
    [BOOL, ["true", false, "FALSE", null], "bools", [true, false, false, false], [3]],
    [INT32, ["-2147483648", 7, "+8", undefined], "ints", [-2147483648n, 7n, 8n, 0n], [3]],
    [INT64, ["9223372036854775807", 1], "ints", [9223372036854775807n, 1n], []],
    [
      DOUBLE,
      ["1e3", 0.5, "NaN", "-inf", null],
      "doubles",
      [1000, 0.5, Number.NaN, -Infinity, 0],
      [4],
    ],
    [STRING, ["007", "", "Zürich"], "strings", ["007", "", "Zürich"], []],
    [BYTES, ["AQI="], "bytesValues", [Buffer.from([1, 2])], []],
  ] as const)("makes columns of type %i", (valueType, values, list, cells, nulls) => {
    const { column, faults } = columnOf({ name: "c", valueType }, values);
    expect(faults).toEqual([]);
    expect(column[list]).toEqual(cells);
    expect(column.nulls).toEqual(nulls);
  });

  it.each([
    [BOOL, "yes", "true or false"],
    [INT32, "2147483648", "a whole number of 32 bits"],
    [INT32, 1.5, "a whole number of 32 bits"],
    [INT64, "9223372036854775808", "a whole number of 64 bits"],
    [DOUBLE, "1,5", "a number"],
    [STRING, 7, "a text"],
    [BYTES, "*", "bytes in base64"],
    [TIMESTAMP, 980_928_000, "a time such as 2001-01-31T08:00:00Z"],
    [TIMESTAMP, "2001-02-31", "a time such as 2001-01-31T08:00:00Z"],
  ])("tells what does not fit type %i: %s", (valueType, value, expected) => {
    const { column, faults } = columnOf({ name: "c", valueType }, [null, value]);
    const fault = `c: expected ${expected}, got ${JSON.stringify(value)}`;
    expect(faults).toEqual([{ row: 1, fault }]);
    expect(column.nulls).toEqual([0, 1]);
  });

  it("shows a cell and shows none where there is no value", () => {
    const { column } = columnOf({ name: "t", valueType: TIMESTAMP }, [
      "2001-01-31 08:00:00.25",
      null,
    ]);
    expect(cellText(column, TIMESTAMP, 0)).toBe("2001-01-31 08:00:00.25Z");
    expect(cellText(column, TIMESTAMP, 1)).toBe("");
  });
});

describe("features-times", () => {
  it.each([
    ["2001-01-31", 980_899_200n, 0],
    ["2001-01-31T08:00:00.123456789Z", 980_928_000n, 123_456_000],
    ["2001-01-31 08:00:00+02:00", 980_920_800n, 0],
    ["2001-01-31T08:00-0130", 980_933_400n, 0],
    ["1969-12-31T23:59:59.5Z", -1n, 500_000_000],
  ])("reads %s", (text, seconds, nanos) => {
    expect(parseTime(text)).toEqual({ seconds, nanos });
  });

  it.each(["", "soon", "2001-13-01", "2001-02-29", "08:00", "2001-01-31T25:00:00Z"])(
    "takes %s for no time",
    (text) => {
      expect(parseTime(text)).toBeUndefined();
    },
  );

  it("writes ages by their two largest parts", () => {
    const ages = [0, 59, 3600, 90_061, 7 * 86_400, -300].map(ageText);
    expect(ages).toEqual(["0s", "59s", "1h", "1d 1h", "7d", "in 5m"]);
    expect(exactTime(undefined)).toBe("");
  });
});

describe("key-rows", () => {
  it("begins the next row at a key that comes again", () => {
    expect(keyRows(["origin=ATL", "destination=SFO"], "--entity")).toEqual([
      { origin: "ATL", destination: "SFO" },
    ]);
    expect(keyRows(["a=1,b=x, y", "a=2,b="], "--row")).toEqual([
      { a: "1", b: "x, y" },
      { a: "2", b: "" },
    ]);
    expect(keyRows(['{"a": 1}', '{"a": 2}', "a=b=c"], "--row")).toEqual([
      { a: 1 },
      { a: 2 },
      { a: "b=c" },
    ]);
  });

  it("refuses what is no pair, and rows of other keys", () => {
    expect(() => keyRows(["a"], "--row")).toThrow('--row must look like key=value; got "a".');
    expect(() => keyRows(["a=1", "a=2,b=3"], "--row")).toThrow(UsageError);
    expect(() => keyRows(["{"], "--row")).toThrow("--row is not JSON");
  });
});

describe("features-names", () => {
  it("reads every form, and writes the short one", () => {
    const full = "workspaces/w/featureServices/s/versions/3";
    expect(parseDefinition("service/s@3", "w")).toEqual(parseDefinition(full, "other"));
    expect(fullName("service", "s@3", "w")).toBe(full);
    expect(shortFeatureName(full)).toBe("service/s@3");
    expect(shortFeatureName("workspaces/w/jobs/7f")).toBe("jobs/7f");
    expect(kindOf("feature_views")).toBe("view");
    expect(() => fullName("view", "service/s", "w")).toThrow("Name a view here");
    expect(() => parseDefinition("s@x", "w")).toThrow("A definition is named");
  });
});

describe("job-bar", () => {
  it("shows a bar where the end is known, else a count", () => {
    const steps = { phase: "joining", unit: "rows" };
    expect(stepsText({ ...steps, done: 500, total: 1000 })).toBe(
      `joining [${"=".repeat(15)}${"-".repeat(15)}] 50%  500 of 1,000 rows`,
    );
    expect(stepsText({ ...steps, done: 1200, total: 0 })).toBe("joining  1,200 rows");
    expect(stepsText({ ...steps, done: 0, total: 0 })).toBe("joining");
  });
});
