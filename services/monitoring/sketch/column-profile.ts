// The baseline of a model version: how its columns looked in the data that it is measured
// against. It is a window sketch like any other, made on a layout chosen from that data: edges of
// equal shares and of equal width, the frequent categories, and center and scale of the quantile
// sketch. Raw rows are not needed again; rows of a later time can be merged in, since the layout
// stays.
//
// Made in one or two passes over batches:
//   draft = newWindowSketch(draftLayout(columns)); addRows(draft, ...); drafts of replicas merge.
//   one pass:   profile = profileOfDraft(draft)
//   two passes: layout = chooseLayout(draft, { edges: "exact" }), a newWindowSketch(layout) as
//               baseline, addRows(baseline, ...) again; profile = { layout, baseline }
// The second pass brings edges of equal width at their exact places, and the quantile error of
// the profile's own buckets alone. In one pass all edges lie on bounds of the draft's buckets, so
// every count of the histogram is still exact; only a quantile has the draft's error added.

import {
  addCategory,
  type CategorySketch,
  copyCategory,
  newCategorySketch,
} from "./category-sketch.ts";
import { chooseColumn, type EdgePlaces, lowestOf } from "./choose-layout.ts";
import {
  type ColumnLayout,
  readColumns,
  type WindowLayout,
  windowLayout,
  writeColumns,
} from "./column-layout.ts";
import { foldRegisters } from "./distinct-count.ts";
import { copyExact } from "./exact-moments.ts";
import { type NumericSketch, newNumericSketch } from "./numeric-sketch.ts";
import { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";
import { addBuckets, listBuckets } from "./value-buckets.ts";
import {
  type ColumnSketch,
  decodeWindow,
  encodeWindow,
  layoutIdOf,
  sealed,
  unsealed,
  type WindowSketch,
} from "./window-sketch.ts";

/** First byte of the bytes of a profile. */
const VERSION = 1;
/** Of an encoded profile: 2,000 columns with full vocabularies of long texts. */
const PROFILE_BYTES_MAX = 2 ** 28;

export interface BaselineProfile {
  /** Of the baseline and of all windows that are compared with it. */
  readonly layout: WindowLayout;
  readonly baseline: WindowSketch;
}

/** The layout for all windows, from what the draft has counted. */
export function chooseLayout(
  draft: WindowSketch,
  options: { readonly edges: EdgePlaces },
): WindowLayout {
  return windowLayout(
    draft.layout.columns.map((column, place) => {
      return chooseColumn(column, draft.columns[place]!, options.edges);
    }),
  );
}

/** The profile in one pass. Equal drafts give equal profiles. */
export function profileOfDraft(draft: WindowSketch): BaselineProfile {
  const layout = chooseLayout(draft, { edges: "on-buckets" });
  const columns = layout.columns.map((column, place) => transfer(draft.columns[place]!, column));
  const { rows, strayValues } = draft;
  return { layout, baseline: { layout, rows, strayValues, columns } };
}

export function encodeProfile(profile: BaselineProfile): Uint8Array {
  const writer = new SketchWriter();
  writer.byte(VERSION);
  writeColumns(writer, profile.layout.columns);
  writer.block(encodeWindow(profile.baseline));
  return sealed(writer.finish());
}

/** @throws DataLoss where the bytes are no profile of this version of the format. */
export function decodeProfile(bytes: Uint8Array): BaselineProfile {
  const reader = new SketchReader(unsealed(bytes));
  const version = reader.byte();
  if (version !== VERSION) {
    throw damaged(`it is of format ${version}, this server reads ${VERSION}`);
  }
  const columns = readColumns(reader);
  if (new Set(columns.map(({ name }) => name)).size < columns.length) {
    throw damaged("a column is there twice");
  }
  const layout = windowLayout(columns);
  const window = reader.block(PROFILE_BYTES_MAX, "a baseline");
  if (layoutIdOf(window) !== layout.id) {
    throw damaged("its baseline is of another layout");
  }
  const baseline = decodeWindow(window, layout);
  reader.end();
  return { layout, baseline };
}

/** What a draft has counted, on the layout that was chosen from it. */
function transfer(draft: ColumnSketch, column: ColumnLayout): ColumnSketch {
  if ("numbers" in draft && (column.kind === "numeric" || column.kind === "timestamp")) {
    return { kind: column.kind, numbers: transferNumbers(draft.numbers, column.layout) };
  }
  if ("categories" in draft && (column.kind === "bool" || column.kind === "category")) {
    return { kind: column.kind, categories: transferCategories(draft.categories, column.layout) };
  }
  return structuredClone(draft);
}

function transferNumbers(draft: NumericSketch, layout: NumericSketch["layout"]): NumericSketch {
  const empty = newNumericSketch(layout);
  const sketch = {
    ...draft,
    layout,
    bins: empty.bins,
    buckets: empty.buckets,
    moments: copyExact(draft.moments),
  };
  const all = listBuckets(draft.buckets);
  // Edges are lowest values of buckets, so a bucket is in the bin of its lowest value.
  let bin = 0;
  for (const bucket of all) {
    const lowest = lowestOf(bucket, draft.min);
    while (bin < layout.edges.length && layout.edges[bin]! <= lowest) {
      bin += 1;
    }
    sketch.bins[bin] = sketch.bins[bin]! + bucket.count;
  }
  addBuckets(sketch.buckets, all);
  return sketch;
}

function transferCategories(
  draft: CategorySketch,
  layout: CategorySketch["layout"],
): CategorySketch {
  if (draft.layout === layout) {
    return copyCategory(draft);
  }
  const sketch = newCategorySketch(layout);
  const { rows, nulls, mistyped } = draft;
  Object.assign(sketch, { rows, nulls, mistyped });
  for (const { key, count } of draft.kept) {
    addCategory(sketch, key, count);
  }
  const { unseen } = draft;
  const known = sketch.counts.reduce((sum, count) => sum + count, 0);
  sketch.unseen = unseen - known;
  if (draft.registers !== undefined) {
    sketch.registers = foldRegisters(draft.registers, layout.precision);
  }
  return sketch;
}
