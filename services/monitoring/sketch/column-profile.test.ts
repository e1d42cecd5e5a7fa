import { describe, expect, it } from "vitest";
import { DomainError } from "../../common/errors/domain-error.ts";
import { draftLayout, type NumericColumn } from "./column-layout.ts";
import { chooseLayout, decodeProfile, encodeProfile, profileOfDraft } from "./column-profile.ts";
import {
  countsOn,
  finiteCount,
  type NumericSketch,
  quantileError,
  quantilesOf,
} from "./numeric-sketch.ts";
import { fineHistogram, widthHistogram } from "./read-histogram.ts";
import { COLUMNS, DRAWS, drawBatch, mergeInAnyOrder, seeded, sketchOf } from "./testing.ts";
import {
  columnOf,
  encodeWindow,
  layoutIdOf,
  sealed,
  unsealed,
  type WindowSketch,
} from "./window-sketch.ts";

const random = seeded(61);
const batches = Array.from({ length: 10 }, () => drawBatch(random, 1000));
const draft = sketchOf(draftLayout(COLUMNS), batches);
const profile = profileOfDraft(draft);

function numeric(
  window: WindowSketch,
  name: string,
): { column: NumericColumn; sketch: NumericSketch } {
  const column = window.layout.columns.find((each) => each.name === name) as NumericColumn;
  const sketch = columnOf(window, name) as { readonly numbers: NumericSketch };
  return { column, sketch: sketch.numbers };
}

