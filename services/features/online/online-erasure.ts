// Removing rows from online documents while others write them. A document is first emptied, by
// compare-and-set, so that whoever read it before cannot write back what is gone; and removed only
// when such writers have ended, because a document's version begins anew with the next one.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Collection, Filter, Stored } from "../../common/documents/port.ts";
import { DomainError, Unavailable } from "../../common/errors/domain-error.ts";
import type { Field, RowBatch } from "../value.ts";
import { entityIds, keyText } from "./entity-key.ts";
import type { OnlineDocument } from "./online-row.ts";

/** Ids of one query, and documents written at once. */
const CHUNK_SIZE = 1_000;

/** Emptied documents that wait to be removed together. */
const EMPTIED_MAX = 100_000;

/** Looks at the keys; more means that they are written all the time. */
const ROUNDS_MAX = 50;

/** Tries of one document in one round. */
const TRIES_MAX = 10;

/** What is worked on. */
export interface Erasable {
  readonly documents: Collection<OnlineDocument>;
  /** Called for every document that changed. */
  readonly forget: (id: string) => void;
  /** Resolves when writers that have read a document by now have written it or failed. */
  readonly settle: () => Promise<void>;
}

/** As OnlineStore.eraseKeys. */
export async function eraseDocuments(
  store: Erasable,
  workspace: string,
  options: {
    readonly keyFields: readonly Field[];
    readonly keys: RowBatch["keys"];
    readonly countOnly: boolean;
  },
): Promise<number> {
  const keys = wantedKeys(options.keyFields, options.keys);
  const find = () => documentsOf(store.documents, workspace, keys);
  if (options.countOnly) {
    let count = 0;
    for await (const document of find()) if (!isEmpty(document)) count += 1;
    return count;
  }
  return untilNone(store, find, () => ({}));
}

/** As OnlineStore.deleteView. */
export async function removeView(store: Erasable, workspace: string, uid: string): Promise<void> {
  const range = rangeOf(`${workspace}/`);
  const find = () => store.documents.find({ _id: range, [`views.${uid}.n`]: { $exists: true } });
  await untilNone(store, find, ({ views }) => {
    const { [uid]: _, ...others } = views;
    return others;
  });
}

/** Join keys (sorted), and the values of each entity meant, as texts. */
interface WantedKeys {
  readonly joinKeys: readonly string[];
  readonly tuples: readonly (readonly string[])[];
}

function wantedKeys(fields: readonly Field[], keys: RowBatch["keys"]): WantedKeys {
  const sorted = [...fields].sort((a, b) => (a.name < b.name ? -1 : 1));
  const tuples = new Map<string, readonly string[]>();
  const rows = Math.max(0, ...sorted.map((field) => keys[field.name]?.length ?? 0));
  for (let row = 0; row < rows; row++) {
    const texts = sorted.map(({ name, type }) => keyText(type, keys[name]?.[row] ?? null, name));
    tuples.set(texts.join("/"), texts);
  }
  return { joinKeys: sorted.map((field) => field.name), tuples: [...tuples.values()] };
}

/** Every document with these values, set of join keys by set of join keys. */
async function* documentsOf(
  documents: Collection<OnlineDocument>,
  workspace: string,
  wanted: WantedKeys,
): AsyncGenerator<Stored<OnlineDocument>> {
  const { joinKeys, tuples } = wanted;
  if (joinKeys.length === 0) return;
  const idOf = entityIds(workspace, joinKeys);
  for (let start = 0; start < tuples.length; start += CHUNK_SIZE) {
    const ids = tuples.slice(start, start + CHUNK_SIZE).map(idOf);
    yield* documents.find({ _id: { $in: ids } });
  }
  const texts = new Set(tuples.map((tuple) => tuple.join("/")));
  for await (const set of keySets(documents, workspace)) {
    const isFurther = set.joinKeys.length > joinKeys.length;
    if (!isFurther || !joinKeys.every((name) => set.joinKeys.includes(name))) continue;
    for await (const document of documents.find({ _id: rangeOf(set.prefix) })) {
      if (texts.has(joinKeys.map((name) => document.keys[name]).join("/"))) yield document;
    }
  }
}

