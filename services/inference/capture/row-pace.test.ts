import { describe, expect, it, onTestFinished } from "vitest";
import { RowPace } from "./row-pace.ts";

/** Ten rows a slice. */
const ROWS_RATE = 200;
const SLICE_MS = 50;

/** A pace, and what runs after each of its slices has begun: timers of one length keep their order. */
function usePace() {
  const pace = new RowPace(ROWS_RATE);
  const begin = (slices: number, inSlice: (slice: number) => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    pace.start();
    let slice = 0;
    const timer = setInterval(() => {
      inSlice(++slice);
      if (slice === slices) {
        resolve();
      }
    }, SLICE_MS);
    onTestFinished(() => {
      clearInterval(timer);
      pace[Symbol.dispose]();
    });
    return promise;
  };
  return { pace, begin };
}

/** How many rows the pace lets through, one by one. */
function rowsLeft(pace: RowPace): number {
  let rows = 0;
  while (rows < 1000 && pace.take(1)) {
    rows += 1;
  }
  return rows;
}

describe("row-pace", () => {
  it("lets through as many rows in each slice, and one slice before it begins", async () => {
    const { pace, begin } = usePace();
    expect(rowsLeft(pace)).toBe(10);
    const rows: number[] = [];
    await begin(3, () => rows.push(rowsLeft(pace)));
    expect(rows).toEqual([10, 10, 10]);
  });

  it("takes off the next slices what one inference had too many", async () => {
    const { pace, begin } = usePace();
    expect(pace.take(25)).toBe(true);
    const rows: number[] = [];
    await begin(4, () => rows.push(rowsLeft(pace)));
    expect(rows).toEqual([0, 5, 10, 10]);
  });

  it("does not carry over what a quiet slice leaves", async () => {
    const { pace, begin } = usePace();
    const rows: number[] = [];
    await begin(4, (slice) => {
      if (slice === 4) {
        rows.push(rowsLeft(pace));
      }
    });
    expect(rows).toEqual([10]);
  });
});
