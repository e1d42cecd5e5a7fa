// Cuts rows into segments: by category, or by ranges of a number between the baseline's quartiles.
// Rows without a value are in no segment.

import { quantilesOf } from "../sketch/numeric-sketch.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import { NONE, type NumberColumn, type TextColumn } from "./chunk-rows.ts";

/** Categories of a column that are segments: those with the most rows. */
const CATEGORIES_MAX = 50;
const QUARTILES = [0.25, 0.5, 0.75] as const;
/** Edges are rounded, so that a range is what its text says. */
const EDGE_DIGITS = 6;

/** Some rows of a report. */
export interface Segment {
  readonly column: string;
  /** The category, or "[1.5, 3)". */
  readonly segment: string;
  /** Ascending. */
  readonly rows: Uint32Array;
}

/** Where numbers of a column are cut; undefined where the baseline does not know it as numbers. */
export function quartileEdges(
  baseline: WindowSketch | undefined,
  column: string,
): readonly number[] | undefined {
  const place = baseline?.layout.places.get(column);
  const sketch = place === undefined ? undefined : baseline?.columns[place];
  if (sketch === undefined || !("numbers" in sketch)) {
    return undefined;
  }
  const edges = quantilesOf(sketch.numbers, QUARTILES)
    .filter(Number.isFinite)
    .map((edge) => Number(edge.toPrecision(EDGE_DIGITS)));
  return edges.length === 0 ? undefined : [...new Set(edges)];
}

/** The segments of a column; `edges` only matter to numbers, which have none without. */
export function segmentsOf(
  column: TextColumn | NumberColumn,
  edges: readonly number[] | undefined,
): Segment[] {
  if (column.kind === "texts") {
    return byCategory(column);
  }
  return edges === undefined ? [] : byRange(column, edges);
}

function byCategory({ name, texts, codes }: TextColumn): Segment[] {
  const counts = new Float64Array(texts.length);
  for (const code of codes) {
    if (code !== NONE) {
      counts[code]! += 1;
    }
  }
  return [...texts.entries()]
    .filter(([code]) => counts[code]! > 0)
    .sort(([a, first], [b, second]) => counts[b]! - counts[a]! || (first < second ? -1 : 1))
    .slice(0, CATEGORIES_MAX)
    .map(([code, segment]) => {
      const rows = gather(codes.length, counts[code]!, (row) => codes[row] === code);
      return { column: name, segment, rows };
    });
}

function byRange({ name, values }: NumberColumn, edges: readonly number[]): Segment[] {
  const ends = [...edges, Number.POSITIVE_INFINITY];
  return ends.flatMap((end, at) => {
    const start = at === 0 ? Number.NEGATIVE_INFINITY : edges[at - 1]!;
    const isLast = at === edges.length;
    const holds = (row: number) => {
      const value = values[row]!;
      return value >= start && (isLast ? value <= end : value < end);
    };
    const rows = gather(values.length, values.length, holds);
    const segment = `${at === 0 ? "(-inf" : `[${start}`}, ${isLast ? "inf" : end})`;
    return rows.length === 0 ? [] : [{ column: name, segment, rows }];
  });
}

function gather(count: number, most: number, holds: (row: number) => boolean): Uint32Array {
  const found = new Uint32Array(most);
  let kept = 0;
  for (let row = 0; row < count; row++) {
    if (holds(row)) {
      found[kept++] = row;
    }
  }
  return found.slice(0, kept);
}
