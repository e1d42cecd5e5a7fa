// The quantile sketch: how many values fell into which bucket, where buckets are so narrow that
// their middle stands for all values in it. Buckets are the leading bits of a double; the level
// says how many bits were dropped. As long as there are at most `bucketsMax` different buckets
// nothing more is dropped, so few different values (hours, years, counts) are kept one by one;
// each bucket more than that drops one bit of all, which doubles every width.
//
// Why the merge is exact: the level is the smallest at which the values seen have at most
// bucketsMax buckets. That depends on the set of values alone, dropping bits twice is dropping
// them at once, and counts are integers. So order, grouping and repetition of merges cannot be
// seen in the result. ("Uniform collapse" as in UDDSketch, Epicoco et al. 2020, but on bits,
// hence without logarithms.)
//
// Error: with y = |x - center| + scale, a bucket at `bits` of mantissa has the relative width
// 2^-bits in y, so a quantile q is off by at most error * (|q - center| + scale), error =
// 2^-(bits + 1), which is 0.78 % at 64 buckets an octave. Without a baseline, center = scale = 0
// and this is the relative error of q itself. With one, center is about its median and scale half
// its quartile distance: temperatures of 290 +- 5 K or times of the year 2001 would share one or
// two buckets of a relative sketch, and a column around zero would spend its buckets on the
// values nearest to zero.
//
// Why not @datadog/sketches-js (2.1.1 of April 2024, the newest; 130 kB, no dependency,
// protobufjs wanted for its bytes): its merge leaves out the negative values of the other sketch
// (found by reading and by running it: {-5} merged with {-1, -2} has 3 values and a median of 0);
// its default store has no bound; its collapsing one gives up the lowest values whatever they
// matter, with no stated error for them; its sum depends on order; min and max are lost in its
// bytes, which carry a double a bucket.

import { type BucketList, bitsTooMany, coarsenList, copyList, mergeLists } from "./bucket-lists.ts";
import type { SketchReader, SketchWriter } from "./sketch-bytes.ts";
import { damaged } from "./sketch-faults.ts";

/** 40 bits of mantissa: whole numbers up to 2^40 stay apart, and a key is a safe integer. */
const LEVEL_MIN = 12;
/** Only the sign is left. */
const LEVEL_MAX = 63;
const MANTISSA_BITS = 52;
const CAPACITY_MIN = 64;
const WORD = 2 ** 32;

const NONE = new Float64Array(0);
const word = new Float64Array(1);
const words = new Uint32Array(word.buffer);

export interface BucketLayout {
  /** Where buckets are narrowest. */
  readonly center: number;
  /** At least 0; within this distance of the center buckets are about equally wide. */
  readonly scale: number;
  readonly bucketsMax: number;
}

/**
 * How many values fell into which bucket: an ascending list where it was read or merged, and from
 * the first value that is added on an open hash table. Contents are equal in either form.
 */
export interface ValueBuckets {
  readonly layout: BucketLayout;
  /** Bits dropped of 64. */
  level: number;
  size: number;
  /** Of a list the first `size` entries count; of a table a count of 0 is a free place. */
  isList: boolean;
  /** Where x >= center, the leading bits of y; else -1 less those: ascending as x. */
  keys: Float64Array;
  counts: Float64Array;
}

/**
 * Values in [lower, upper] (one end is open), of which `value` is at most the stated error away.
 */
export interface Bucket {
  readonly lower: number;
  readonly upper: number;
  readonly value: number;
  readonly count: number;
}

export function newValueBuckets(layout: BucketLayout): ValueBuckets {
  return { layout, level: LEVEL_MIN, size: 0, isList: true, keys: NONE, counts: NONE };
}

/** Adds the first `count` values; all are finite. */
export function addToBuckets(buckets: ValueBuckets, values: Float64Array, count: number): void {
  becomeTable(buckets);
  for (let i = 0; i < count; i++) {
    addKey(buckets, keyOf(buckets, values[i]!), 1);
  }
}

/** Adds buckets of another layout, each as its value. */
export function addBuckets(buckets: ValueBuckets, others: readonly Bucket[]): void {
  becomeTable(buckets);
  for (const { value, count } of others) {
    addKey(buckets, keyOf(buckets, value), count);
  }
}

/** Adds what `from` holds; its layout equals the target's, which the caller has checked. */
export function mergeBucketsInto(target: ValueBuckets, from: ValueBuckets): void {
  let level = Math.max(target.level, from.level);
  let merged = mergeLists(atLevel(target, level), atLevel(from, level));
  while (merged.size > target.layout.bucketsMax) {
    level += 1;
    merged = coarsenList(merged, 2);
  }
  const { keys, counts, size } = merged;
  const fits = target.isList && target.keys.length >= size;
  const room = fits ? target : listOfLength(Math.min(2 * size, target.layout.bucketsMax));
  room.keys.set(keys.subarray(0, size));
  room.counts.set(counts.subarray(0, size));
  Object.assign(target, { level, size, isList: true, keys: room.keys, counts: room.counts });
}

