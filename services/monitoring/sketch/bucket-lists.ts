// Buckets as ascending lists of keys with their counts: how they are read from bytes and merged,
// where a table would be asked for every key. Pure but for memory that is used again.

/** The first `size` of both arrays count. */
export interface BucketList {
  readonly keys: Float64Array;
  readonly counts: Float64Array;
  readonly size: number;
}

/** Both lists in one; what it returns lives until the next call. */
export function mergeLists(a: BucketList, b: BucketList): BucketList {
  const { keys, counts } = roomFor(a.size + b.size);
  let left = 0;
  let right = 0;
  let size = 0;
  while (left < a.size && right < b.size) {
    const aKey = a.keys[left]!;
    const bKey = b.keys[right]!;
    let count = 0;
    if (aKey <= bKey) {
      count = a.counts[left++]!;
    }
    if (bKey <= aKey) {
      count += b.counts[right++]!;
    }
    keys[size] = Math.min(aKey, bKey);
    counts[size++] = count;
  }
  for (; left < a.size; left++) {
    keys[size] = a.keys[left]!;
    counts[size++] = a.counts[left]!;
  }
  for (; right < b.size; right++) {
    keys[size] = b.keys[right]!;
    counts[size++] = b.counts[right]!;
  }
  return { keys, counts, size };
}

/** With keys divided (a power of two, rounded down) in place; equal ones become one. */
export function coarsenList(list: BucketList, divisor: number): BucketList {
  const { keys, counts } = list;
  let size = 0;
  for (let i = 0; i < list.size; i++) {
    const key = Math.floor(keys[i]! / divisor);
    if (size > 0 && keys[size - 1] === key) {
      counts[size - 1] = counts[size - 1]! + counts[i]!;
    } else {
      keys[size] = key;
      counts[size++] = counts[i]!;
    }
  }
  return { keys, counts, size };
}

/** No pair of keys takes more bits to become one, but for those of different signs: they never do. */
const BITS_MAX = 63;

/**
 * How many bits keys must lose (as coarsenList drops them) until at most `most` of them differ. For
 * each pair of neighbours it is counted when they become one, so that a list need not be coarsened
 * bit by bit: of drawn doubles that would be thirty times.
 */
export function bitsTooMany({ keys, size }: Omit<BucketList, "counts">, most: number): number {
  const joined = new Uint32Array(BITS_MAX + 1);
  for (let i = 1; i < size; i++) {
    const bits = bitsApart(keys[i - 1]!, keys[i]!);
    joined[bits] = joined[bits]! + 1;
  }
  let bits = 0;
  for (let differing = size; differing > most && bits < BITS_MAX; ) {
    bits += 1;
    differing -= joined[bits]!;
  }
  return bits;
}

/** How many bits two different keys must lose to become one; 0: they never do. */
function bitsApart(a: number, b: number): number {
  if (a < 0 !== b < 0) {
    return 0;
  }
  let bits = 0;
  let [left, right] = [a, b];
  while (left !== right) {
    left = Math.floor(left / 2);
    right = Math.floor(right / 2);
    bits += 1;
  }
  return bits;
}

/** A list of its own with the same contents. */
export function copyList({ keys, counts, size }: BucketList): BucketList {
  return { keys: keys.slice(0, size), counts: counts.slice(0, size), size };
}

let scratch = { keys: new Float64Array(2048), counts: new Float64Array(2048) };

function roomFor(size: number): typeof scratch {
  if (size > scratch.keys.length) {
    scratch = { keys: new Float64Array(2 * size), counts: new Float64Array(2 * size) };
  }
  return scratch;
}
