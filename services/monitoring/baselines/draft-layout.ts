// Layouts for rows that come before any baseline: wide enough to choose a baseline's layout from,
// and bounded, whatever columns and texts come.

import { categoryLayout, KEPT_MAX, VOCABULARY_MAX } from "../sketch/category-sketch.ts";
import type { ColumnKind } from "../sketch/column-batch.ts";
import {
  boolLayout,
  type ColumnLayout,
  DRAFT_BUCKETS_MAX,
  DRAFT_PRECISION,
  numericColumn,
  WINDOW_BUCKETS_MAX,
  WINDOW_PRECISION,
  type WindowLayout,
  windowLayout,
} from "../sketch/column-layout.ts";

/** Different texts of a column that is learned; of more a sample. The first 5,000 rows have few. */
const LEARNING_KEPT_MAX = 2048;
/** Texts kept while a file is read, all columns together: some 50 MB. */
const FILE_KEPT_MAX = 200_000;
const FILE_KEPT_MIN = VOCABULARY_MAX;

/** Asked for with every batch of a version without a baseline. */
const plain = new WeakMap<readonly KindedColumn[], WindowLayout>();

/** A column and how it is counted. */
export interface KindedColumn {
  readonly name: string;
  readonly kind: ColumnKind;
}

/**
 * For served rows from which a baseline is learned. A column has the same limits whatever others
 * there are, so that drafts of different columns can be merged.
 */
export function learningLayout(columns: readonly KindedColumn[]): WindowLayout {
  return draft(columns, {
    bucketsMax: DRAFT_BUCKETS_MAX,
    keptMax: LEARNING_KEPT_MAX,
    precision: DRAFT_PRECISION,
  });
}

/** For the first of two passes over a file. */
export function fileLayout(columns: readonly KindedColumn[]): WindowLayout {
  const texts = Math.max(columns.filter(({ kind }) => kind === "category").length, 1);
  return draft(columns, {
    bucketsMax: DRAFT_BUCKETS_MAX,
    keptMax: Math.min(Math.max(Math.floor(FILE_KEPT_MAX / texts), FILE_KEPT_MIN), KEPT_MAX),
    precision: DRAFT_PRECISION,
  });
}

/**
 * For windows that are compared with no baseline: no edges and no vocabulary, so that it follows
 * from names and kinds alone; the more categories are kept by name.
 */
export function plainLayout(columns: readonly KindedColumn[]): WindowLayout {
  let layout = plain.get(columns);
  if (layout === undefined) {
    layout = draft(columns, {
      bucketsMax: WINDOW_BUCKETS_MAX,
      keptMax: VOCABULARY_MAX,
      precision: WINDOW_PRECISION,
    });
    plain.set(columns, layout);
  }
  return layout;
}

interface Limits {
  readonly bucketsMax: number;
  readonly keptMax: number;
  readonly precision: number;
}

function draft(columns: readonly KindedColumn[], limits: Limits): WindowLayout {
  return windowLayout(columns.map((column) => draftColumn(column, limits)));
}

function draftColumn({ name, kind }: KindedColumn, limits: Limits): ColumnLayout {
  switch (kind) {
    case "numeric":
    case "timestamp":
      return numericColumn(
        { name, kind, shareEdges: [], widthEdges: [] },
        { center: 0, scale: 0, bucketsMax: limits.bucketsMax },
      );
    case "bool":
      return { name, kind, layout: boolLayout() };
    case "category":
      return { name, kind, layout: categoryLayout([], limits) };
    case "counted":
      return { name, kind };
  }
}
