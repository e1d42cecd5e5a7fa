// The document store every service keeps its state in. The vocabulary is a subset of the MongoDB
// driver's, so that its documentation is ours; the contract below is what both drivers promise and
// what contract.ts checks. No feature may rely on more than this.

/** Values a document may hold. Dates are UTC with millisecond precision; Uint8Array is binary. */
export type Value =
  | string
  | number
  | boolean
  | null
  | Date
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value };

/** What filters compare and sorts and indexes order: the values that hold no others. */
export type Scalar = string | number | boolean | null | Date | Uint8Array;

/**
 * A document's own fields; `_id` is the caller's, 1 to 1,024 characters, unique within the
 * collection. Any string may be a key. Fields that are undefined are not stored, -0 is stored as 0.
 * `version` and `revision` at the top belong to the store: on a document passed in they are
 * ignored, so that `{ ...stored, state: "READY" }` can be written back. A document has at most 8
 * MiB.
 */
export interface Document {
  readonly _id: string;
}

/**
 * A document as stored. `version` counts its writes from 1 and is what compare-and-set compares.
 * `revision` is the collection's revision of its last write (0 in a collection without a feed).
 */
export type Stored<T extends Document> = T & {
  readonly version: number;
  readonly revision: number;
};

/**
 * Equality on a field ("a.b" reaches into objects), or operators on it. All terms must hold. Values
 * of different types are never equal, and a missing field equals null. Fields that hold an array or
 * lie within one are not for filters, sorts and indexes; keys with a dot cannot be named in them.
 */
export type Filter = Readonly<Record<string, Scalar | FilterOperators>>;

/** Ranges match values of their own type only; $ne also matches where the field is missing. */
export interface FilterOperators {
  readonly $gt?: string | number | Date;
  readonly $gte?: string | number | Date;
  readonly $lt?: string | number | Date;
  readonly $lte?: string | number | Date;
  readonly $ne?: Scalar;
  readonly $in?: readonly Scalar[];
  /** True: the field is there and not null. */
  readonly $exists?: boolean;
}

/**
 * Field to direction; ties are broken by `_id` ascending, so the order is total. Missing and null
 * come first; strings compare by their UTF-8 bytes. Between values of different types, and for NaN,
 * the order is total but not defined.
 */
export type Sort = Readonly<Record<string, 1 | -1>>;

export interface FindOptions {
  /** Absent: by `_id`. */
  readonly sort?: Sort;
  /** Absent: no limit; the result is read in bounded batches either way. */
  readonly limit?: number;
  /** Once aborted, the iteration throws the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface IndexSpec {
  /** Field ("a.b" allowed) to direction. */
  readonly keys: Sort;
  /**
   * Two documents with equal keys cannot both be stored. One that lacks a key (or has null) may.
   */
  readonly unique?: boolean;
  /**
   * On a single Date field: a document is gone (from every read at once; swept from disk later)
   * when the date plus this many seconds is past.
   */
  readonly expireAfterSeconds?: number;
}

export interface CollectionSpec {
  /** [a-z][a-z0-9_]{0,62} */
  readonly name: string;
  readonly indexes: readonly IndexSpec[];
  /** True: writes are numbered and can be followed with `changes`. Costs one more write each. */
  readonly feed?: boolean;
}

/** Compare-and-set: the write happens only if the stored version is this one. */
export interface IfVersion {
  readonly ifVersion: number;
}

export type Change<T extends Document> =
  | { readonly kind: "put"; readonly revision: number; readonly document: Stored<T> }
  | { readonly kind: "delete"; readonly revision: number; readonly id: string };

export interface Collection<T extends Document> {
  /**
   * Stores a new document.
   * @throws AlreadyExists (RESOURCE_EXISTS) when `_id` or a unique key is taken; metadata.index is
   *   "_id" or the index's fields joined by commas.
   */
  insertOne(document: T): Promise<Stored<T>>;

  /** The document, or undefined. Reads see every write acknowledged before the read began. */
  findOne(filter: Filter): Promise<Stored<T> | undefined>;

  /** The documents that match, in order. Writes made while it is read may or may not show. */
  find(filter: Filter, options?: FindOptions): AsyncIterable<Stored<T>>;

  /** How many match. */
  countDocuments(filter: Filter): Promise<number>;

  /**
   * Replaces the document with the same `_id`.
   * @throws Aborted (ETAG_MISMATCH) when the stored version is another; NotFound when there is
   *   none;
   *   AlreadyExists when a unique key is taken.
   */
  replaceOne(document: T, condition: IfVersion): Promise<Stored<T>>;

  /**
   * Inserts or replaces, whatever is there. For state with one writer or where the last write wins.
   * @throws AlreadyExists when another document has a unique key.
   */
  putOne(document: T): Promise<Stored<T>>;

  /**
   * Removes the document. False when there was none.
   * @throws Aborted (ETAG_MISMATCH) when a version is given and another is stored.
   */
  deleteOne(id: string, condition?: IfVersion): Promise<boolean>;

  /** The revision of the newest acknowledged change; 0 in an empty collection. Needs `feed`. */
  revision(): Promise<number>;

  /**
   * Every change with a revision above `after`, in order, each once, then waits for more until the
   * signal aborts (the iteration then ends without error). Every acknowledged write appears; one
   * whose writer died before it was acknowledged appears whole or not at all. Changes by other
   * processes appear within a second. Expired documents do not appear as deletes. Needs `feed`.
   * @throws FailedPrecondition (RESUME_TOKEN_EXPIRED) when changes after `after` were already
   *   trimmed
   *   (the last 10,000 changes of a collection are kept), or `after` is ahead of the collection.
   */
  changes(after: number, signal: AbortSignal): AsyncIterable<Change<T>>;
}

export interface DocumentStore extends AsyncDisposable {
  /**
   * Opens a collection, making it and its indexes where missing. Idempotent. Every write below is
   * durable before its promise resolves (SQLite: WAL, synchronous FULL; MongoDB: majority write
   * concern, journaled). While the database is away calls fail with Unavailable
   * (DEPENDENCY_UNAVAILABLE), within 5 seconds, and work again once it is back; a full disk is
   * ResourceExhausted (STORAGE_FULL).
   */
  collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>>;

  /** Resolves when the database answers. @throws Unavailable */
  ping(): Promise<void>;
}
