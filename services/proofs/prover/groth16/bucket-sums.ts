// Sums of points by digit (Pippenger): in each window the points with the same digit are added up,
// their bucket, then the buckets are added up for each bit of their digit. Nothing but additions
// that do not depend on each other, so that they can be done in batches.

import { type Group, POINT_BYTES } from "./curve-code.ts";
import type { CurveInstance } from "./curve-instance.ts";
import { PointAdder } from "./point-adder.ts";
import type { ScalarDigits } from "./scalar-digits.ts";

/**
 * Points that are sorted at once: with few, batches are small; with many, their sums do not stay in
 * the processor's cache.
 */
const ENTRIES_MAX = 32_768;

/** What is added up: digit * point of each. */
export interface DigitTerms {
  readonly group: Group;
  /** Address of the first point. */
  readonly bases: number;
  readonly digits: ScalarDigits;
}

/** Points in buckets that are not yet one: item by item references, bucket by bucket. */
interface Runs {
  readonly items: Int32Array;
  /** Address of the bucket, place of the first item, number of items. */
  readonly targets: Int32Array;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  count: number;
}

/**
 * Points whose multiples 2^i add up to the sum.
 *
 * @returns their addresses by i; those of zero points too. Until memory is released.
 */
export function sumsOfBits(instance: CurveInstance, terms: DigitTerms): readonly number[] {
  const { windows, windowBits, count } = terms.digits;
  const size = POINT_BYTES[terms.group];
  const stride = 2 ** (windowBits - 1) + 1;
  const perPass = Math.max(1, Math.floor(ENTRIES_MAX / count));
  const buckets = instance.take(windows * stride * size);
  const partial = instance.take(Math.ceil((Math.min(perPass, windows) * count) / 2) * size);
  const adder = new PointAdder(instance, terms.group);
  for (let i = 0; i < windows * stride; i++) adder.setZero(buckets + size * i);
  for (let first = 0; first < windows; first += perPass) {
    const runs = sortedRuns(terms, {
      first,
      end: Math.min(windows, first + perPass),
      buckets,
      stride,
    });
    addUp(adder, runs, { partial, size });
  }
  addUpBits(adder, { windows, windowBits, buckets, stride, size });
  return Array.from({ length: windows * windowBits }, (_, bit) => {
    const window = Math.floor(bit / windowBits);
    return buckets + size * (stride * window + 2 ** (bit % windowBits));
  });
}

/** The points of some windows by their digits, those with 0 left out. */
function sortedRuns(
  { digits: { digits, count }, bases, group }: DigitTerms,
  range: { first: number; end: number; buckets: number; stride: number },
): Runs {
  const { first, end, buckets, stride } = range;
  const size = POINT_BYTES[group];
  const ends = new Int32Array(stride * (end - first));
  for (let window = first; window < end; window++) {
    const row = stride * (window - first);
    for (let i = count * window; i < count * (window + 1); i++) {
      ends[row + Math.abs(digits[i]!)]!++;
    }
    ends[row] = 0;
  }
  const targets = new Int32Array(ends.length);
  const [starts, lengths] = [new Int32Array(ends.length), new Int32Array(ends.length)];
  let [runs, entries] = [0, 0];
  for (let bucket = 0; bucket < ends.length; bucket++) {
    const length = ends[bucket]!;
    ends[bucket] = entries;
    if (length === 0) continue;
    targets[runs] = buckets + size * (stride * first + bucket);
    starts[runs] = entries;
    lengths[runs++] = length;
    entries += length;
  }
  const items = new Int32Array(entries);
  for (let window = first; window < end; window++) {
    const row = stride * (window - first);
    for (let i = 0; i < count; i++) {
      const digit = digits[count * window + i]!;
      if (digit === 0) continue;
      items[ends[row + Math.abs(digit)]!++] = bases + size * i + (digit < 0 ? 1 : 0);
    }
  }
  return { items, targets, starts, lengths, count: runs };
}

/** Adds up each run into its bucket: neighbours to each other, again and again. */
function addUp(
  adder: PointAdder,
  runs: Runs,
  { partial, size }: { partial: number; size: number },
): void {
  const { items, targets, starts, lengths } = runs;
  let free = partial;
  for (let round = 0; runs.count > 0; round++) {
    const pending = runs.count;
    runs.count = 0;
    for (let run = 0; run < pending; run++) {
      const [target, start, length] = [targets[run]!, starts[run]!, lengths[run]!];
      if (length === 1) {
        adder.copy(items[start]!, target);
        continue;
      }
      let end = start;
      for (let i = start; i + 1 < start + length; i += 2) {
        const [first, second] = [items[i]!, items[i + 1]!];
        // From the second round on the first of two is a sum, whose place is free.
        let sum = length === 2 ? target : first;
        if (length > 2 && round === 0) {
          sum = free;
          free += size;
        }
        if (adder.madeZeros) adder.addAny(first, second, sum);
        else adder.add(first, second, sum);
        items[end++] = sum;
      }
      if (length === 2) continue;
      if (length % 2 === 1) items[end++] = items[start + length - 1]!;
      targets[runs.count] = target;
      starts[runs.count] = start;
      lengths[runs.count++] = end - start;
    }
    adder.flush();
  }
}

/**
 * Adds up the buckets of each window by the bits of their digits, in place. Blocks of 2^k buckets
 * have their sum in place 0 and the sum of those with bit i in place 2^i; two of them are made one
 * by adding place by place, and the sum of the second is that with bit k, where it stands already.
 * This takes 2 additions a bucket. The last bucket, 2^(windowBits - 1), is the sum of its bit
 * alone.
 */
function addUpBits(
  adder: PointAdder,
  sizes: { windows: number; windowBits: number; buckets: number; stride: number; size: number },
): void {
  const { windows, windowBits, buckets, stride, size } = sizes;
  for (let bit = 0; bit < windowBits - 1; bit++) {
    const half = size * 2 ** bit;
    const isLast = bit === windowBits - 2;
    for (let window = 0; window < windows; window++) {
      const begin = buckets + size * stride * window;
      for (let block = begin; block < begin + size * (stride - 1); block += 2 * half) {
        for (let place = size; place < half; place *= 2) {
          adder.addAny(block + place, block + half + place, block + place);
        }
        if (!isLast) adder.addAny(block, block + half, block);
      }
    }
    adder.flush();
  }
}
