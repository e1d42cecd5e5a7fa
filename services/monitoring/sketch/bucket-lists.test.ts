import { describe, expect, it } from "vitest";
import { bitsTooMany, coarsenList } from "./bucket-lists.ts";
import { seeded } from "./testing.ts";

/** Ascending keys without repetition, of both signs, some close together. */
function drawKeys(seed: number, count: number): Float64Array {
  const random = seeded(seed);
  const keys = Array.from({ length: count }, () => {
    return Math.floor((random() - 0.3) * 2 ** Math.floor(51 * random()));
  });
  return Float64Array.from(new Set(keys)).sort();
}

/** Bit by bit. */
function bitsByTrying(keys: Float64Array, most: number): number {
  for (let bits = 0; ; bits++) {
    const list = { keys: keys.slice(), counts: new Float64Array(keys.length), size: keys.length };
    if (coarsenList(list, 2 ** bits).size <= most) {
      return bits;
    }
  }
}

describe("bitsTooMany", () => {
  it("is what dropping bit by bit comes to", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const keys = drawKeys(seed, 1 + 40 * seed);
      for (const most of [2, 3, 16, 64, 500]) {
        expect(bitsTooMany({ keys, size: keys.length }, most)).toBe(bitsByTrying(keys, most));
      }
    }
  });

  it("counts the first entries of a list alone", () => {
    const keys = Float64Array.of(-8, -7, 4, 5, 0, 0);
    expect(bitsTooMany({ keys, size: 4 }, 4)).toBe(0);
    expect(bitsTooMany({ keys, size: 4 }, 3)).toBe(1);
    expect(bitsTooMany({ keys, size: 4 }, 2)).toBe(1);
  });
});
