import { describe, expect, it } from "vitest";
import { readCategories, writeCategories } from "./category-codec.ts";
import { categoryHash, categoryKey, isCategoryKey } from "./category-key.ts";
import {
  addBools,
  addTexts,
  type CategorySketch,
  categoryLayout,
  copyCategory,
  distinctCategories,
  mergeCategoryInto,
  newCategorySketch,
  unseenCategories,
} from "./category-sketch.ts";
import { addHash, estimateDistinct, foldRegisters, newRegisters } from "./distinct-count.ts";
import { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { seeded, shuffled } from "./testing.ts";

const limits = { keptMax: 32, precision: 9 };
const layout = categoryLayout(["red", "green"], limits);

describe("category-sketch", () => {
  it("counts known, unseen and missing categories exactly", () => {
    const sketch = newCategorySketch(layout);
    addTexts(sketch, ["red", "blue", "red", "", "blue", "red"], Uint8Array.of(0b100000));
    expect(sketch).toMatchObject({ rows: 6, nulls: 1, mistyped: 0, unseen: 3 });
    expect([...sketch.counts]).toEqual([2, 0]);
    expect(unseenCategories(sketch).map(({ key, count }) => [key, count])).toEqual([
      ["blue", 2],
      ["", 1],
    ]);
    expect(distinctCategories(sketch)).toEqual({ count: 3, exact: true });
  });

  it("keeps exact counts of those with the smallest hashes, in any order and grouping", () => {
    const random = seeded(11);
    const rows = Array.from({ length: 4000 }, () => `item ${Math.floor(500 * random() ** 2)}`);
    const counts = Map.groupBy(rows, (key) => key);
    const smallest = [...counts.keys()]
      .sort((a, b) => categoryHash(a) - categoryHash(b))
      .slice(0, 32);
    const whole = newCategorySketch(layout);
    addTexts(whole, rows, undefined);
    expect(whole.kept.map(({ key, count }) => [key, count])).toEqual(
      smallest.map((key) => [key, counts.get(key)!.length]),
    );
    for (let round = 0; round < 20; round++) {
      const parts: string[][] = [[], [], [], []];
      for (const row of shuffled(random, rows)) {
        parts[Math.floor(random() * 4)]!.push(row);
      }
      const sketches = parts.map((part) => {
        const sketch = newCategorySketch(layout);
        addTexts(sketch, part, undefined);
        return sketch;
      });
      const [first, ...rest] = shuffled(random, sketches);
      const merged = copyCategory(first!);
      for (const sketch of rest) {
        mergeCategoryInto(merged, sketch);
      }
      expect(merged).toEqual(whole);
    }
  });

  it("knows how many differ when only the merge has more than it keeps", () => {
    const keys = Array.from({ length: 60 }, (_, i) => `${i}`);
    const [a, b, whole] = [keys.slice(0, 30), keys.slice(30), keys].map((part) => {
      const sketch = newCategorySketch(layout);
      addTexts(sketch, ["green", ...part], undefined);
      return sketch;
    });
    expect(distinctCategories(a!)).toEqual({ count: 31, exact: true });
    mergeCategoryInto(a!, b!);
    expect(a!.registers).toEqual(whole!.registers);
    expect(Math.abs(distinctCategories(a!).count - 61)).toBeLessThan(61 * 3 * 0.046);
  });

  it("refuses bytes whose parts contradict each other", () => {
    const written = (change: Partial<CategorySketch>) => {
      const sketch = newCategorySketch(layout);
      addTexts(sketch, ["red", "blue", "grey"], undefined);
      const writer = new SketchWriter();
      writeCategories(writer, Object.assign(sketch, change));
      return new SketchReader(writer.finish());
    };
    expect(readCategories(written({}), layout).unseen).toBe(2);
    expect(() => readCategories(written({ rows: 4 }), layout)).toThrow("count 3 of 4 rows");
    expect(() => readCategories(written({ rows: 4, unseen: 3 }), layout)).toThrow(
      "unseen categories count 2 of 3 rows",
    );
    const red = { key: "red", hash: categoryHash("red"), count: 2 };
    expect(() => readCategories(written({ kept: [red] }), layout)).toThrow("known");
  });

  it("is small and right about a stream of ever new categories", () => {
    const sketch = newCategorySketch(layout);
    for (let i = 0; i < 200; i++) {
      addTexts(
        sketch,
        Array.from({ length: 1000 }, (_, j) => `user ${i * 1000 + j}`),
        undefined,
      );
    }
    expect(sketch.kept.length).toBe(32);
    expect(sketch.byKey.size).toBe(32);
    expect(sketch.unseen).toBe(200_000);
    const { count, exact } = distinctCategories(sketch);
    expect(exact).toBe(false);
    expect(Math.abs(count / 200_000 - 1)).toBeLessThan(3 * 0.046);
  });

  it("cuts long categories, so that different ones stay different", () => {
    const long = "x".repeat(1_000_000);
    const sketch = newCategorySketch(layout);
    addTexts(sketch, [long, `${long}y`, long], undefined);
    const kept = unseenCategories(sketch);
    expect(kept.map(({ count }) => count)).toEqual([2, 1]);
    expect(kept.map(({ key }) => key.length)).toEqual([64, 64]);
    expect(kept.every(({ key }) => isCategoryKey(key))).toBe(true);
    // What is cut cannot be sent in place of the whole.
    expect(categoryKey(kept[0]!.key)).not.toBe(kept[0]!.key);
  });

  it("treats half a surrogate pair as UTF-8 does", () => {
    expect(categoryKey("a\ud800")).toBe("a\ufffd");
    expect(isCategoryKey(categoryKey(`${"x".repeat(46)}😀${"y".repeat(40)}`))).toBe(true);
  });

  it("counts booleans, and merges only equal vocabularies", () => {
    const bools = newCategorySketch(categoryLayout(["false", "true"], limits));
    addBools(bools, Uint8Array.of(0, 1, 1, 7), Uint8Array.of(0b0010));
    expect([bools.rows, bools.nulls, ...bools.counts]).toEqual([4, 1, 1, 2]);
    expect(() => mergeCategoryInto(bools, newCategorySketch(layout))).toThrow(
      "made for different baselines",
    );
    expect(() => categoryLayout(["a", "a"], limits)).toThrow("of which 1 differ");
  });
});

describe("distinct-count", () => {
  it("estimates within three standard errors, also after folding", () => {
    for (const size of [1, 20, 300, 5000, 100_000]) {
      const fine = newRegisters(12);
      const coarse = newRegisters(9);
      for (let i = 0; i < size; i++) {
        const hash = categoryHash(`${size}/${i}`);
        addHash(fine, hash);
        addHash(coarse, hash);
      }
      expect(Math.abs(estimateDistinct(fine) / size - 1)).toBeLessThan(3 * 0.01625);
      expect(Math.abs(estimateDistinct(coarse) / size - 1)).toBeLessThan(3 * 0.046);
      expect(foldRegisters(fine, 9)).toEqual(coarse);
    }
    const [fine, coarse] = [newRegisters(12), newRegisters(9)];
    for (const rare of [0, 511, 512, 1024, 2048, 4095, 4096, 2 ** 52]) {
      addHash(fine, rare);
      addHash(coarse, rare);
    }
    expect(foldRegisters(fine, 9)).toEqual(coarse);
    expect(estimateDistinct(newRegisters(9))).toBe(0);
  });
});
