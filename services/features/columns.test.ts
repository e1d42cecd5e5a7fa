import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ColumnSchema } from "../../gen/plinth/features/v1/value_pb.js";
import { cellsOf, columnOf, microsOf, rowCountOf, timestampOf } from "./columns.ts";
import type { Cell, ValueType } from "./value.ts";

type Init = MessageInitShape<typeof ColumnSchema>;

function columns(...inits: readonly Init[]) {
  return inits.map((init) => create(ColumnSchema, init));
}

function cells(type: ValueType, init: Init, rows = 1) {
  const [column] = columns({ name: "x", ...init });
  return cellsOf(column, { name: "x", type }, rows);
}

describe("rowCountOf", () => {
  it("counts rows, whatever the lists", () => {
    const given = columns(
      { name: "a", strings: ["x", "y"] },
      { name: "b", ints: [1n, 2n], nulls: [1] },
      { name: "empty" },
    );
    expect(rowCountOf(given)).toBe(2);
    expect(rowCountOf([])).toBe(0);
    expect(rowCountOf(columns({ name: "a", nulls: [0, 1, 2] }))).toBe(3);
  });

  it.each([
    [
      [
        { name: "a", ints: [1n] },
        { name: "a", ints: [2n] },
      ],
      'entities must have different names; "a"',
    ],
    [
      [
        { name: "a", ints: [1n, 2n] },
        { name: "b", ints: [2n, 3n] },
        { name: "c", bools: [true] },
      ],
      '"c" has 1, others 2',
    ],
    [[{ name: "a", ints: [1n], strings: ["x"] }], '"a" has values in ints and strings'],
    [[{ name: "a", ints: [1n, 1n], nulls: [2] }], '"a" names row 2 of 2 rows'],
    [[{ name: "a", ints: [1n, 1n], nulls: [1, 0] }], '"a" names row 0 after row 1'],
    [[{ ints: [1n] }], "must each have a name"],
  ] as readonly (readonly [readonly Init[], string])[])("refuses case %#", (given, message) => {
    expect(() => rowCountOf(columns(...given), "entities")).toThrow(message);
  });
});

describe("cellsOf", () => {
  it.each([
    ["BOOL", { bools: [true] }, true],
    ["INT32", { ints: [-2147483648n] }, -2147483648],
    ["INT64", { ints: [9007199254740991n] }, 9007199254740991],
    ["INT64", { ints: [9007199254740992n] }, 9007199254740992n],
    ["INT64", { ints: [-9223372036854775808n] }, -9223372036854775808n],
    ["FLOAT", { doubles: [0.1] }, Math.fround(0.1)],
    ["FLOAT", { doubles: [Number.NEGATIVE_INFINITY] }, Number.NEGATIVE_INFINITY],
    ["DOUBLE", { doubles: [Number.NaN] }, Number.NaN],
    ["DOUBLE", { ints: [7n] }, 7],
    ["STRING", { strings: ["漢😀"] }, "漢😀"],
    ["BYTES", { bytesValues: [new Uint8Array([1])] }, new Uint8Array([1])],
    ["TIMESTAMP", { timestamps: [{ seconds: -1n, nanos: 999_999_999 }] }, -1],
    ["INT64", { ints: [5n], nulls: [0] }, null],
    ["INT64", {}, null],
  ] as readonly (readonly [ValueType, Init, Cell])[])(
    "reads %s, case %#",
    (type, init, expected) => {
      expect(cells(type, init)).toEqual({ cells: [expected], faults: [] });
    },
  );

  it.each([
    ["INT32", { ints: [2147483648n] }, "is 2147483648; expected INT32"],
    ["FLOAT", { doubles: [1e39] }, "is 1e+39; expected FLOAT"],
    ["INT64", { strings: ["1"] }, 'is the text "1", in strings; expected INT64, in ints'],
    ["INT64", { doubles: [1] }, "is 1, in doubles; expected INT64, in ints"],
    ["STRING", { ints: [1n] }, "is 1, in ints; expected STRING, in strings"],
    ["DOUBLE", { strings: ["1"] }, "expected DOUBLE, in doubles (or ints)"],
    ["STRING", { strings: ["x".repeat(1024 * 1024 + 1)] }, "has more than 1048576 bytes"],
    ["TIMESTAMP", { timestamps: [{ seconds: 1n, nanos: -1 }] }, "1 seconds and -1 nanos"],
    ["TIMESTAMP", { timestamps: [{ seconds: 253402300799n, nanos: 0 }] }, "1685 to 2254"],
  ] as readonly (readonly [ValueType, Init, string])[])(
    "refuses %s, case %#",
    (type, init, reason) => {
      const { cells: found, faults } = cells(type, init);
      expect(found).toEqual([null]);
      expect(faults).toEqual([{ row: 0, reason: expect.stringContaining(reason) }]);
    },
  );

  it("gives an absent column as nulls, and does not look at zeros in place of nulls", () => {
    expect(cellsOf(undefined, { name: "x", type: "BOOL" }, 2).cells).toEqual([null, null]);
    const read = cells("INT32", { ints: [1n, 2n ** 40n, 3n], nulls: [1] }, 3);
    expect(read).toEqual({ cells: [1, null, 3], faults: [] });
  });
});

describe("columnOf", () => {
  it.each([
    ["BOOL", [true, null]],
    ["INT32", [-1, null]],
    ["INT64", [2n ** 62n, null, 3]],
    ["FLOAT", [Math.fround(0.1), null]],
    ["DOUBLE", [Number.NaN, null, -0]],
    ["STRING", ["", null, "x"]],
    ["BYTES", [new Uint8Array([1]), null]],
    ["TIMESTAMP", [-1, null, 1_500_000]],
  ] as readonly (readonly [ValueType, readonly Cell[]])[])("comes back: %s", (type, given) => {
    const column = create(ColumnSchema, columnOf({ name: "x", type }, given));
    expect(rowCountOf([column])).toBe(given.length);
    expect(cellsOf(column, { name: "x", type }, given.length).cells).toEqual(given);
  });
});

describe("timestamps", () => {
  it("are cut to the microsecond, before 1970 too", () => {
    expect(timestampOf(-1)).toEqual({ seconds: -1n, nanos: 999_999_000 });
    expect(timestampOf(1_000_001)).toEqual({ seconds: 1n, nanos: 1000 });
    const time = { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 1999 } as const;
    expect(microsOf(time)).toBe(1_000_001);
  });
});
