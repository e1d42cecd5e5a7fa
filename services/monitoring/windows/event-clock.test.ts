import { describe, expect, it } from "vitest";
import { clockAt, firstLength, windowAt, withLength } from "./event-clock.ts";

const MINUTE = 60_000_000;
const HOUR = 60 * MINUTE;

describe("event-clock", () => {
  it("goes on with the time that passes, from the newest event", () => {
    const newest = { newestEventUs: 5_000_000, newestSeenMs: 1000 };
    expect(clockAt(newest, 1000)).toBe(5_000_000);
    expect(clockAt(newest, 3500)).toBe(7_500_000);
    // A server whose clock is set back does not open windows again.
    expect(clockAt(newest, 0)).toBe(5_000_000);
  });

  it.each([
    [0, 0],
    [1, 0],
    [HOUR - 1, 0],
    [HOUR, HOUR],
    [-1, -HOUR],
    [-HOUR, -HOUR],
    [1_767_225_600_000_000 + 5, 1_767_225_600_000_000],
  ])("begins windows at multiples of their length since 1970 (%i)", (time, startUs) => {
    expect(windowAt(firstLength(HOUR), time)).toEqual({ startUs, endUs: startUs + HOUR });
  });

  it("cuts the window short in which shorter ones begin", () => {
    const lengths = withLength(firstLength(HOUR), MINUTE, 10 * MINUTE + 3);
    expect(windowAt(lengths, 11 * MINUTE - 1)).toEqual({ startUs: 0, endUs: 11 * MINUTE });
    expect(windowAt(lengths, 11 * MINUTE)).toEqual({ startUs: 11 * MINUTE, endUs: 12 * MINUTE });
    expect(windowAt(lengths, -1)).toEqual({ startUs: -HOUR, endUs: 0 });
  });

  it("waits with longer windows for one of their starts", () => {
    const lengths = withLength(firstLength(MINUTE), HOUR, 10 * MINUTE);
    expect(windowAt(lengths, HOUR - 1)).toEqual({ startUs: 59 * MINUTE, endUs: HOUR });
    expect(windowAt(lengths, HOUR)).toEqual({ startUs: HOUR, endUs: 2 * HOUR });
  });

  it("replaces or drops a change that has not begun to count", () => {
    const first = firstLength(MINUTE);
    const pending = withLength(first, HOUR, 10 * MINUTE);
    expect(withLength(pending, MINUTE, 11 * MINUTE)).toEqual(first);
    const other = withLength(pending, 5 * MINUTE, 11 * MINUTE);
    expect(other).toEqual([first[0], { fromUs: 15 * MINUTE, lengthUs: 5 * MINUTE }]);
  });

  it("forgets changes of long ago, and never has a time without a window", () => {
    let lengths = firstLength(MINUTE);
    for (let change = 1; change <= 20; change++) {
      lengths = withLength(lengths, change % 2 === 0 ? MINUTE : 2 * MINUTE, change * HOUR);
    }
    expect(lengths).toHaveLength(8);
    for (const time of [-HOUR, 0, 13 * HOUR, 20 * HOUR + MINUTE, 1e15]) {
      const { startUs, endUs } = windowAt(lengths, time);
      expect(startUs <= time && time < endUs).toBe(true);
    }
  });
});
