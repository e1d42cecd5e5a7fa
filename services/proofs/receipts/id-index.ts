// Finds receipts by inference id, where ids come at tens of thousands a second and a document each
// would be far too many: a log-structured merge over batches. A batch's own document holds the
// hashes of its ids. Sixteen batches make a run of level 1, sixteen such runs one of level 2, and so
// on; a run lies in buckets by the first bits of the hash, some thousand entries each. A search
// reads one or two documents a run, which are some dozens in a log of a billion receipts.
//
// Runs follow from the batches. One that is missing (its writer died) is read as its parts, and made
// when a larger one is.

import type { Collection } from "../../common/documents/port.ts";
import { ID_HASH_BYTES } from "./id-hash.ts";
import { type BatchDocument, type IdsDocument, idsId } from "./log-documents.ts";
import type { StoredBatches } from "./stored-batches.ts";

/** Runs of a level that make one of the next. */
const FAN_IN = 16;
/** 16^6 batches, up to 17 billion receipts, in a run of the last level. */
const LEVEL_MAX = 6;
/** Entries of a bucket, on average at most. */
const BUCKET_ENTRIES = 1_024;
/** An entry: the hash, and the receipt's index in the log. */
const ENTRY_BYTES = ID_HASH_BYTES + 6;

/** The part of a run that is read at a time. */
interface RunPart {
  readonly buckets: number;
  readonly count: number;
  readonly expireTime: Date | undefined;
  read(bucket: number): Promise<Uint8Array>;
}

/** The index of one log. */
export class IdIndex {
  readonly #log: string;
  readonly #ids: Collection<IdsDocument>;
  readonly #batches: StoredBatches;

  constructor(log: string, ids: Collection<IdsDocument>, batches: StoredBatches) {
    this.#log = log;
    this.#ids = ids;
    this.#batches = batches;
  }

  /** Whether runs end with a batch. */
  endsRun(ordinal: number): boolean {
    return (ordinal + 1) % FAN_IN === 0;
  }

  /** Makes the runs that end with a batch. All batches up to it are stored. */
  async batchStored(ordinal: number): Promise<void> {
    const end = ordinal + 1;
    for (let level = 1; level <= LEVEL_MAX && end % FAN_IN ** level === 0; level++) {
      await this.#make(level, end / FAN_IN ** level - 1);
    }
  }

