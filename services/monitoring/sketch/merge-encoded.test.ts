import { describe, expect, it } from "vitest";
import { draftLayout } from "./column-layout.ts";
import { chooseLayout } from "./column-profile.ts";
import { COLUMNS, drawBatch, seeded, sketchOf } from "./testing.ts";
import {
  addRows,
  decodeWindow,
  encodeWindow,
  mergeEncodedInto,
  mergeWindows,
  newWindowSketch,
} from "./window-sketch.ts";

describe("merge-encoded", () => {
  it.each([1, 2, 3, 4])("is the merge of the decoded windows (seed %i)", (seed) => {
    const random = seeded(seed);
    const draft = draftLayout(COLUMNS);
    const layouts = [
      draft,
      chooseLayout(sketchOf(draft, [drawBatch(random, 700)]), { edges: "exact" }),
    ];
    for (const layout of layouts) {
      const sizes = [0, 1, 900, 0, 2500, 40];
      const batches = sizes.map((rows) => drawBatch(random, rows));
      const target = newWindowSketch(layout);
      for (const batch of batches) {
        mergeEncodedInto(target, encodeWindow(sketchOf(layout, [batch])));
      }
      const once = sketchOf(layout, batches);
      expect(encodeWindow(target)).toEqual(encodeWindow(once));
      // What was merged can be read, merged and added to as any other.
      const read = decodeWindow(encodeWindow(target), layout);
      const more = drawBatch(random, 300);
      addRows(read, more);
      addRows(target, more);
      addRows(once, more);
      expect(encodeWindow(read)).toEqual(encodeWindow(once));
      expect(encodeWindow(target)).toEqual(encodeWindow(once));
      expect(encodeWindow(mergeWindows(read, once))).toEqual(
        encodeWindow(mergeWindows(once, once)),
      );
    }
  });

  it("refuses damaged bytes, and works after that", () => {
    const layout = draftLayout(COLUMNS);
    const bytes = encodeWindow(sketchOf(layout, [drawBatch(seeded(7), 400)]));
    const broken = bytes.slice();
    broken[broken.length >> 1]! ^= 1;
    expect(() => mergeEncodedInto(newWindowSketch(layout), broken)).toThrow(/checksum/);
    const other = draftLayout(COLUMNS.slice(1));
    expect(() => mergeEncodedInto(newWindowSketch(other), bytes)).toThrow(/layout/);
    const target = newWindowSketch(layout);
    mergeEncodedInto(target, bytes);
    expect(encodeWindow(target)).toEqual(bytes);
  });
});