describe("column-profile", () => {
  it("is the same from drafts merged in any order", () => {
    const parts = batches.map((batch) => sketchOf(draftLayout(COLUMNS), [batch]));
    const merged = profileOfDraft(mergeInAnyOrder(seeded(62), parts));
    expect(encodeProfile(merged)).toEqual(encodeProfile(profile));
    expect(merged.layout.id).toBe(profile.layout.id);
  });

  it("counts in one pass exactly what a second pass over the rows counts", () => {
    const again = sketchOf(profile.layout, batches);
    for (const [place, column] of again.columns.entries()) {
      const once = profile.baseline.columns[place]!;
      if ("numbers" in column && "numbers" in once) {
        const { layout: _a, buckets: _b, moments: _m, ...counted } = column.numbers;
        expect(once.numbers, COLUMNS[place]!.name).toMatchObject(counted);
      } else {
        expect(once).toEqual(column);
      }
    }
  });

  it("has equal shares between share edges, and min to max between width edges", () => {
    for (const name of ["normal", "logNormal", "farFromZero", "times"]) {
      const { column, sketch } = numeric(profile.baseline, name);
      const n = finiteCount(sketch);
      const shares = countsOn(sketch, column.shareEdges);
      expect(shares.length).toBe(10);
      for (const share of shares) {
        expect(share / n, name).toBeCloseTo(0.1, 2);
      }
      const histogram = widthHistogram(column, sketch)!;
      expect(histogram.edges[0]).toBe(sketch.min);
      expect(histogram.edges.at(-1)).toBe(sketch.max);
      expect([histogram.below, histogram.above]).toEqual([0, 0]);
      expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(n);
    }
  });

  it("gives each of few values a bin of its own, and a constant one too", () => {
    const hours = draftLayout([{ name: "hours", kind: "numeric" }]);
    const values = Float64Array.from({ length: 600 }, (_, i) => [0, 6, 18][i % 3]!);
    const columns = new Map([["hours", { kind: "numeric", values } as const]]);
    const made = profileOfDraft(sketchOf(hours, [{ rows: 600, columns }]));
    const { column, sketch } = numeric(made.baseline, "hours");
    const histogram = widthHistogram(column, sketch)!;
    expect([...histogram.edges].map((edge) => Math.round(edge))).toEqual([0, 6, 18, 18]);
    expect([...histogram.counts]).toEqual([200, 200, 200]);
    expect(histogram.distinct).toBe(3);
    const constant = numeric(profile.baseline, "constant");
    expect(countsOn(constant.sketch, constant.column.shareEdges)).toEqual([
      0,
      finiteCount(constant.sketch),
      0,
    ]);
    expect(widthHistogram(constant.column, constant.sketch)!.counts.length).toBe(1);
  });

  it("puts exact edges where numpy puts them when rows are read twice", () => {
    const layout = chooseLayout(draft, { edges: "exact" });
    const { column, sketch } = numeric(sketchOf(layout, batches), "normal");
    const bins = Math.ceil(Math.log2(finiteCount(sketch)) + 1);
    expect(column.widthEdges.length).toBe(bins + 1);
    const width = (sketch.max - sketch.min) / bins;
    expect(column.widthEdges[3]).toBeCloseTo(sketch.min + 3 * width, 12);
  });

  it("has quantiles within 1 % of the spread, and a fine histogram that ascends", () => {
    for (const name of Object.keys(DRAWS)) {
      const { sketch } = numeric(sketchOf(profile.layout, batches), name);
      const fine = fineHistogram(sketch);
      if (finiteCount(sketch) > 0) {
        expect(fine!.edges.every((edge, i) => i === 0 || edge > fine!.edges[i - 1]!)).toBe(true);
        expect(fine!.counts.reduce((sum, count) => sum + count, 0)).toBe(fine!.n);
        expect(fine!.counts.length).toBe(fine!.edges.length - 1);
      } else {
        expect(fine).toBe(undefined);
        expect(quantilesOf(sketch, [0.5])).toEqual([Number.NaN]);
      }
      if (name !== "anyBits" && name !== "wild") {
        expect(quantileError(sketch), name).toBeLessThan(0.01);
      }
    }
  });

  it("chooses the frequent categories, most frequent first", () => {
    const few = profile.layout.columns.find(({ name }) => name === "few")!;
    const vocabulary = "layout" in few && "vocabulary" in few.layout ? few.layout.vocabulary : [];
    expect(vocabulary.length).toBe(8);
    expect(vocabulary[0]).toBe("kind 0");
    const many = columnOf(profile.baseline, "many");
    expect(many).toMatchObject({ categories: { rows: 10_000 } });
    expect("categories" in many! && many.categories.unseen).toBeGreaterThan(0);
  });

  it("survives its bytes, and tells damaged ones", () => {
    const bytes = encodeProfile(profile);
    const read = decodeProfile(bytes);
    expect(read.layout.id).toBe(profile.layout.id);
    expect(encodeProfile(read)).toEqual(bytes);
    expect(layoutIdOf(encodeWindow(read.baseline))).toBe(read.layout.id);
    expect(encodeWindow(read.baseline)).toEqual(encodeWindow(profile.baseline));
    for (let at = 0; at < bytes.length; at += 97) {
      const damagedBytes = bytes.slice();
      damagedBytes[at]! ^= 0x10;
      expect(() => decodeProfile(damagedBytes)).toThrow("damaged");
    }
    expect(() => decodeProfile(bytes.subarray(0, 2))).toThrow("damaged");
  });

  it("bounds what bytes with a right checksum can do", () => {
    const body = unsealed(encodeProfile(profile));
    const drawn = seeded(63);
    const seen = new Set<string>();
    for (let round = 0; round < 1000; round++) {
      const hostile = body.slice(0, drawn() < 0.2 ? body.length * drawn() : body.length);
      // Most of the bytes are the inner window, whose checksum tells it: aim at the layout too.
      const reach = drawn() < 0.8 ? Math.min(6000, hostile.length) : hostile.length;
      hostile[Math.floor(reach * drawn())] = Math.floor(256 * drawn());
      try {
        decodeProfile(sealed(hostile));
        seen.add("none");
      } catch (error) {
        seen.add(error instanceof DomainError ? error.kind : `not ours: ${error}`);
      }
    }
    expect([...seen].sort()).toEqual(["DataLoss", "none"]);
  });

  it("refuses layouts that repeat a column or have too many", () => {
    const column = { name: "a", kind: "counted" } as const;
    expect(() => draftLayout([column, column])).toThrow("has a column twice");
    const wide = Array.from({ length: 10_000 }, (_, i) => ({ ...column, name: `c${i}` }));
    expect(() => draftLayout(wide)).toThrow("10000 columns; at most 2000");
  });
});