  /** Indexes of receipts whose id has this hash, among the first batches of the log. */
  async find(hash: Uint8Array, batches: number): Promise<number[]> {
    const oldest = await this.#batches.oldest(batches);
    const runs: Promise<number[]>[] = [];
    const largest = FAN_IN ** LEVEL_MAX;
    let start = Math.floor(oldest / largest) * largest;
    for (let level = LEVEL_MAX; level >= 0; level--) {
      const size = FAN_IN ** level;
      for (; start + size <= batches; start += size) {
        runs.push(this.#search({ hash, level, run: start / size, oldest }));
      }
    }
    return (await Promise.all(runs)).flat();
  }

  async #search(
    wanted: { readonly hash: Uint8Array; readonly oldest: number } & {
      readonly level: number;
      readonly run: number;
    },
  ): Promise<number[]> {
    const { hash, oldest, level, run } = wanted;
    if ((run + 1) * FAN_IN ** level <= oldest) {
      return [];
    }
    const part = await this.#part(level, run);
    if (part !== undefined) {
      return matches(await part.read(bucketOf(hash, 0, part.buckets)), hash);
    }
    const found: number[] = [];
    for (let i = 0; level > 0 && i < FAN_IN; i++) {
      found.push(...(await this.#search({ ...wanted, level: level - 1, run: run * FAN_IN + i })));
    }
    return found;
  }

  async #make(level: number, run: number): Promise<void> {
    const parts: RunPart[] = [];
    for (let i = run * FAN_IN; i < (run + 1) * FAN_IN; i++) {
      let part = await this.#part(level - 1, i);
      if (part === undefined && level > 1) {
        await this.#make(level - 1, i);
        part = await this.#part(level - 1, i);
      }
      if (part !== undefined) parts.push(part);
    }
    if (parts.length === 0) return;
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    const coarsest = Math.min(...parts.map(({ buckets }) => buckets));
    let buckets = Math.max(...parts.map((part) => part.buckets));
    while (buckets * BUCKET_ENTRIES < count) buckets *= 2;
    const expireTime = latest(parts.map((part) => part.expireTime));
    // The first bucket last: where it is, all are.
    for (let range = coarsest - 1; range >= 0; range--) {
      const pieces = await piecesOfRange(parts, range, coarsest);
      const perRange = buckets / coarsest;
      const first = range * perRange;
      const split = splitByBucket(pieces, { buckets, first, count: perRange });
      const put = (offset: number) => {
        const _id = idsId(this.#log, { level, run, bucket: first + offset });
        const document: IdsDocument = { _id, buckets, count, entries: split[offset]! };
        return this.#ids.putOne(expireTime === undefined ? document : { ...document, expireTime });
      };
      // Together, so that they share a wait for the disk.
      await Promise.all(split.slice(1).map((_, i) => put(i + 1)));
      await put(0);
    }
  }

  /** A run, if it was made. */
  async #part(level: number, run: number): Promise<RunPart | undefined> {
    if (level === 0) {
      const batch = await this.#batches.get(run);
      return batch === undefined ? undefined : partOfBatch(batch);
    }
    const read = (bucket: number) => {
      return this.#ids.findOne({ _id: idsId(this.#log, { level, run, bucket }) });
    };
    const first = await read(0);
    return first === undefined
      ? undefined
      : {
          buckets: first.buckets,
          count: first.count,
          expireTime: first.expireTime,
          read: async (bucket) => {
            const document = bucket === 0 ? first : await read(bucket);
            return document?.entries ?? new Uint8Array(0);
          },
        };
  }
}

function partOfBatch({ ids, start, count, expireTime }: BatchDocument): RunPart {
  return {
    buckets: 1,
    count,
    expireTime,
    async read() {
      const entries = Buffer.allocUnsafeSlow(count * ENTRY_BYTES);
      for (let i = 0, at = 0; i < count; i++, at += ENTRY_BYTES) {
        for (let byte = 0; byte < ID_HASH_BYTES; byte++) {
          entries[at + byte] = ids[i * ID_HASH_BYTES + byte]!;
        }
        entries.writeUIntBE(start + i, at + ID_HASH_BYTES, 6);
      }
      return entries;
    },
  };
}

async function piecesOfRange(
  parts: readonly RunPart[],
  range: number,
  ranges: number,
): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const perRange = part.buckets / ranges;
    for (let bucket = range * perRange; bucket < (range + 1) * perRange; bucket++) {
      pieces.push(await part.read(bucket));
    }
  }
  return pieces;
}

/** The entries of some buckets next to each other, bucket by bucket. */
function splitByBucket(
  pieces: readonly Uint8Array[],
  { buckets, first, count }: { readonly buckets: number; readonly first: number; count: number },
): Uint8Array[] {
  const ends = new Uint32Array(count);
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; from += ENTRY_BYTES) {
      ends[bucketOf(piece, from, buckets) - first]! += ENTRY_BYTES;
    }
  }
  const split = Array.from(ends, (length) => new Uint8Array(length));
  ends.fill(0);
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; from += ENTRY_BYTES) {
      const bucket = bucketOf(piece, from, buckets) - first;
      const target = split[bucket]!;
      const to = ends[bucket]!;
      for (let i = 0; i < ENTRY_BYTES; i++) target[to + i] = piece[from + i]!;
      ends[bucket] = to + ENTRY_BYTES;
    }
  }
  return split;
}

/** By the hash's first 32 bits; `buckets` is a power of two. */
function bucketOf(bytes: Uint8Array, offset: number, buckets: number): number {
  const low = (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  return Math.floor((bytes[offset]! * 2 ** 24 + low) / (2 ** 32 / buckets));
}

function matches(entries: Uint8Array, hash: Uint8Array): number[] {
  const view = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  const found: number[] = [];
  for (let offset = 0; offset < view.length; offset += ENTRY_BYTES) {
    if (view.compare(hash, 0, ID_HASH_BYTES, offset, offset + ID_HASH_BYTES) === 0) {
      found.push(view.readUIntBE(offset + ID_HASH_BYTES, 6));
    }
  }
  return found;
}

/** The last of them; undefined, which is never, where one is. */
function latest(times: readonly (Date | undefined)[]): Date | undefined {
  return times.includes(undefined)
    ? undefined
    : new Date(Math.max(...times.map((time) => time!.getTime())));
}
