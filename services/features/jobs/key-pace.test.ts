import { describe, expect, it } from "vitest";
import type { Clock } from "../../common/clock.ts";
import { KeyPace } from "./key-pace.ts";
import { keyOf, lastKeyOf, storedKey } from "./key-position.ts";

const signal = new AbortController().signal;

/** A clock that moves whenever somebody looks at it, by more now and then. */
function movingClock(stepMs: number): Clock {
  let ms = 0;
  let looks = 0;
  const monotonicMs = () => {
    looks += 1;
    ms += looks % 7 === 0 ? 5 * stepMs : stepMs;
    return ms;
  };
  return { now: monotonicMs, monotonicMs };
}

describe("KeyPace", () => {
  it.each([1, 7, 10, 95, 1000])("lets %d keys through in no second more", async (rate) => {
    const times: number[] = [];
    const clock = movingClock(410 / Math.min(rate, 10));
    let seen = 0;
    const pace = new KeyPace({ ...clock, monotonicMs: () => (seen = clock.monotonicMs()) }, rate);
    expect(pace.pieceKeys).toBe(Math.max(1, Math.floor(rate / 10)));
    for (let piece = 0; piece < 21; piece++) {
      await pace.turn(pace.pieceKeys, signal);
      times.push(seen);
    }
    for (const start of times) {
      const within = times.filter((time) => time >= start && time < start + 1000).length;
      expect(within * pace.pieceKeys).toBeLessThanOrEqual(rate);
    }
  });

  it("ends when the work is to stop", async () => {
    const stop = new AbortController();
    const pace = new KeyPace({ now: () => 0, monotonicMs: () => 0 }, 1);
    await pace.turn(1, stop.signal);
    const turn = pace.turn(1, stop.signal);
    stop.abort(new Error("stop"));
    await expect(turn).rejects.toThrow("stop");
  });
});

describe("key positions", () => {
  it("come back from a checkpoint as they were", () => {
    const key = ["é\0", 5, 2n ** 60n, -1];
    expect(keyOf(storedKey(key))).toEqual(key);
    expect(JSON.stringify(storedKey(key))).toContain("1152921504606846976");
    expect(keyOf(storedKey(undefined))).toBeUndefined();
    expect(keyOf(undefined)).toBeUndefined();
  });

  it("are those of the last row, in the order of the join keys", () => {
    const shape = {
      joinKeys: [
        { name: "a", type: "STRING" },
        { name: "b", type: "INT64" },
      ],
      features: [],
    } as const;
    const times = [1, 2];
    const keys = { b: [1, 2], a: ["x", "y"] };
    const batch = { rows: 2, keys, features: {}, eventUs: times, createdUs: times };
    expect(lastKeyOf(shape, batch)).toEqual(["y", 2]);
  });
});
