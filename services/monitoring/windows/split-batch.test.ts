import { describe, expect, it } from "vitest";
import { firstLength } from "./event-clock.ts";
import { rowsOfInferences, splitByWindow } from "./split-batch.ts";
import { drawBatch, MINUTE_US } from "./testing.ts";

const OPTIONS = { lengths: firstLength(MINUTE_US), horizonUs: 10 * MINUTE_US };

function split(...inferences: readonly (readonly [minute: number, rows: number])[]) {
  return drawBatch({
    sequence: 1,
    inferences: inferences.map(([minute, rows]) => ({ eventUs: minute * MINUTE_US, rows })),
  });
}

describe("split-batch", () => {
  it("puts each inference into its window, those in the future into none", () => {
    const batch = split([0, 3], [5, 2], [0.5, 4], [10, 1], [10.1, 7]);
    expect(splitByWindow(batch, OPTIONS)).toEqual({
      shares: [
        { startUs: 0, endUs: MINUTE_US, inferences: [0, 2], rows: 7 },
        { startUs: 5 * MINUTE_US, endUs: 6 * MINUTE_US, inferences: [1], rows: 2 },
        { startUs: 10 * MINUTE_US, endUs: 11 * MINUTE_US, inferences: [3], rows: 1 },
      ],
      futureRows: 7,
      refusedRows: 0,
      newestUs: 10 * MINUTE_US,
    });
    expect(splitByWindow(split([11, 1]), OPTIONS)).toEqual({
      shares: [],
      futureRows: 1,
      refusedRows: 0,
      newestUs: undefined,
    });
  });

  it("refuses the rows of the oldest windows where there are too many, and no others", () => {
    // 1,026 windows from minute -1016 to 9, two inferences each, the newest in the middle.
    const minutes = Array.from({ length: 1026 }, (_, i) => ((i + 500) % 1026) - 1016);
    const twice = [...minutes, ...minutes.toReversed()];
    const batch = split(...twice.map((minute, i) => [minute, i < 1026 ? 1 : 2] as const), [11, 4]);
    const { shares, ...rest } = splitByWindow(batch, OPTIONS);
    expect(rest).toEqual({ futureRows: 4, refusedRows: 6, newestUs: 9 * MINUTE_US });
    expect(shares).toHaveLength(1024);
    expect(shares.map(({ startUs }) => startUs / MINUTE_US)).toEqual(
      Array.from({ length: 1024 }, (_, i) => i - 1014),
    );
    expect(shares.every(({ rows, inferences }) => rows === 3 && inferences.length === 2)).toBe(
      true,
    );
  });

  it("takes the rows of some inferences out of every column", () => {
    const batch = split([0, 3], [5, 2], [0, 4]);
    expect(rowsOfInferences(batch, [0, 1, 2])).toBe(batch);
    const some = rowsOfInferences(batch, [1, 2]);
    const places = [3, 4, 5, 6, 7, 8];
    expect(some.rows).toBe(6);
    for (const [name, column] of batch.columns) {
      const picked = some.columns.get(name)!;
      if (column.kind === "counted" || picked.kind === "counted") {
        throw new Error("has values");
      }
      expect([...picked.values]).toEqual(places.map((row) => column.values[row]));
      const isNull = (bits: Uint8Array | undefined, row: number) => {
        return ((bits?.[row >>> 3] ?? 0) >>> (row & 7)) & 1;
      };
      const nulls = places.map((row) => isNull(column.nulls, row));
      expect(places.map((_, row) => isNull(picked.nulls, row))).toEqual(nulls);
    }
    expect([...some.statuses[0]!.statuses]).toEqual(
      places.map((row) => batch.statuses[0]!.statuses[row]),
    );
  });
});
