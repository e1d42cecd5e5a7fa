// What a receipt log keeps in the document store, and what may be relied on after a crash:
//
//   receipt_heads    one a log, changed by compare-and-set: the only write that decides anything.
//                    What it does not name is not in the log.
//   receipt_bodies   the receipts of a batch, under an id of its own, written before the head that
//                    names it and never changed. Expires.
//   receipt_batches  where a batch lies in the log. Follows from a head and the bodies. Expires.
//   receipt_tiles    256 hashes of one level of the tree (C2SP tlog-tiles: level 8 * n), full ones
//                    only. Follows from a head. For good.
//   receipt_ids      the index by inference id (id-index.ts). Follows from the batches. Expires.
//
// What follows from a head is written after it and before the next one, by whoever writes that: a
// head carries all that is not written yet. So nothing is lost with a process, and what two
// replicas write twice is the same.
//
// Sent again. The bodies of a batch that a sender has numbered are named after sender and number, so
// that any replica, at any later time, finds the bodies there, and by them the batch's place in the
// log, if it has one. If it has none, the stored bodies are logged, not those that came again: one
// name, one content. This holds as long as bodies are kept.

import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";

/** Receipts of one batch: bounds a document of bodies to well under a megabyte. */
export const BATCH_RECEIPTS_MAX = 1_024;

/** Batches and receipts of one head: bound what a head carries to some hundred kilobytes. */
export const HEAD_BATCHES_MAX = 64;
export const HEAD_RECEIPTS_MAX = 8 * BATCH_RECEIPTS_MAX;

/** A batch that a head names. */
export interface RecentBatch {
  /** Counts the log's batches from 0. */
  readonly ordinal: number;
  /** Index of the first receipt. */
  readonly start: number;
  readonly count: number;
  /** `_id` of the bodies. */
  readonly bodies: string;
}

/** The state of a log; `_id` is the workspace's name. */
export interface HeadDocument extends Document {
  readonly size: number;
  readonly batches: number;
  /** The signed tree head of `size`. */
  readonly checkpoint: string;
  /** Leaf hashes that are in no tile that is known to be written; begins at a multiple of 256. */
  readonly tail: Uint8Array;
  /** By level 1, 2 ...: the hashes of the unfinished tile, without what comes of `tail`. */
  readonly partials: readonly Uint8Array[];
  /** The batches that are not known to be in receipt_batches. */
  readonly recent: readonly RecentBatch[];
}

export interface BodiesDocument extends Document {
  /** See receipt-page.ts. */
  readonly receipts: Uint8Array;
  readonly expireTime?: Date;
}

export interface BatchDocument extends Document {
  readonly ordinal: number;
  readonly start: number;
  readonly count: number;
  readonly bodies: string;
  /** 8 bytes for each receipt: see id-index.ts. */
  readonly ids: Uint8Array;
  readonly expireTime?: Date;
}

export interface TileDocument extends Document {
  readonly hashes: Uint8Array;
}

export interface IdsDocument extends Document {
  /** Of the run. */
  readonly buckets: number;
  readonly count: number;
  readonly entries: Uint8Array;
  readonly expireTime?: Date;
}

/** The collections of all logs. */
export interface LogCollections {
  readonly heads: Collection<HeadDocument>;
  readonly bodies: Collection<BodiesDocument>;
  readonly batches: Collection<BatchDocument>;
  readonly tiles: Collection<TileDocument>;
  readonly ids: Collection<IdsDocument>;
}

/** Opens the collections, making them where missing. */
export async function openLogCollections(documents: DocumentStore): Promise<LogCollections> {
  const expiry = { keys: { expireTime: 1 }, expireAfterSeconds: 0 } as const;
  const [heads, bodies, batches, tiles, ids] = await Promise.all([
    documents.collection<HeadDocument>({ name: "receipt_heads", indexes: [] }),
    documents.collection<BodiesDocument>({ name: "receipt_bodies", indexes: [expiry] }),
    documents.collection<BatchDocument>({
      name: "receipt_batches",
      indexes: [{ keys: { bodies: 1 } }, expiry],
    }),
    documents.collection<TileDocument>({ name: "receipt_tiles", indexes: [] }),
    documents.collection<IdsDocument>({ name: "receipt_ids", indexes: [expiry] }),
  ]);
  return { heads, bodies, batches, tiles, ids };
}

export function tileId(log: string, level: number, index: number): string {
  return `${log}/tiles/${level}/${index}`;
}

export function batchId(log: string, ordinal: number): string {
  return `${log}/batches/${ordinal}`;
}

export function idsId(
  log: string,
  place: { readonly level: number; readonly run: number; readonly bucket: number },
): string {
  return `${log}/ids/${place.level}/${place.run}/${place.bucket}`;
}
