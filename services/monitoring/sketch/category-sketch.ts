// What is kept of a column of categories in one window: an exact count of each category that the
// baseline knows, an exact count of all rows with others, and of those others a sample.
//
// The sample holds the `keptMax` categories with the smallest hashes, each with its exact count
// (bottom-k or KMV sampling; Cohen and Kaplan 2007). A category of the final sample was among the
// smallest of every subset of rows that has it, so no replica ever dropped it and none of its
// rows is missing: the merge is exact in any order. (Misra-Gries and Space-Saving would prefer
// the frequent ones, but what they keep depends on the order of rows and merges.) While there are
// at most keptMax others the sample is all of them; beyond, it is a uniform one over categories,
// not over rows, and a HyperLogLog tells how many different ones there were.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { categoryHash, categoryKey, detached } from "./category-key.ts";
import { isNull, type NullBitmap } from "./column-batch.ts";
import {
  addHash,
  estimateDistinct,
  mergeRegistersInto,
  newRegisters,
  type Registers,
} from "./distinct-count.ts";
import { checkRows, otherLayout } from "./sketch-faults.ts";

/** Of a baseline: at two bytes a count they fill half a column's share of a window. */
export const VOCABULARY_MAX = 256;
/** Of the sample; a draft of a profile keeps that many to choose the vocabulary from. */
export const KEPT_MAX = 8192;

/** What two sketches must share to be compared or merged; given by the baseline. */
export interface CategoryLayout {
  /** Category keys, without repetition; what a row has beside them is unseen. */
  readonly vocabulary: readonly string[];
  readonly keptMax: number;
  /** Of the HyperLogLog: 2^precision registers. */
  readonly precision: number;
  /** From a key to its place in the vocabulary. */
  readonly places: ReadonlyMap<string, number>;
}

/** A category outside of the vocabulary. */
export interface KeptCategory {
  readonly key: string;
  readonly hash: number;
  count: number;
}

export interface CategorySketch {
  readonly layout: CategoryLayout;
  /** All rows, of which null, or of another type than text: */
  rows: number;
  nulls: number;
  mistyped: number;
  /** Rows whose category the vocabulary lacks; exact. */
  unseen: number;
  /** By place in the vocabulary. */
  readonly counts: Float64Array;
  /** Ascending by hash (then text), at most keptMax. */
  kept: KeptCategory[];
  byKey: Map<string, KeptCategory>;
  /** Of all categories, of the vocabulary too; only once some were not kept. */
  registers: Registers | undefined;
}