/**
 * The sets of join keys that documents of a workspace have: as ids begin with them, the first
 * document of each set is found by stepping over the one before.
 */
async function* keySets(
  documents: Collection<OnlineDocument>,
  workspace: string,
): AsyncGenerator<{ readonly prefix: string; readonly joinKeys: readonly string[] }> {
  let range = rangeOf(`${workspace}/`);
  for (;;) {
    const document = await documents.findOne({ _id: range });
    if (document === undefined) return;
    const namesEnd = document._id.indexOf("/", workspace.length + 1);
    const prefix = document._id.slice(0, namesEnd + 1);
    yield { prefix, joinKeys: Object.keys(document.keys) };
    range = { ...range, $gte: rangeOf(prefix).$lt };
  }
}

/** Ids that begin with a text that ends in "/". */
function rangeOf(prefix: string): { readonly $gte: string; readonly $lt: string } {
  return { $gte: prefix, $lt: `${prefix.slice(0, -1)}0` } satisfies Filter[string];
}

/**
 * Gives the documents found the views that `keep` leaves, removes those left without any, and looks
 * again until none is found. Returns how many documents were changed.
 */
async function untilNone(
  store: Erasable,
  find: () => AsyncIterable<Stored<OnlineDocument>>,
  keep: (document: OnlineDocument) => OnlineDocument["views"],
): Promise<number> {
  let changed = 0;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    let found = 0;
    let chunk: Stored<OnlineDocument>[] = [];
    let emptied: Stored<OnlineDocument>[] = [];
    const change = async (): Promise<void> => {
      const stored = await Promise.all(chunk.map((document) => shrink(store, document, keep)));
      changed += chunk.filter((before, i) => stored[i] !== undefined && !isEmpty(before)).length;
      emptied.push(...stored.filter((after) => after !== undefined).filter(isEmpty));
      chunk = [];
    };
    const remove = async (): Promise<void> => {
      // Also where nothing was emptied, because others were faster: they get time to end.
      await store.settle();
      for (let start = 0; start < emptied.length; start += CHUNK_SIZE) {
        const some = emptied.slice(start, start + CHUNK_SIZE);
        await Promise.all(some.map((document) => removeEmpty(store, document)));
      }
      emptied = [];
    };
    for await (const document of find()) {
      found += 1;
      if (chunk.push(document) === CHUNK_SIZE) await change();
      if (emptied.length >= EMPTIED_MAX) await remove();
    }
    if (found === 0) return changed;
    await change();
    await remove();
  }
  throw new Unavailable(
    "The rows to be removed are written again and again. Stop what pushes or materialises them, " +
      "then try again.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: 60_000 },
  );
}

/** The document as it is afterwards; undefined when others kept writing it, or removed it. */
async function shrink(
  store: Erasable,
  found: Stored<OnlineDocument>,
  keep: (document: OnlineDocument) => OnlineDocument["views"],
): Promise<Stored<OnlineDocument> | undefined> {
  let document: Stored<OnlineDocument> | undefined = found;
  for (let tries = 0; document !== undefined && tries < TRIES_MAX; tries++) {
    if (isEmpty(document)) return document;
    const { _id, keys, version } = document;
    const views = keep(document);
    const after = await unlessLost(() =>
      store.documents.replaceOne({ _id, views, keys }, { ifVersion: version }),
    );
    store.forget(_id);
    if (after !== undefined) return after;
    document = await store.documents.findOne({ _id });
  }
  return undefined;
}

async function removeEmpty(store: Erasable, document: Stored<OnlineDocument>): Promise<void> {
  const { _id, version } = document;
  await unlessLost(() => store.documents.deleteOne(_id, { ifVersion: version }));
  store.forget(_id);
}

async function unlessLost<R>(run: () => Promise<R>): Promise<R | undefined> {
  try {
    return await run();
  } catch (error) {
    const lost =
      error instanceof DomainError && (error.kind === "Aborted" || error.kind === "NotFound");
    if (!lost) throw error;
    return undefined;
  }
}

function isEmpty(document: OnlineDocument): boolean {
  for (const _ in document.views) return false;
  return true;
}
