// The database that the contract's parts run on, and the document they store in it.

import type { OpenDocumentStoreOptions } from "./open.ts";
import type { Document, DocumentStore } from "./port.ts";

/** One empty database of a driver. */
export interface Database extends AsyncDisposable {
  /** What openDocumentStore takes; other processes use it. */
  readonly uri: string;
  /** Opens a store on it; every call another one. */
  open(options?: OpenDocumentStoreOptions): Promise<DocumentStore>;
  /** Makes every write fail until the result is called; undefined where that cannot be done. */
  readonly cutOff: (() => Promise<() => Promise<void>>) | undefined;
}

/** A document with one field of a kind the tests sort and filter by. */
export interface Thing extends Document {
  readonly workspace?: string;
  readonly name?: string | null;
  readonly n?: number;
  readonly expireTime?: Date;
}

/** A database whose stores are closed, and which is removed, when the running test has finished. */
export type UseDatabase = () => Promise<Omit<Database, typeof Symbol.asyncDispose>>;

/** The documents of an iteration. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
