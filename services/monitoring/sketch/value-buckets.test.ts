import { describe, expect, it } from "vitest";
import { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { DRAWS, seeded, shuffled } from "./testing.ts";
import {
  addToBuckets,
  type BucketLayout,
  bucketError,
  bucketsAreValues,
  listBuckets,
  mergeBucketsInto,
  newValueBuckets,
  readBuckets,
  type ValueBuckets,
  writeBuckets,
} from "./value-buckets.ts";

const RELATIVE: BucketLayout = { center: 0, scale: 0, bucketsMax: 768 };

function bucketsOf(values: readonly number[], layout: BucketLayout): ValueBuckets {
  const buckets = newValueBuckets(layout);
  addToBuckets(buckets, Float64Array.from(values), values.length);
  return buckets;
}

function bytesOf(buckets: ValueBuckets): Uint8Array {
  const writer = new SketchWriter();
  writeBuckets(writer, buckets);
  return writer.finish();
}

function drawn(name: string, count: number, seed: number): number[] {
  const random = seeded(seed);
  return Array.from({ length: count }, () => DRAWS[name]!(random)).filter(Number.isFinite);
}

describe("value-buckets", () => {
  it("keeps few different values one by one", () => {
    const buckets = bucketsOf([3, -2, 3, 0, 1999, 2 ** 39 + 1], RELATIVE);
    expect(bucketsAreValues(buckets)).toBe(true);
    expect(listBuckets(buckets).map(({ value, count }) => [value, count])).toEqual([
      [-2, 1],
      [0, 1],
      [3, 2],
      [1999, 1],
      [2 ** 39 + 1, 1],
    ]);
    const centered = bucketsOf([1990, 2001, 2024], { center: 2000, scale: 8, bucketsMax: 16 });
    expect(listBuckets(centered).map(({ value }) => value)).toEqual([1990, 2001, 2024]);
  });

  it("is 1 % exact over twelve octaves, and says so", () => {
    const values = Array.from({ length: 5000 }, (_, i) => 2 ** (1 + (11.5 * i) / 5000));
    const buckets = bucketsOf(values, RELATIVE);
    expect(bucketError(buckets)).toBeCloseTo(1 / 129, 12);
    let rank = 0;
    for (const { value, count } of listBuckets(buckets)) {
      for (const exact of values.slice(rank, rank + count)) {
        expect(Math.abs(value - exact)).toBeLessThanOrEqual((exact / 129) * (1 + 1e-12));
      }
      rank += count;
    }
    expect(rank).toBe(5000);
  });

  for (const name of Object.keys(DRAWS).filter((name) => name !== "onlyNaN")) {
    const layouts = [RELATIVE, { center: 3, scale: 0.5, bucketsMax: 64 }];
    it(`holds its error, its bound and the merge laws on ${name}`, () => {
      for (const layout of layouts) {
        const values = drawn(name, 3000, 5).sort((a, b) => a - b);
        const whole = bucketsOf(values, layout);
        expect(whole.size).toBeLessThanOrEqual(layout.bucketsMax);
        let rank = 0;
        for (const { value, count } of listBuckets(whole)) {
          for (const exact of values.slice(rank, rank + count)) {
            const spread = Math.abs(exact - layout.center) + layout.scale;
            // Below 2^-1022 doubles have fewer bits; a bucket there is at most as wide as that.
            const allowed = bucketError(whole) * spread * (1 + 1e-9) + 2 ** -1000;
            expect(Math.abs(value - exact)).toBeLessThanOrEqual(allowed);
          }
          rank += count;
        }
        const random = seeded(6);
        const parts: number[][] = [[], [], [], [], []];
        for (const value of shuffled(random, values)) {
          parts[Math.floor(random() * 5)]!.push(value);
        }
        const merged = newValueBuckets(layout);
        for (const part of parts) {
          mergeBucketsInto(merged, bucketsOf(part, layout));
        }
        expect(bytesOf(merged)).toEqual(bytesOf(whole));
        const read = readBuckets(new SketchReader(bytesOf(whole)), layout, values.length);
        expect(listBuckets(read)).toEqual(listBuckets(whole));
      }
    });
  }

  it("gives up precision, not the bound, over all doubles", () => {
    const buckets = bucketsOf(drawn("anyBits", 20_000, 7), RELATIVE);
    expect(buckets.size).toBeLessThanOrEqual(768);
    expect(bucketError(buckets)).toBeLessThan(1);
    expect(bucketError(buckets)).toBeGreaterThan(0.9);
  });
});
