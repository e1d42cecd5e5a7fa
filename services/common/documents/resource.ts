// Reading and writing the one document of a resource, as every service does it.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Aborted, AlreadyExists, NotFound } from "../errors/domain-error.ts";
import { etagOf, requireEtag } from "../etag.ts";
import type { Collection, Document, Stored } from "./port.ts";

/** With the pauses below enough for a hundred writers of one document at once. */
const UPDATE_TRIES = 50;
/** The longest pause of a writer that lost; a random part of it keeps the losers apart. */
const BACKOFF_MS_MAX = 100;

/** The document with that name, unless it is being removed. @throws NotFound */
export async function getDocument<T extends Document>(
  collection: Collection<T>,
  name: string,
): Promise<Stored<T>> {
  const found = await findDocument(collection, name);
  if (found === undefined) {
    throw notFound(name);
  }
  return found;
}

/** The document with that name, or undefined when there is none or it is being removed. */
export async function findDocument<T extends Document>(
  collection: Collection<T>,
  name: string,
): Promise<Stored<T> | undefined> {
  const found = await collection.findOne({ _id: name });
  const isLeaving = found !== undefined && "deleting" in found && found.deleting === true;
  return isLeaving ? undefined : found;
}

/**
 * Reads, changes and writes a document; begins again when another writer was faster, unless the
 * caller's etag says which state was meant. `change` may be called several times and returns the
 * document itself when nothing is to be written.
 * @throws NotFound; Aborted (ETAG_MISMATCH)
 */
export async function updateDocument<T extends Document & { readonly uid: string }>(
  collection: Collection<T>,
  target: { readonly name: string; readonly etag?: string },
  change: (current: T) => T | Promise<T>,
): Promise<Stored<T>> {
  for (let tries = 1; ; tries++) {
    const current = await getDocument(collection, target.name);
    requireEtag(target.etag ?? "", etagOf(current.uid, current.version), target.name);
    const body = withoutStamps(current);
    const next = await change(body);
    if (next === body) {
      return current;
    }
    try {
      return await collection.replaceOne(next, { ifVersion: current.version });
    } catch (error) {
      if (!(error instanceof Aborted) || tries === UPDATE_TRIES) {
        throw error;
      }
      await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
    }
  }
}

/** Stores a document. False: its `_id` or a unique key of it is taken, and nothing is written. */
export async function insertIfNew<T extends Document>(
  collection: Pick<Collection<T>, "insertOne">,
  document: T,
): Promise<boolean> {
  try {
    await collection.insertOne(document);
    return true;
  } catch (error) {
    if (error instanceof AlreadyExists) {
      return false;
    }
    throw error;
  }
}

/** A stored document as it was given to the store. */
export function withoutStamps<T extends Document>(stored: Stored<T>): T {
  const { version: _version, revision: _revision, ...body } = stored;
  return body as unknown as T;
}

/** All items of a bounded query. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) {
    list.push(item);
  }
  return list;
}

/** There is no such resource. `advice` says what to do. */
export function notFound(
  name: string,
  advice = "List what is there, or create it first.",
): NotFound {
  return new NotFound(`There is no ${name}. ${advice}`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { resource: name },
  });
}