export function copyBuckets(buckets: ValueBuckets): ValueBuckets {
  return { ...buckets, keys: buckets.keys.slice(), counts: buckets.counts.slice() };
}

/** All buckets with values, ascending. */
export function listBuckets(buckets: ValueBuckets): Bucket[] {
  const { keys, counts, size } = listOf(buckets);
  const list: Bucket[] = [];
  for (let i = 0; i < size; i++) {
    const { lower, upper, value } = rangeOf(buckets, keys[i]!);
    list.push({ lower, upper, value, count: counts[i]! });
  }
  return list;
}

/** The error as said above: of |q - center| + scale. 2^-40 where no value was joined. */
export function bucketError(buckets: ValueBuckets): number {
  const bits = MANTISSA_BITS - buckets.level;
  if (bucketsAreValues(buckets)) {
    return 2 ** -bits;
  }
  const ratio = bits >= 0 ? 1 + 2 ** -bits : 2 ** (2 ** -bits);
  return ratio === Number.POSITIVE_INFINITY ? 1 : (ratio - 1) / (ratio + 1);
}

/** Whether every different value has a bucket of its own (values closer than 2^-40 aside). */
export function bucketsAreValues(buckets: ValueBuckets): boolean {
  return buckets.level === LEVEL_MIN;
}

/** Equal contents give equal bytes: runs of neighbours, and counts as differences. */
export function writeBuckets(writer: SketchWriter, buckets: ValueBuckets): void {
  writer.varint(buckets.level - LEVEL_MIN);
  writer.varint(buckets.size);
  const { keys, counts, size } = listOf(buckets);
  let next = 0;
  let previous = 0;
  for (let start = 0; start < size; ) {
    let end = start + 1;
    while (end < size && keys[end] === keys[end - 1]! + 1) {
      end += 1;
    }
    const gap = keys[start]! - next;
    if (start === 0) {
      writer.zigzag(gap);
    } else {
      writer.varint(gap);
    }
    writer.varint(end - start);
    for (let i = start; i < end; i++) {
      const count = counts[i]!;
      writer.zigzag(count - previous);
      previous = count;
    }
    next = keys[end - 1]! + 1;
    start = end;
  }
}

/**
 * `room` gives the arrays that are filled, at least so long; absent: new ones.
 * @throws DataLoss also where the counts are not `total` together.
 */
export function readBuckets(
  reader: SketchReader,
  layout: BucketLayout,
  total: number,
  room: (length: number) => { keys: Float64Array; counts: Float64Array } = listOfLength,
): ValueBuckets {
  const buckets = newValueBuckets(layout);
  buckets.level = LEVEL_MIN + reader.varint(LEVEL_MAX - LEVEL_MIN, "a level of buckets");
  const keyMax = 2 ** (63 - buckets.level);
  const size = reader.varint(layout.bucketsMax, "a number of buckets");
  const { keys, counts } = room(size);
  let next = 0;
  let previous = 0;
  let sum = 0;
  for (let read = 0; read < size; ) {
    const gap =
      read === 0
        ? reader.zigzag("a bucket")
        : reader.varint(Number.MAX_SAFE_INTEGER, "a gap between buckets");
    const length = reader.varint(size - read, "a run of buckets");
    const start = next + gap;
    if (length === 0 || start < -keyMax || start + length > keyMax) {
      throw damaged("a bucket lies outside of all numbers");
    }
    for (let i = 0; i < length; i++) {
      previous += reader.zigzag("a count of a bucket");
      if (previous <= 0 || previous > total) {
        throw damaged(`a bucket counts ${previous} of ${total} values`);
      }
      keys[read + i] = start + i;
      counts[read + i] = previous;
      sum += previous;
    }
    next = start + length;
    read += length;
  }
  if (sum !== total) {
    throw damaged(`buckets count ${sum} of ${total} values`);
  }
  return Object.assign(buckets, { size, keys, counts });
}

function keyOf(buckets: ValueBuckets, value: number): number {
  const { level, layout } = buckets;
  const offset = value - layout.center;
  word[0] = Math.min(Math.abs(offset) + layout.scale, Number.MAX_VALUE);
  const high = words[1]!;
  const key =
    level >= 32 ? high >>> (level - 32) : high * 2 ** (32 - level) + (words[0]! >>> level);
  return offset < 0 ? -1 - key : key;
}

function addKey(buckets: ValueBuckets, key: number, count: number): void {
  const place = placeOf(buckets, key);
  if (buckets.counts[place] !== 0) {
    buckets.counts[place] = buckets.counts[place]! + count;
    return;
  }
  buckets.keys[place] = key;
  buckets.counts[place] = count;
  buckets.size += 1;
  if (buckets.size > buckets.layout.bucketsMax) {
    shrink(buckets);
  }
  if (buckets.size * 2 > buckets.counts.length) {
    rebuild(buckets, { capacity: buckets.counts.length * 2, divisor: 1 });
  }
}

