// Which columns the windows of a model version have and on which edges and categories each is
// counted. A layout comes from a baseline and names itself by a digest of its content: sketches
// of equal ids were counted alike, so they merge and compare; others are refused.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { nextUp } from "../next-up.ts";
import { CATEGORY_BYTES_MAX, isCategoryKey } from "./category-key.ts";
import {
  type CategoryLayout,
  categoryLayout,
  KEPT_MAX,
  VOCABULARY_MAX,
} from "./category-sketch.ts";
import { COLUMN_KINDS, type ColumnKind } from "./column-batch.ts";
import { checkNumericLayout, EDGES_MAX, type NumericLayout } from "./numeric-sketch.ts";
import { type SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";

/** Of a model version; the widest report asked for has 1,000. */
export const COLUMNS_MAX = 2000;
/** Of a column's name in UTF-8. */
const NAME_BYTES_MAX = 512;

/** Buckets of a window's numeric column: 64 an octave over twelve octaves. */
export const WINDOW_BUCKETS_MAX = 768;
/** Of a draft, whose scale is not known yet: 64 an octave over 64 octaves. */
export const DRAFT_BUCKETS_MAX = 4096;
const BUCKETS_MIN = 16;
/** Unseen categories of a window that are kept by name. */
export const WINDOW_KEPT_MAX = 32;
/** 512 registers: 4.6 % standard error in 257 bytes; and 4,096: 1.6 %. */
export const WINDOW_PRECISION = 9;
export const DRAFT_PRECISION = 12;

export interface NumericColumn {
  readonly name: string;
  readonly kind: "numeric" | "timestamp";
  readonly layout: NumericLayout;
  /**
   * Inner edges of about equal shares of the baseline's rows, ascending; the outer bins are open.
   */
  readonly shareEdges: readonly number[];
  /**
   * Edges of about equal width, from the baseline's minimum to its maximum; the last bin has both
   * its edges, as in numpy's histograms. Empty, or at least two.
   */
  readonly widthEdges: readonly number[];
}

export interface CategoryColumn {
  readonly name: string;
  readonly kind: "bool" | "category";
  readonly layout: CategoryLayout;
}

export interface CountedColumn {
  readonly name: string;
  readonly kind: "counted";
}

export type ColumnLayout = NumericColumn | CategoryColumn | CountedColumn;

export interface WindowLayout {
  /** Hexadecimal digest of all below. */
  readonly id: string;
  readonly columns: readonly ColumnLayout[];
  /** From a column's name to its place. */
  readonly places: ReadonlyMap<string, number>;
}

/** @throws InvalidArgument where there are too many columns, or names repeat or are too long. */
export function windowLayout(columns: readonly ColumnLayout[]): WindowLayout {
  const places = new Map(columns.map(({ name }, place) => [name, place]));
  if (columns.length > COLUMNS_MAX) {
    throw refused(`has ${columns.length} columns; at most ${COLUMNS_MAX} are watched`);
  }
  if (places.size < columns.length) {
    throw refused("has a column twice");
  }
  const long = columns.find(({ name }) => Buffer.byteLength(name) > NAME_BYTES_MAX);
  if (long !== undefined || columns.some(({ name }) => !name.isWellFormed())) {
    throw refused(`has a column whose name is no text of at most ${NAME_BYTES_MAX} bytes`);
  }
  const writer = new SketchWriter();
  writeColumns(writer, columns);
  const id = createHash("sha256").update(writer.finish()).digest("hex").slice(0, 32);
  return { id, columns, places };
}

/**
 * Where no baseline is known yet: no edges, no vocabulary, and wide limits, so that a baseline's
 * layout can be made from what was counted.
 */
export function draftLayout(
  columns: readonly { readonly name: string; readonly kind: ColumnKind }[],
): WindowLayout {
  return windowLayout(columns.map(draftColumn));
}

/** @throws InvalidArgument where edges are not ascending or together too many. */
export function numericColumn(
  column: Omit<NumericColumn, "layout">,
  place: Omit<NumericLayout, "edges">,
): NumericColumn {
  const layout = { ...place, edges: edgesOf(column) };
  checkNumericLayout(layout);
  checkNumericLayout({ ...place, edges: Float64Array.from(column.shareEdges) });
  checkNumericLayout({ ...place, edges: Float64Array.from(column.widthEdges) });
  return { ...column, layout };
}

/** What bins of layout.edges must end at so that both histograms are sums of them. */
export function closing(widthEdges: readonly number[]): readonly number[] {
  return widthEdges.map((edge, i) => (i === widthEdges.length - 1 ? nextUp(edge) : edge));
}

/** "false" and "true". */
export function boolLayout(): CategoryLayout {
  return categoryLayout(["false", "true"], { keptMax: 1, precision: WINDOW_PRECISION });
}

export function writeColumns(writer: SketchWriter, columns: readonly ColumnLayout[]): void {
  writer.varint(columns.length);
  for (const column of columns) {
    writer.text(column.name);
    writer.byte(COLUMN_KINDS.indexOf(column.kind));
    switch (column.kind) {
      case "numeric":
      case "timestamp":
        writer.double(column.layout.center);
        writer.double(column.layout.scale);
        writer.varint(column.layout.bucketsMax);
        writeEdges(writer, column.shareEdges);
        writeEdges(writer, column.widthEdges);
        break;
      case "category":
        writer.varint(column.layout.keptMax);
        writer.byte(column.layout.precision);
        writer.varint(column.layout.vocabulary.length);
        for (const key of column.layout.vocabulary) {
          writer.text(key);
        }
        break;
      case "bool":
      case "counted":
        break;
    }
  }
}

/** @throws DataLoss */
export function readColumns(reader: SketchReader): ColumnLayout[] {
  const length = reader.varint(COLUMNS_MAX, "a number of columns");
  return Array.from({ length }, () => readColumn(reader));
}

function draftColumn(column: { readonly name: string; readonly kind: ColumnKind }): ColumnLayout {
  const { name, kind } = column;
  switch (kind) {
    case "numeric":
    case "timestamp":
      return numericColumn(
        { name, kind, shareEdges: [], widthEdges: [] },
        { center: 0, scale: 0, bucketsMax: DRAFT_BUCKETS_MAX },
      );
    case "bool":
      return { name, kind, layout: boolLayout() };
    case "category": {
      const limits = { keptMax: KEPT_MAX, precision: DRAFT_PRECISION };
      return { name, kind, layout: categoryLayout([], limits) };
    }
    case "counted":
      return { name, kind };
  }
}

function readColumn(reader: SketchReader): ColumnLayout {
  const name = reader.text(NAME_BYTES_MAX, "a column's name");
  const kind = COLUMN_KINDS[reader.byte()];
  if (kind === undefined) {
    throw damaged("a column is of no known kind");
  }
  switch (kind) {
    case "numeric":
    case "timestamp":
      return readNumericColumn(reader, { name, kind });
    case "bool":
      return { name, kind, layout: boolLayout() };
    case "category":
      return { name, kind, layout: readCategoryLayout(reader) };
    case "counted":
      return { name, kind };
  }
}

function readNumericColumn(
  reader: SketchReader,
  column: Pick<NumericColumn, "name" | "kind">,
): NumericColumn {
  const center = reader.finite("a center");
  const scale = reader.finite("a scale");
  const bucketsMax = reader.varint(DRAFT_BUCKETS_MAX, "a limit of buckets");
  if (scale < 0 || bucketsMax < BUCKETS_MIN) {
    throw damaged("a scale or a limit of buckets is too small");
  }
  const shareEdges = readEdges(reader);
  const widthEdges = readEdges(reader);
  const edges = edgesOf({ shareEdges, widthEdges });
  if (edges.length > EDGES_MAX || !edges.every(Number.isFinite) || widthEdges.length === 1) {
    throw damaged(`a histogram has more than ${EDGES_MAX} edges, one alone, or none above`);
  }
  return numericColumn({ ...column, shareEdges, widthEdges }, { center, scale, bucketsMax });
}

function readCategoryLayout(reader: SketchReader): CategoryLayout {
  const keptMax = reader.varint(KEPT_MAX, "a limit of unseen categories");
  const precision = reader.byte();
  if (keptMax < 1 || precision < 4 || precision > DRAFT_PRECISION) {
    throw damaged("the limits of a category column are outside of what is kept");
  }
  const length = reader.varint(VOCABULARY_MAX, "a number of categories");
  const vocabulary = Array.from({ length }, () => reader.text(CATEGORY_BYTES_MAX, "a category"));
  if (new Set(vocabulary).size < length || !vocabulary.every(isCategoryKey)) {
    throw damaged("a category is there twice or cut wrongly");
  }
  return categoryLayout(vocabulary, { keptMax, precision });
}

function edgesOf(column: Pick<NumericColumn, "shareEdges" | "widthEdges">): Float64Array {
  return Float64Array.from(new Set([...column.shareEdges, ...closing(column.widthEdges)])).sort();
}

function writeEdges(writer: SketchWriter, edges: readonly number[]): void {
  writer.varint(edges.length);
  for (const edge of edges) {
    writer.double(edge);
  }
}

function readEdges(reader: SketchReader): number[] {
  const length = reader.varint(EDGES_MAX, "a number of edges");
  const edges = Array.from({ length }, () => reader.finite("an edge"));
  if (edges.some((edge, i) => i > 0 && edge <= edges[i - 1]!)) {
    throw damaged("the edges of a histogram do not ascend");
  }
  return edges;
}

function refused(what: string): InvalidArgument {
  return new InvalidArgument(`The layout ${what}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "columns", description: what }],
  });
}
