import { describe, expect, it } from "vitest";
import { durationOf } from "./duration.ts";

describe("duration", () => {
  it("keeps milliseconds and their fractions to the nanosecond", () => {
    const cases: [number, bigint, number][] = [
      [0, 0n, 0],
      [3.43113700000049, 0n, 3_431_137],
      [1500, 1n, 500_000_000],
      [0.1, 0n, 100_000],
      [999.9999999, 1n, 0],
      [-1500, -1n, -500_000_000],
    ];
    for (const [ms, seconds, nanos] of cases) {
      expect(durationOf(ms)).toMatchObject({ seconds, nanos });
    }
  });
});
