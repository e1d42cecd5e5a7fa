import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type Column, ColumnSchema } from "../../../gen/plinth/features/v1/value_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { timestampOf } from "../columns.ts";
import { badRows, checkBatch, withCreationTime } from "./check-batch.ts";
import { airportView } from "./testing.ts";

const T = 1_700_000_000_000_000;
const VIEW = airportView();

function columns(...list: readonly MessageInitShape<typeof ColumnSchema>[]): Column[] {
  return list.map((column) => create(ColumnSchema, column));
}

function good(rows: number): readonly MessageInitShape<typeof ColumnSchema>[] {
  const places = Array.from({ length: rows }, (_, row) => row);
  return [
    { name: "airport", strings: places.map((row) => `A${row}`) },
    { name: "event_timestamp", timestamps: places.map((row) => timestampOf(T + row)) },
  ];
}

function refused(...list: readonly MessageInitShape<typeof ColumnSchema>[]) {
  const { refusals, good } = checkBatch(VIEW, columns(...list));
  return {
    rows: good.rows,
    refusals: refusals.map(({ row, column, reason }) => [row, column, reason]),
  };
}

function fault(...list: readonly MessageInitShape<typeof ColumnSchema>[]): string {
  try {
    checkBatch(VIEW, columns(...list));
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgument);
    return (error as InvalidArgument).message;
  }
  throw new Error("nothing was refused");
}

describe("check-batch", () => {
  it("makes rows of columns; features without a column are left out", () => {
    const { good: rows, refused: bad } = checkBatch(
      VIEW,
      columns(
        ...good(3),
        { name: "delay", doubles: [1.5, 0, Number.NaN], nulls: [1] },
        { name: "flights", ints: [1n, 2n, 2n ** 60n] },
        {
          name: "created_timestamp",
          timestamps: [timestampOf(T), timestampOf(0), timestampOf(T + 5)],
          nulls: [1],
        },
      ),
    );
    expect(bad).toBe(0);
    expect(withCreationTime(rows, 7)).toEqual({
      rows: 3,
      keys: { airport: ["A0", "A1", "A2"] },
      features: { delay: [1.5, null, Number.NaN], flights: [1, 2, 2n ** 60n] },
      eventUs: [T, T + 1, T + 2],
      createdUs: [T, 7, T + 5],
    });
  });

  it("takes whole numbers for a DOUBLE, and an all-null column", () => {
    const { good: rows } = checkBatch(
      VIEW,
      columns(...good(2), { name: "delay", ints: [3n, 4n] }, { name: "note" }),
    );
    expect(rows.features).toEqual({ delay: [3, 4], note: [null, null] });
  });

  it("refuses rows without a key or an event time, and keeps the others", () => {
    const [airport, time] = good(4);
    expect(refused({ ...airport, nulls: [1] }, { ...time, nulls: [1, 3] })).toEqual({
      rows: 2,
      refusals: [
        [1, "airport", "has no value; a join key must have one"],
        [3, "event_timestamp", "has no value; every row has an event time"],
      ],
    });
  });

  it("refuses values of another type in every row", () => {
    const result = refused(...good(2), { name: "delay", strings: ["x", "late"] });
    expect(result.rows).toBe(0);
    expect(result.refusals).toEqual([
      [0, "delay", 'is the text "x", in strings; expected DOUBLE, in doubles (or ints)'],
      [1, "delay", 'is the text "late", in strings; expected DOUBLE, in doubles (or ints)'],
    ]);
  });

  it("refuses event times that are numbers, and times out of range", () => {
    const [airport] = good(2);
    const ints = { name: "event_timestamp", ints: [BigInt(T), BigInt(T)] };
    expect(refused(airport!, ints).refusals[0]?.[2]).toMatch(/expected TIMESTAMP, in timestamps/);
    const far = {
      name: "event_timestamp",
      timestamps: [timestampOf(T), { seconds: 2n ** 50n, nanos: 0 }],
    };
    expect(refused(airport!, far)).toMatchObject({
      rows: 1,
      refusals: [[1, "event_timestamp", expect.any(String)]],
    });
  });

  it("refuses keys that are too long and rows that fit no document", () => {
    const [, time] = good(2);
    const long = refused({ name: "airport", strings: ["x".repeat(512), "é".repeat(257)] }, time!);
    expect(long).toEqual({
      rows: 1,
      refusals: [[1, "airport", "has 514 bytes; a join key has at most 512"]],
    });
    const wide = {
      ...VIEW,
      version: {
        ...VIEW.version,
        features: Array.from({ length: 5 }, (_, n) => ({
          name: `b${n}`,
          type: "BYTES" as const,
          description: "",
          defaultValue: null,
        })),
      },
    };
    const blobs = wide.version.features.map(({ name }) => ({
      name,
      bytesValues: [new Uint8Array(1024 * 1024), new Uint8Array(1)],
    }));
    const { refusals, good: rows } = checkBatch(wide, columns(...good(2), ...blobs));
    expect(rows.rows).toBe(1);
    expect(refusals).toEqual([
      { row: 0, column: "", reason: expect.stringContaining("4194304 fit a row") },
    ]);
  });

  it("refuses columns that the view has not, with what was probably meant", () => {
    const [airport, time] = good(1);
    expect(fault(airport!, time!, { name: "deley", doubles: [1] })).toBe(
      'columns have "deley", which the view has not. Did you mean "delay"?',
    );
    expect(fault({ name: "Airport", strings: ["ATL"] })).toMatch(
      /^columns lack "airport", "event_timestamp"; .* Did you mean "airport"\?$/,
    );
  });

  it("refuses columns of other lengths, of one name, and too few or too many rows", () => {
    const [airport, time] = good(2);
    expect(fault(airport!, time!, { name: "delay", doubles: [1] })).toMatch(/"delay" has 1/);
    expect(fault(airport!, airport!, time!)).toMatch(/"airport" comes twice/);
    expect(fault({ name: "airport" }, { name: "event_timestamp" })).toMatch(/have 0 rows/);
    expect(fault(...good(10_001))).toMatch(/have 10001 rows; a batch has 1 to 10000/);
  });

  it("counts a row once however many faults it has, and tells the first 100 rows", () => {
    const [airport, time] = good(150);
    const nulls = Array.from({ length: 150 }, (_, row) => row).filter((row) => row !== 7);
    const checked = checkBatch(VIEW, columns({ ...airport, nulls }, { ...time, nulls }));
    expect(checked.refused).toBe(149);
    expect(checked.refusals).toHaveLength(100);
    expect(checked.refusals[7]?.row).toBe(8);
    expect(checked.good.keys).toEqual({ airport: ["A7"] });
    const error = badRows(checked);
    expect(error.message).toMatch(
      /^Nothing was stored: 149 of 150 rows are bad: rows\[0\].airport /,
    );
    expect(error.message).toMatch(/; and 146 more\. .*BAD_ROWS_SKIP/);
    expect(error.violations).toHaveLength(100);
  });
});
