// About how much memory a decoded sketch takes, so that caches can be bounded by bytes.

import type { ColumnSketch, WindowSketch } from "../sketch/window-sketch.ts";

/** Objects around the arrays of a column. */
const COLUMN_BYTES = 600;
/** A kept category: its text, an object, an entry of a map. */
const CATEGORY_BYTES = 250;

/** Bytes of the arrays and about those of the objects around them. */
export function sketchMemory({ columns }: WindowSketch): number {
  let bytes = 0;
  for (const column of columns) {
    bytes += COLUMN_BYTES + arraysOf(column);
  }
  return bytes;
}

function arraysOf(column: ColumnSketch): number {
  switch (column.kind) {
    case "numeric":
    case "timestamp": {
      const { bins, moments, buckets } = column.numbers;
      const tables = buckets.keys.byteLength + buckets.counts.byteLength;
      return bins.byteLength + moments.sum.byteLength + moments.squares.byteLength + tables;
    }
    case "bool":
    case "category": {
      const { counts, kept, registers } = column.categories;
      return counts.byteLength + kept.length * CATEGORY_BYTES + (registers?.byteLength ?? 0);
    }
    case "counted":
      return 0;
  }
}
