// A category sketch as bytes. The vocabulary is the layout's and is not in them; hashes are
// computed again, so that bytes cannot claim others; registers are there only where the sample is
// not all.

import { CATEGORY_BYTES_MAX, categoryHash, isCategoryKey } from "./category-key.ts";
import {
  type CategoryLayout,
  type CategorySketch,
  type KeptCategory,
  keep,
  newCategorySketch,
  precedes,
} from "./category-sketch.ts";
import { readRegisters, writeRegisters } from "./distinct-count.ts";
import type { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";

/** Equal contents give equal bytes. */
export function writeCategories(writer: SketchWriter, sketch: CategorySketch): void {
  writer.varint(sketch.rows);
  writer.varint(sketch.nulls);
  writer.varint(sketch.mistyped);
  writer.varint(sketch.unseen);
  // Counts stand in the vocabulary's order, most frequent first in the baseline; rare ones at the
  // end have often none.
  const used = sketch.counts.findLastIndex((count) => count > 0) + 1;
  writer.varint(used);
  for (let place = 0; place < used; place++) {
    writer.varint(sketch.counts[place]!);
  }
  writer.varint(sketch.kept.length);
  for (const { key, count } of sketch.kept) {
    writer.text(key);
    writer.varint(count);
  }
  writer.byte(sketch.registers === undefined ? 0 : 1);
  if (sketch.registers !== undefined) {
    writeRegisters(writer, sketch.registers);
  }
}

/** @throws DataLoss also where the parts contradict each other. */
export function readCategories(reader: SketchReader, layout: CategoryLayout): CategorySketch {
  const sketch = newCategorySketch(layout);
  sketch.rows = reader.count("a number of rows");
  sketch.nulls = reader.count("a number of nulls");
  sketch.mistyped = reader.count("a number of mistyped rows");
  sketch.unseen = reader.count("a number of unseen rows");
  let total = sketch.nulls + sketch.mistyped + sketch.unseen;
  const used = reader.varint(layout.vocabulary.length, "a number of categories");
  for (let place = 0; place < used; place++) {
    const count = reader.count("a count of a category");
    sketch.counts[place] = count;
    total += count;
  }
  if (total !== sketch.rows) {
    throw damaged(`its categories count ${total} of ${sketch.rows} rows`);
  }
  const kept = readKept(reader, layout);
  const sampled = kept.reduce((sum, category) => sum + category.count, 0);
  const all = reader.byte();
  if (all > 1 || (all === 0 ? sampled !== sketch.unseen : sampled > sketch.unseen)) {
    throw damaged(`its unseen categories count ${sampled} of ${sketch.unseen} rows`);
  }
  keep(sketch, kept);
  if (all === 1) {
    sketch.registers = readRegisters(reader, layout.precision);
  }
  return sketch;
}

function readKept(reader: SketchReader, layout: CategoryLayout): KeptCategory[] {
  const length = reader.varint(layout.keptMax, "a number of unseen categories");
  const kept: KeptCategory[] = [];
  for (let i = 0; i < length; i++) {
    const key = reader.text(CATEGORY_BYTES_MAX, "a category");
    const category = { key, hash: categoryHash(key), count: reader.count("a count of a category") };
    const before = kept.at(-1);
    const ordered = before === undefined || precedes(before, category);
    if (!ordered || !isCategoryKey(key) || layout.places.has(key) || category.count === 0) {
      throw damaged("an unseen category is out of its order, cut wrongly, known or without rows");
    }
    kept.push(category);
  }
  return kept;
}