/** @throws InvalidArgument where the vocabulary is too long or repeats a category. */
export function categoryLayout(
  vocabulary: readonly string[],
  limits: { readonly keptMax: number; readonly precision: number },
): CategoryLayout {
  const places = new Map(vocabulary.map((key, place) => [key, place]));
  if (vocabulary.length > VOCABULARY_MAX || places.size < vocabulary.length) {
    throw new InvalidArgument(
      `A vocabulary has at most ${VOCABULARY_MAX} different categories; this one has ` +
        `${vocabulary.length}, of which ${places.size} differ.`,
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
  return { vocabulary, ...limits, places };
}

export function newCategorySketch(layout: CategoryLayout): CategorySketch {
  return {
    layout,
    rows: 0,
    nulls: 0,
    mistyped: 0,
    unseen: 0,
    counts: new Float64Array(layout.vocabulary.length),
    kept: [],
    byKey: new Map(),
    registers: undefined,
  };
}

/** Adds all values; null rows count as such whatever their value is. */
export function addTexts(
  sketch: CategorySketch,
  values: readonly string[],
  nulls: NullBitmap | undefined,
): void {
  sketch.rows += values.length;
  for (let row = 0; row < values.length; row++) {
    if (isNull(nulls, row)) {
      sketch.nulls += 1;
    } else {
      addCategory(sketch, values[row]!, 1);
    }
  }
}

/** Adds booleans to a sketch whose vocabulary is "false" and "true". */
export function addBools(
  sketch: CategorySketch,
  values: Uint8Array,
  nulls: NullBitmap | undefined,
): void {
  const { counts } = sketch;
  sketch.rows += values.length;
  for (let row = 0; row < values.length; row++) {
    if (isNull(nulls, row)) {
      sketch.nulls += 1;
    } else {
      const place = values[row] === 0 ? 0 : 1;
      counts[place] = counts[place]! + 1;
    }
  }
}

/** How many different categories came: exact, or with the standard error of the HyperLogLog. */
export function distinctCategories(sketch: CategorySketch): { count: number; exact: boolean } {
  if (sketch.registers !== undefined) {
    return { count: estimateDistinct(sketch.registers), exact: false };
  }
  const known = sketch.counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  return { count: known + sketch.kept.length, exact: true };
}

/** The unseen categories that were kept, most frequent first; ties by text. */
export function unseenCategories(sketch: CategorySketch): readonly KeptCategory[] {
  return sketch.kept.toSorted((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1));
}

/**
 * Adds what `from` holds, which stays as it is.
 * @throws FailedPrecondition where the layouts differ.
 */
export function mergeCategoryInto(target: CategorySketch, from: CategorySketch): void {
  if (!sameCategoryLayout(target.layout, from.layout)) {
    throw otherLayout("their categories or limits differ");
  }
  checkRows(target.rows + from.rows);
  const kept = joined(target.kept, from.kept);
  const over = kept.length > target.layout.keptMax;
  if (over || target.registers !== undefined || from.registers !== undefined) {
    const registers = registersOf(target);
    mergeRegistersInto(registers, registersOf(from));
    target.registers = registers;
  }
  target.rows += from.rows;
  target.nulls += from.nulls;
  target.mistyped += from.mistyped;
  target.unseen += from.unseen;
  from.counts.forEach((count, place) => {
    target.counts[place] = target.counts[place]! + count;
  });
  keep(target, kept);
}

export function copyCategory(sketch: CategorySketch): CategorySketch {
  const copy = { ...sketch, counts: sketch.counts.slice(), registers: sketch.registers?.slice() };
  keep(copy, joined(sketch.kept, []));
  return copy;
}

function sameCategoryLayout(a: CategoryLayout, b: CategoryLayout): boolean {
  return (
    a === b ||
    (a.keptMax === b.keptMax &&
      a.precision === b.precision &&
      a.vocabulary.length === b.vocabulary.length &&
      a.vocabulary.every((key, place) => key === b.vocabulary[place]))
  );
}

/** Makes these (ascending by hash) the sample, of which the first keptMax stay. */
export function keep(sketch: CategorySketch, kept: KeptCategory[]): void {
  sketch.kept = kept.length > sketch.layout.keptMax ? kept.slice(0, sketch.layout.keptMax) : kept;
  sketch.byKey = new Map(sketch.kept.map((category) => [category.key, category]));
}

/** Adds a category `rows` times; not to `rows` of the sketch, which counts before. */
export function addCategory(sketch: CategorySketch, text: string, rows: number): void {
  const { layout, counts } = sketch;
  // A short text is its own key; only one that is not known by itself is worth looking at.
  let place = layout.places.get(text);
  let key = text;
  if (place === undefined) {
    key = categoryKey(text);
    place = key === text ? undefined : layout.places.get(key);
  }
  if (place !== undefined) {
    if (sketch.registers !== undefined && counts[place] === 0) {
      addHash(sketch.registers, categoryHash(key));
    }
    counts[place] = counts[place]! + rows;
    return;
  }
  sketch.unseen += rows;
  const known = sketch.byKey.get(key);
  if (known === undefined) {
    addUnseen(sketch, key, rows);
  } else {
    known.count += rows;
  }
}

/** By hash, and where two share one, by text. */
export function precedes(a: KeptCategory, b: KeptCategory): boolean {
  return a.hash < b.hash || (a.hash === b.hash && a.key < b.key);
}

function addUnseen(sketch: CategorySketch, key: string, count: number): void {
  const { kept, byKey, layout } = sketch;
  const category = { key, hash: categoryHash(key), count };
  const full = kept.length >= layout.keptMax;
  if (full) {
    // Registers start from all that was kept so far, and have every other category from then on.
    sketch.registers ??= registersOf(sketch);
    addHash(sketch.registers, category.hash);
    if (!precedes(category, kept.at(-1)!)) {
      return;
    }
    byKey.delete(kept.pop()!.key);
  }
  const owned = { ...category, key: detached(key) };
  let low = 0;
  for (let high = kept.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if (precedes(kept[middle]!, owned)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  kept.splice(low, 0, owned);
  byKey.set(owned.key, owned);
}

/** New ones, of every category the sketch has counted. */
function registersOf(sketch: CategorySketch): Registers {
  if (sketch.registers !== undefined) {
    return sketch.registers.slice();
  }
  const registers = newRegisters(sketch.layout.precision);
  for (const { hash } of sketch.kept) {
    addHash(registers, hash);
  }
  sketch.layout.vocabulary.forEach((key, place) => {
    if (sketch.counts[place]! > 0) {
      addHash(registers, categoryHash(key));
    }
  });
  return registers;
}

/** Both samples in one, as new entries; counts of a category in both are added. */
function joined(a: readonly KeptCategory[], b: readonly KeptCategory[]): KeptCategory[] {
  const all: KeptCategory[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const left = a[i];
    const right = b[j];
    if (right === undefined || (left !== undefined && precedes(left, right))) {
      all.push({ ...left! });
      i += 1;
    } else if (left === undefined || precedes(right, left)) {
      all.push({ ...right });
      j += 1;
    } else {
      all.push({ ...left, count: left.count + right.count });
      i += 1;
      j += 1;
    }
  }
  return all;
}