/** Where the key is, or the free place where it goes. */
function placeOf(buckets: ValueBuckets, key: number): number {
  const { keys, counts } = buckets;
  const mask = counts.length - 1;
  const mixed = Math.imul((key | 0) ^ Math.imul((key / WORD) | 0, 0x85ebca6b), 0x9e3779b1);
  let place = (mixed ^ (mixed >>> 15)) & mask;
  while (counts[place] !== 0 && keys[place] !== key) {
    place = (place + 1) & mask;
  }
  return place;
}

/** To the next level where they are few enough: mostly one, many where values never seen before come. */
function shrink(buckets: ValueBuckets): void {
  const { bucketsMax } = buckets.layout;
  coarsen(buckets, buckets.level + 1);
  if (buckets.size > bucketsMax) {
    coarsen(buckets, buckets.level + bitsTooMany(listOf(buckets), bucketsMax));
  }
}

function coarsen(buckets: ValueBuckets, level: number): void {
  if (level > buckets.level) {
    const divisor = 2 ** (level - buckets.level);
    buckets.level = level;
    rebuild(buckets, { capacity: buckets.counts.length, divisor });
  }
}

function rebuild(
  buckets: ValueBuckets,
  to: { readonly capacity: number; readonly divisor: number },
): void {
  const { keys, counts } = buckets;
  Object.assign(buckets, listOfLength(to.capacity));
  buckets.size = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    if (count > 0) {
      const key = coarser(keys[i]!, to.divisor);
      const place = placeOf(buckets, key);
      buckets.size += buckets.counts[place] === 0 ? 1 : 0;
      buckets.keys[place] = key;
      buckets.counts[place] = buckets.counts[place]! + count;
    }
  }
}

/** A power of two of which `size` fills at most half. */
function capacityFor(size: number): number {
  return Math.max(CAPACITY_MIN, 2 ** Math.ceil(Math.log2(2 * size + 1)));
}

/** Floor keeps both signs mirrored: -1 - k becomes -1 - floor(k / divisor). */
function coarser(key: number, divisor: number): number {
  return Math.floor(key / divisor);
}

/** The contents in order; of a list its own arrays, not to be changed. */
function listOf(buckets: ValueBuckets): BucketList {
  if (buckets.isList) {
    return buckets;
  }
  const { size } = buckets;
  const { keys, counts } = listOfLength(size);
  let end = 0;
  for (let place = 0; place < buckets.counts.length; place++) {
    if (buckets.counts[place]! > 0) {
      keys[end++] = buckets.keys[place]!;
    }
  }
  keys.sort();
  for (let i = 0; i < size; i++) {
    counts[i] = buckets.counts[placeOf(buckets, keys[i]!)]!;
  }
  return { keys, counts, size };
}

function atLevel(buckets: ValueBuckets, level: number): BucketList {
  const list = listOf(buckets);
  return level === buckets.level ? list : coarsenList(copyList(list), 2 ** (level - buckets.level));
}

function listOfLength(length: number): { keys: Float64Array; counts: Float64Array } {
  return { keys: new Float64Array(length), counts: new Float64Array(length) };
}

function becomeTable(buckets: ValueBuckets): void {
  if (buckets.isList) {
    const { keys, counts, size } = buckets;
    Object.assign(buckets, { isList: false, ...listOfLength(capacityFor(size)) });
    for (let i = 0; i < size; i++) {
      const place = placeOf(buckets, keys[i]!);
      buckets.keys[place] = keys[i]!;
      buckets.counts[place] = counts[i]!;
    }
  }
}

function rangeOf(buckets: ValueBuckets, key: number): Omit<Bucket, "count"> {
  const { center, scale } = buckets.layout;
  const bits = key < 0 ? -1 - key : key;
  const near = Math.max(doubleOf(bits, buckets.level), scale);
  const far = Math.max(doubleOf(bits + 1, buckets.level), near);
  // At the finest level a bucket is one value: its leading bits, with zeros behind them.
  const middle = buckets.level === LEVEL_MIN || near === 0 ? near : near * (2 / (1 + near / far));
  if (key < 0) {
    return {
      lower: center - (far - scale),
      upper: center - (near - scale),
      value: center - (middle - scale),
    };
  }
  return {
    lower: center + (near - scale),
    upper: center + (far - scale),
    value: center + (middle - scale),
  };
}

/** The double whose leading bits these are; the largest one instead of infinity. */
function doubleOf(bits: number, level: number): number {
  const high = Math.floor(bits * 2 ** (level - 32));
  if (high >= 0x7ff00000) {
    return Number.MAX_VALUE;
  }
  words[1] = high;
  words[0] = level >= 32 ? 0 : (bits - high * 2 ** (32 - level)) * 2 ** level;
  return word[0]!;
}
